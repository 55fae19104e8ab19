package httpsink_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

// The outcome of each of three events.
var (
	stored   = []string{"stored", "stored", "stored"}
	later    = []string{"later", "later", "later"}
	rejected = []string{"rejected", "rejected", "rejected"}
)

func TestResponse(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		status  int
		body    string
		want    []string
		inError string
	}{
		{"Segment and Inlet", 200, `{"success":true}`, stored, ""},
		{"RudderStack", 200, "OK", stored, ""},
		{"Jitsu", 200, `{"ok":true,"receivedEvents":3,"okEvents":3}`, stored, ""},
		{"nothing", 200, "", stored, ""},
		{"no content", 204, "", stored, ""},
		{"accepted", 202, `[]`, stored, ""},
		{"an empty list", 200, `{"success":true,"accepted":3,"rejected":[]}`, stored, ""},
		{"no list", 200, `{"success":true,"rejected":null}`, stored, ""},

		{"some rejected", 200,
			`{"success":true,"accepted":1,"rejected":[{"index":2,"code":"too_deep","message":"the event is nested too deeply"},{"index":0}]}`,
			[]string{"rejected", "stored", "rejected"}, `first at index 0: httpsink: the receiver rejected the event: ""`},
		{"one with its reason", 200, `{"success":true,"rejected":[{"index":1,"code":"too_deep","message":"nested too deeply"}]}`,
			[]string{"stored", "rejected", "stored"}, `the receiver rejected the event: "too_deep: nested too deeply"`},
		{"an index beyond the batch", 200, `{"success":true,"rejected":[{"index":0},{"index":3}]}`, later, "is malformed"},
		{"a negative index", 200, `{"success":true,"rejected":[{"index":-1}]}`, later, "is malformed"},
		{"an index twice", 200, `{"success":true,"rejected":[{"index":1},{"index":1}]}`, later, "is malformed"},
		{"no index", 200, `{"success":true,"rejected":[{"code":"too_deep"}]}`, later, "is malformed"},
		{"an index that is not a number", 200, `{"success":true,"rejected":[{"index":"1"}]}`, later, "is malformed"},
		{"a number for a list", 200, `{"success":true,"rejected":2}`, later, "is malformed"},

		{"a failure", 200, `{"success":false,"code":"busy","message":"not now"}`, later, `200 OK, it reports a failure: "busy: not now"`},
		{"a failure of Jitsu", 200, `{"ok":false,"error":"no stream"}`, later, "it reports a failure"},
		{"a failure in other words", 200, `{"error":"quota"}`, later, "it reports a failure"},
		{"errors", 200, `{"errors":[{"message":"x"}]}`, later, "it reports a failure"},
		{"a failure as text", 200, `{"success":"false"}`, later, "it reports a failure"},
		{"a failure as a number", 200, `{"success":0}`, later, "it reports a failure"},
		{"a failure behind a byte order mark", 200, "\ufeff" + `{"success":false}`, later, "it reports a failure"},
		{"a failure as a status", 200, `{"status":"Error","message":"x"}`, later, "it reports a failure"},
		{"a failure in a list", 200, `[{"success":true},{"error":"x"}]`, later, "it reports a failure"},
		{"nothing but false", 200, ` false`, later, "it reports a failure"},
		{"JSON that is cut off", 200, `{"success":fal`, later, "cut off"},
		{"a list that is cut off", 200, `[{"success":true}`, later, "cut off"},
		{"no error, as a number", 200, `{"error":0}`, stored, ""},
		{"a list without failures", 200, `[{"status":200},null,5]`, stored, ""},
		{"a number of none that are rejected", 200, `{"accepted":3,"rejected":0}`, stored, ""},
		{"a number of them that is too large", 200, `{"rejected":4}`, later, "contradict"},
		{"a code that is not about the event", 200, `{"success":true,"rejected":[{"index":1,"code":"unknown_key"}]}`, []string{"stored", "later", "stored"}, ""},
		{"an unknown code", 200, `{"success":true,"rejected":[{"index":1,"code":"schema"}]}`, []string{"stored", "rejected", "stored"}, ""},
		{"no errors", 200, `{"errors":[]}`, stored, ""},
		{"a success with errors", 200, `{"success":true,"errors":["deprecated"]}`, stored, ""},
		{"several statuses, all good", 207, `{"success":true}`, stored, ""},
		{"several statuses, in another form", 207, `[{"status":200},{"status":400}]`, later, "it reports a failure"},
		{"one that is only busy", 200, `{"success":true,"rejected":[{"index":1,"code":"overloaded"},{"index":2,"code":"too_deep"}]}`,
			[]string{"stored", "later", "rejected"}, ""},
		{"a failure of MetaRouter", 207, `{"Success":false,"Errors":[{"Error":"Bad Request","Message":"m","Details":""}]}`, later, "it reports a failure"},
		{"no error", 200, `{"error":null}`, stored, ""},
		{"a count that leaves an event out", 200, `{"success":true,"accepted":2}`, later, "contradict"},
		{"a count that is none of events", 200, `{"accepted":true}`, stored, ""},
		{"counts that contradict the list", 200, `{"success":true,"accepted":3,"rejected":[{"index":1}]}`, later, "contradict"},
		{"a count of rejections below the list", 200, `{"success":true,"rejected":[{"index":1},{"index":0}],"rejectedCount":1}`, later, "contradict"},
		{"a count of rejections beyond the batch", 200, `{"success":true,"rejected":[{"index":1}],"rejectedCount":4}`, later, "contradict"},
		{"a count of rejections that is none", 200, `{"success":true,"rejected":[{"index":1}],"rejectedCount":"many"}`, later, "contradict"},
		{"an index with its id", 200, `{"rejected":[{"index":1,"messageId":"b"}]}`, []string{"stored", "rejected", "stored"}, ""},
		{"an index with an id that is cut", 200, `{"rejected":[{"index":1,"messageId":"b..."}]}`, []string{"stored", "rejected", "stored"}, ""},
		{"an index with the id of another", 200, `{"rejected":[{"index":1,"messageId":"c"}]}`, later, "is malformed"},
		{"a failure of all, by name", 200, `{"success":false,"accepted":0,"rejected":[{"index":0},{"index":1},{"index":2}]}`, rejected, ""},
		{"a failure of some", 200, `{"success":false,"rejected":[{"index":1}]}`, []string{"later", "rejected", "later"}, ""},
		{"a page", 200, " \n<!doctype html><title>Welcome</title>", later, "its response is a web page, the endpoint may be wrong"},

		{"bad content", 400, `{"success":false,"code":"too_deep","message":"the event is nested too deeply"}`,
			rejected, `400 Bad Request: "too_deep: the event is nested too deeply"`},
		{"unprocessable content", 422, `{"success":false,"code":"no_user_anon_id"}`, rejected, `422 Unprocessable Entity: "no_user_anon_id"`},
		{"bad content, of RudderStack in JSON", 400, `{"msg": "Request neither has anonymousId nor userId"}`, rejected, "400 Bad Request"},
		{"not the JSON that was sent", 400, `{"success":false,"code":"invalid_json","message":"the body is not valid JSON"}`,
			later, `400 Bad Request, the body may have been damaged in transfer, or a proxy has removed its Content-Encoding`},
		{"not the form that was sent", 400, `{"success":false,"code":"invalid_request"}`, later, "names no event"},
		{"no reason", 400, "", later, "400 Bad Request, it names no event that is at fault"},
		{"in words", 400, "Bad Request", later, `names no event that is at fault: "Bad Request"`},
		{"a text of RudderStack", 400, "Request neither has anonymousId nor userId\n", later, "names no event"},
		{"a key of an API gateway", 400, `{"message":"Invalid API key"}`, later, "the write key may be wrong"},
		{"a list for an object", 400, `[{"index":0}]`, later, "names no event"},
		{"unprocessable", 422, `{"error":{"deep":"object"}}`, later, "422 Unprocessable Entity, it names no event"},
		{"an unprocessable page", 422, "<html>", later, "is a web page"},
		{"bad content, all by name", 400,
			`{"success":false,"code":"all_refused","error":"every event was refused","rejected":[{"index":0},{"index":1},{"index":2}]}`, rejected, ""},
		{"bad content, one by name", 400, `{"success":false,"code":"strict_mode","rejected":[{"index":1}]}`,
			[]string{"later", "rejected", "later"}, "other events were rejected"},
		{"bad content, a malformed list", 400, `{"success":false,"rejected":[{"index":7}]}`, later, "is malformed"},
		{"a list with another status", 403, `{"success":false,"rejected":[{"index":0}]}`, later, "403 Forbidden"},
		{"incomplete body", 400, `{"success":false,"code":"incomplete_body"}`, later, "may have been damaged in transfer"},
		{"body cannot be decompressed", 400, `{"success":false,"code":"invalid_encoding"}`, later, "may have been damaged in transfer"},
		{"key unknown to Segment", 400, `{"success":false,"message":"An invalid write key was provided","code":"invalid_request"}`,
			later, "the write key may be wrong"},
		{"key unknown to MetaRouter", 400, `{"Error":"Bad Request","Message":"Invalid or missing writekey","Details":""}`,
			later, "the write key may be wrong"},

		{"moved", 301, "", later, "301 Moved Permanently, redirects are not followed"},
		{"found", 302, "", later, "redirects are not followed"},
		{"not modified", 304, "", later, "304 Not Modified"},
		{"redirected", 307, "", later, "redirects are not followed"},
		{"moved permanently", 308, "", later, "redirects are not followed"},
		{"unknown key", 401, `{"success":false,"code":"unknown_key"}`, later, `401 Unauthorized, the write key may be wrong: "unknown_key"`},
		{"over the quota", 402, "", later, "402 Payment Required"},
		{"forbidden", 403, "", later, "403 Forbidden, the write key may be wrong"},
		{"not found", 404, "404 page not found\n", later, `404 Not Found, the endpoint may be wrong: "404 page not found\n"`},
		{"wrong method", 405, "", later, "the endpoint may be wrong"},
		{"timeout", 408, "", later, "408 Request Timeout"},
		{"conflict", 409, "", later, "409 Conflict"},
		{"gone", 410, "", later, "410 Gone"},
		{"unsupported encoding", 415, "", later, "it may not support gzip"},
		{"too many requests", 429, "", later, "429 Too Many Requests"},
		{"an unknown status", 460, "", later, "460"},
		{"internal error", 500, `{"rejected":[{"index":0}]}`, later, "500 Internal Server Error"},
		{"not implemented", 501, "", later, "501"},
		{"bad gateway", 502, "<html>", later, `502 Bad Gateway: "<html>"`},
		{"unavailable", 503, "", later, "503 Service Unavailable"},
		{"a status beyond", 599, "", later, "599"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t, answering(t, row.status, row.body), nil)
			err := s.Write(t.Context(), events("a", "b", "c"))
			require.Equal(t, row.want, outcomes(err, 3), "%v", err)
			if row.inError != "" {
				require.ErrorContains(t, err, row.inError)
			}
			if row.status >= 300 && err != nil {
				requireStatus(t, err, row.status)
			}
		})
	}
}

// requireStatus checks the status in an error that applies to a whole request.
func requireStatus(t testing.TB, err error, status int) {
	t.Helper()
	if _, partial := err.(*inlet.BatchError); partial {
		return
	}
	var statusErr *httpsink.StatusError
	require.ErrorAs(t, err, &statusErr)
	require.Equal(t, status, statusErr.Status)
}

// newRefused returns a sink whose receiver answers by the ids of a request, joined, and the ids of
// each request.
func newRefused(t testing.TB, answer func(ids string) *http.Response) (*[]string, *httpsink.Sink) {
	t.Helper()
	sent := new([]string)
	return sent, newOffline(t, func(r *http.Request) (*http.Response, error) {
		ids := strings.Join(idsOf(t, r), "")
		*sent = append(*sent, ids)
		return answer(ids), nil
	}, nil)
}

// A refusal of the content that does not say which event is at fault.
func TestResponseOfWholeRequest(t *testing.T) {
	t.Parallel()
	sent, s := newRefused(t, func(ids string) *http.Response {
		if strings.Contains(ids, "c") {
			return respond(http.StatusBadRequest, `{"success":false,"code":"too_deep"}`)
		}
		return success()
	})
	err := s.Write(t.Context(), events("a", "b", "c", "d"))
	require.Equal(t, []string{"abcd", "ab", "cd", "c", "d"}, *sent)
	require.Equal(t, []string{"stored", "stored", "rejected", "stored"}, outcomes(err, 4), "%v", err)
}

func TestResponseTooLarge(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]func() *http.Response{
		"by Inlet's code": func() *http.Response { return respond(400, `{"success":false,"code":"payload_too_large"}`) },
		"by both":         func() *http.Response { return respond(413, `{"success":false,"code":"payload_too_large"}`) },
		"by its count":    func() *http.Response { return respond(400, `{"success":false,"code":"too_many_events"}`) },
		"like Segment":    func() *http.Response { return respond(400, `{"success":false,"message":"Exceed payload limit"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, s := newRefused(t, func(ids string) *http.Response {
				if len(ids) > 2 || ids == "d" || ids == "de" {
					return refusal()
				}
				return success()
			})
			err := s.Write(t.Context(), events("a", "b", "c", "d", "e"))
			require.Equal(t, []string{"abcde", "ab", "cde", "c", "de", "d", "e"}, *sent)
			require.Equal(t, []string{"stored", "stored", "stored", "rejected", "stored"}, outcomes(err, 5), "%v", err)
		})
	}
}

// A 207 whose form is not known: what is accepted is not sent forever.
func TestResponseMultiStatus(t *testing.T) {
	t.Parallel()
	sent, s := newRefused(t, func(ids string) *http.Response {
		if strings.Contains(ids, "c") {
			return respond(http.StatusMultiStatus, `{"Success":false,"Errors":[{"Error":"Bad Request","Message":"m"}]}`)
		}
		return success()
	})
	err := s.Write(t.Context(), events("a", "b", "c", "d"))
	require.Equal(t, []string{"abcd", "ab", "cd", "c"}, *sent)
	require.Equal(t, []string{"stored", "stored", "later", "later"}, outcomes(err, 4), "%v", err)
}

// A 413 without more may be that of a proxy whose limit is too small: the queue waits.
func TestResponseTooLargeForProxy(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":          "",
		"a page":           "<html><head><title>413 Request Entity Too Large</title></head></html>",
		"an API gateway":   `{"message":"Request Too Long"}`,
		"RudderStack, too": "Request size exceeds max limit\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, s := newRefused(t, func(ids string) *http.Response {
				if len(ids) > 2 || ids == "d" || ids == "de" {
					return respond(http.StatusRequestEntityTooLarge, body)
				}
				return success()
			})
			err := s.Write(t.Context(), events("a", "b", "c", "d", "e"))
			require.Equal(t, []string{"abcde", "ab", "cde", "c", "de", "d"}, *sent)
			require.Equal(t, []string{"stored", "stored", "stored", "later", "later"}, outcomes(err, 5), "%v", err)
			require.ErrorContains(t, err, "413 Request Entity Too Large, the limit of a proxy may be too small")
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	t.Run("header", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
			for _, row := range []struct {
				status       int
				retry, reset string
				want         time.Duration // 0 for none
			}{
				{429, "7", "", 7 * time.Second},
				{503, "7", "3", 7 * time.Second},
				{408, "1", "", time.Second},
				{500, "120", "", 2 * time.Minute},
				{401, "30", "", 30 * time.Second},
				{429, "", "9", 9 * time.Second},
				{429, "soon", "9", 9 * time.Second},
				{429, "0", "", 0},
				{429, "-1", "", 0},
				{429, "1.5", "", 0},
				{429, "", "", 0},
				{429, "301", "", 5 * time.Minute},
				{429, "99999999999999999999999", "", 5 * time.Minute},
				{429, "9223372036854775807", "", 5 * time.Minute},
				{503, date(90 * time.Second), "", 90 * time.Second},
				{503, date(48 * time.Hour), "", 5 * time.Minute},
				{503, date(-time.Hour), "", 0},
				{503, date(-time.Hour), "4", 4 * time.Second},
				{400, "7", "", 7 * time.Second},
				{413, "7", "", 7 * time.Second},
			} {
				s := newOffline(t, func(*http.Request) (*http.Response, error) {
					r := respond(row.status, "")
					r.Header.Set("Retry-After", row.retry)
					r.Header.Set("X-RateLimit-Reset", row.reset)
					return r, nil
				}, nil)
				wait, found := inlet.RetryDelay(s.Write(t.Context(), events("a")))
				require.Equal(t, row.want, wait, "%+v", row)
				require.Equal(t, row.want > 0, found, "%+v", row)
			}
		})
	})
	t.Run("maximum", func(t *testing.T) {
		t.Parallel()
		s := newSink(t, answering(t, 503, "", "Retry-After", "60"), &httpsink.Options{MaxRetryAfter: 3 * time.Second})
		wait, _ := inlet.RetryDelay(s.Write(t.Context(), events("a")))
		require.Equal(t, 3*time.Second, wait)
	})
}

func TestResponseBody(t *testing.T) {
	t.Parallel()
	t.Run("excerpt in the error", func(t *testing.T) {
		t.Parallel()
		body := "\x1b[31m\r\n\u202e\xff" + strings.Repeat("é", 10_000)
		s := newSink(t, answering(t, 503, body), nil)
		text := s.Write(t.Context(), events("a")).Error()
		require.Less(t, len(text), 600)
		require.Contains(t, text, `"\x1b[31m\r\n\u202e`+"\uFFFDé")
		require.NotContains(t, text, "\n")
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		for status, want := range map[int]string{200: "later", 400: "later", 503: "later"} {
			t.Run(fmt.Sprint(status), func(t *testing.T) {
				t.Parallel()
				body := new(endless)
				s := newOffline(t, func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Body: body}, nil
				}, nil)
				err := s.Write(t.Context(), events("a"))
				require.Equal(t, []string{want}, outcomes(err, 1), "%v", err)
				require.LessOrEqual(t, body.read, 65<<10+1)
				require.True(t, body.closed)
			})
		}
	})
	// An answer lists some of many rejected events; the others are sent again in smaller
	// requests, until all are listed.
	t.Run("long list of rejections", func(t *testing.T) {
		t.Parallel()
		ids := make([]string, 500)
		for i := range ids {
			ids[i] = fmt.Sprintf("%0100d", i)
		}
		r := newReceiver(t, nil, func(inlet.Sink) inlet.Sink {
			return inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
				batch := new(inlet.BatchError)
				for i, e := range events {
					if e.MessageID != ids[0] {
						why := &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: strings.Repeat("no", 200)}
						batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: inlet.Permanent(why)})
					}
				}
				if len(batch.Items) == 0 {
					return nil
				}
				return batch
			})
		})
		words := outcomes(newSink(t, r.url, nil).Write(t.Context(), events(ids...)), len(ids))
		require.Equal(t, "stored", words[0])
		for _, word := range words[1:] {
			require.Equal(t, "rejected", word)
		}
	})
	t.Run("dripping", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: dripping{r.Context()}}, nil
			}, nil)
			begun := time.Now()
			err := s.Write(t.Context(), events("a"))
			require.Equal(t, []string{"later"}, outcomes(err, 1))
			require.ErrorContains(t, err, "the outcome is unknown: the body of the response 200 is incomplete: timed out after 10s")
			require.Equal(t, 10*time.Second, time.Since(begun))
		})
	})
}

// endless is an endless response that counts how much of it is read.
type endless struct {
	read   int
	closed bool
}

// Read fills p.
func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

// Close records that the response was closed.
func (e *endless) Close() error {
	e.closed = true
	return nil
}

// dripping is a response that arrives byte by byte until its request is cancelled.
type dripping struct{ ctx context.Context }

// Read waits a second for the next byte.
func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return copy(p, " "), nil
	case <-d.ctx.Done():
		return 0, context.Cause(d.ctx)
	}
}

// Close does nothing.
func (d dripping) Close() error { return nil }

// FuzzAnswer sends three events to a receiver that answers anything.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"success":true}`, `{"success":true,"rejected":[{"index":1,"code":"too_deep"}]}`, `{"success":false}`,
		`{"success":true,"rejected":[{"index":1},{"index":1}]}`, `{"rejected":[{"index":3}]}`, `{"rejected":[null]}`,
		`{"success":false,"code":"payload_too_large"}`, `{"message":"invalid write key ` + writeKey + `"}`, "OK", "<html>", "",
		`{"ok":false,"receivedEvents":3,"okEvents":2,"errors":["Message ID: b: x"]}`, `{"success":false,"code":"all_refused"}`,
		"{\"message\":\"\\ud800\xff\"}", `{"success":true,"success":false}`, `{"rejected":[{"index":1e0}]}`,
	} {
		for _, status := range []int{200, 204, 302, 400, 401, 413, 422, 429, 503} {
			f.Add(status, body, "1", "2")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, retry, reset string) {
		if status < 100 || status > 999 {
			return
		}
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
				Header: http.Header{"Retry-After": {retry}, "X-Ratelimit-Reset": {reset}},
			}, nil
		}, nil)
		err := s.Write(t.Context(), events("a", "b", "c"))
		requireSoundOutcome(t, status, body, err)
	})
}

// requireSoundOutcome requires what holds forevery response: only a success stores
// events, only a response about the content rejects them permanently and only in JSON, and an
// error contains no secrets and is printable.
func requireSoundOutcome(t *testing.T, status int, body string, err error) {
	words := outcomes(err, 3)
	if !json.Valid([]byte(body)) {
		require.NotContains(t, words, "rejected", "%d: %v", status, err)
	}
	if status/100 != 2 {
		require.NotContains(t, words, "stored", "%d: %v", status, err)
	}
	if status/100 != 2 && status != 400 && status != 413 && status != 422 {
		require.Equal(t, later, words, "%d: %v", status, err)
	}
	if batch, ok := err.(*inlet.BatchError); ok {
		require.NoError(t, itemerrors.Validate(batch, 3))
	} else if status/100 == 2 {
		require.False(t, inlet.IsPermanent(err), "%v", err)
	}
	wait, _ := inlet.RetryDelay(err)
	require.LessOrEqual(t, wait, 5*time.Minute)
	if err != nil {
		requirePrintable(t, err.Error())
	}
}

func requirePrintable(t *testing.T, text string) {
	require.Less(t, len(text), 1_500)
	require.NotContains(t, text, writeKey)
	require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }), "%q", text)
}
