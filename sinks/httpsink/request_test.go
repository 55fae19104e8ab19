package httpsink_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinktest"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"form": false, "plain form": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testForm(t, plain) }) // a bubble's time begins in 2000
		})
	}
	t.Run("event without a time", func(t *testing.T) {
		t.Parallel()
		var body string
		s := newOffline(t, func(r *http.Request) (*http.Response, error) {
			body = bodyOf(t, r)
			return success(), nil
		}, nil)
		batch := events("m1")
		batch[0].Timestamp, batch[0].ReceivedAt = time.Time{}, time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
		require.NoError(t, s.Write(t.Context(), batch))
		require.Contains(t, body, `"timestamp":"2026-05-06T07:08:09Z"`)
	})
	t.Run("compression", func(t *testing.T) {
		t.Parallel()
		repeated := events("m1")
		repeated[0].Properties = json.RawMessage(`{"text":"` + strings.Repeat("x", 30_000) + `"}`)
		for name, row := range map[string]struct {
			events   []*inlet.Event
			disable  bool
			encoding string
		}{
			"on":                  {events("m1", "m2"), false, "gzip"},
			"turned off":          {events("m1", "m2"), true, ""},
			"looks like a bomb":   {repeated, false, ""},
			"hardly compressible": {randomEvents(20), false, "gzip"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newOffline(t, func(r *http.Request) (*http.Response, error) {
					require.Equal(t, row.encoding, r.Header.Get("Content-Encoding"))
					require.Len(t, idsOf(t, r), len(row.events))
					return success(), nil
				}, &httpsink.Options{DisableCompression: row.disable})
				require.NoError(t, s.Write(t.Context(), row.events))
			})
		}
	})
}

// testForm holds every byte of a request.
func testForm(t *testing.T, plain bool) {
	var body string
	var header http.Header
	s := newOffline(t, func(r *http.Request) (*http.Response, error) {
		body, header = bodyOf(t, r), r.Header.Clone()
		require.Equal(t, "POST https://events.example/v1/batch", r.Method+" "+r.URL.String())
		require.NotZero(t, r.ContentLength)
		return success(), nil
	}, &httpsink.Options{Plain: plain})
	batch := events("m1", "m2")
	batch[0].OriginalTimestamp, batch[0].SentAt = batch[0].Timestamp.Add(-time.Hour), batch[0].Timestamp.Add(-time.Minute)
	batch[0].Warnings = inlet.WarnTextRepaired | inlet.WarnIDNotString
	batch[0].Properties = json.RawMessage("{\n\"total\": 12345678901234567890}")
	batch[1].Extra = json.RawMessage(`{"channel":"web","_client":{"receivedAt":"now"}}`)
	require.NoError(t, s.Write(t.Context(), batch))

	about := `,"_inlet":[["segment","2026-01-02T02:04:05Z","2026-01-02T03:03:05Z","text_repaired id_not_string"],["segment","","",""]]`
	if plain {
		about = ""
	}
	require.Equal(t, `{"batch":[`+
		`{"type":"track","event":"Signed Up","messageId":"m1","userId":"u","timestamp":"2026-01-02T03:04:05Z",`+
		`"properties":{"total":12345678901234567890}},`+
		`{"type":"track","event":"Signed Up","messageId":"m2","userId":"u","timestamp":"2026-01-02T03:04:05Z",`+
		`"channel":"web","_client":{"receivedAt":"now"}}`+
		`],"sentAt":"2000-01-01T00:00:00.000Z"`+about+`}`, body)
	require.Len(t, header.Get("Idempotency-Key"), 32)
	header.Del("Idempotency-Key")
	require.Equal(t, http.Header{
		"Accept":           {"application/json"},
		"Authorization":    {"Basic d2stM2Y5YzFkN2E1ZTo="},
		"Content-Encoding": {"gzip"},
		"Content-Type":     {"application/json"},
		"User-Agent":       {"inlet-httpsink"},
	}, header)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	key := func(batch []*inlet.Event) (key string) {
		s := newOffline(t, func(r *http.Request) (*http.Response, error) {
			key = r.Header.Get("Idempotency-Key")
			return success(), nil
		}, nil)
		require.NoError(t, s.Write(t.Context(), batch))
		return key
	}
	other := events("a", "b")
	other[1].Source = &inlet.Source{ID: "app"}
	changed := events("a", "b")
	changed[0].Name = "Renamed"

	require.Equal(t, key(events("a", "b")), key(events("a", "b")))
	require.Equal(t, key(events("a", "b")), key(changed), "the ids decide what a retry of the same events is")
	require.NotEqual(t, key(events("a", "b")), key(events("b", "a")))
	require.NotEqual(t, key(events("a", "b")), key(events("ab")))
	require.NotEqual(t, key(events("a", "b")), key(events("a")))
	require.NotEqual(t, key(events("a", "b")), key(other), "another source may have the same ids")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("kept, in order", func(t *testing.T) {
		t.Parallel()
		for range 50 {
			o := httpsink.Options{MaxEvents: 1 + rand.N(8), MaxBytes: 4_000 + rand.N(6_000), DisableCompression: true}
			var arrived []string
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				require.LessOrEqual(t, r.ContentLength, int64(o.MaxBytes))
				ids := idsOf(t, r)
				require.LessOrEqual(t, len(ids), o.MaxEvents)
				arrived = append(arrived, ids...)
				return success(), nil
			}, &o)
			batch := randomEvents(40)
			require.NoError(t, s.Write(t.Context(), batch))
			require.Len(t, arrived, len(batch))
			for i, id := range arrived {
				require.Equal(t, batch[i].MessageID, id)
			}
		}
	})
	t.Run("requests are full", func(t *testing.T) {
		t.Parallel()
		one := len(`{"type":"track","event":"Signed Up","messageId":"m1","userId":"u","timestamp":"2026-01-02T03:04:05Z"}`)
		one += len(`["segment","","",""]`)
		envelope := len(`{"batch":[],"sentAt":"2000-01-01T00:00:00.000Z","_inlet":[]}`)
		for spare, want := range map[int]string{0: "[[m1 m2] [m3]]", -1: "[[m1] [m2] [m3]]", one + 1: "[[m1 m2] [m3]]", one + 2: "[[m1 m2 m3]]"} {
			var requests [][]string
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				requests = append(requests, idsOf(t, r))
				return success(), nil
			}, &httpsink.Options{MaxBytes: envelope + 2*one + len(",,") + spare})
			require.NoError(t, s.Write(t.Context(), events("m1", "m2", "m3")))
			require.Equal(t, want, fmt.Sprint(requests), "with %d bytes in addition to two events", spare)
		}
	})
	t.Run("one event too large", func(t *testing.T) {
		t.Parallel()
		for size, want := range map[int]string{40_000: "stored", 40_001: "rejected"} {
			batch := events("a", "b", "c")
			bare := len(`{"type":"track","event":"Signed Up","messageId":"b","userId":"u","timestamp":"2026-01-02T03:04:05Z","properties":{"":""}}`)
			batch[1].Properties = json.RawMessage(`{"":"` + strings.Repeat("x", size-bare) + `"}`)
			s := newOffline(t, func(*http.Request) (*http.Response, error) { return success(), nil },
				&httpsink.Options{MaxEventBytes: 40_000})
			err := s.Write(t.Context(), batch)
			require.Equal(t, []string{"stored", want, "stored"}, outcomes(err, 3), "%v", err)
			if want == "rejected" {
				var problem *inlet.Problem
				require.ErrorAs(t, err, &problem, "the client must get the code")
				require.Equal(t, inlet.CodeEventTooLarge, problem.Code)
			}
		}
	})
	t.Run("all events too large", func(t *testing.T) {
		t.Parallel()
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			require.Fail(t, "a request was sent")
			return nil, nil
		}, &httpsink.Options{MaxEventBytes: 10})
		require.Equal(t, []string{"rejected", "rejected"}, outcomes(s.Write(t.Context(), events("a", "b")), 2))
	})
}

func TestWriteStops(t *testing.T) {
	t.Parallel()
	t.Run("after a temporary failure", func(t *testing.T) {
		t.Parallel()
		sent := 0
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent == 2 {
				r := respond(503, "")
				r.Header.Set("Retry-After", "9")
				return r, nil
			}
			return respond(200, `{"success":true,"rejected":[{"index":1}]}`), nil
		}, &httpsink.Options{MaxEvents: 2, MaxEventBytes: 200})
		batch := events("a", "b", "c", "d", "e", "f")
		batch[4].UserID = strings.Repeat("u", 200)
		err := s.Write(t.Context(), batch)
		require.Equal(t, 2, sent)
		require.Equal(t, []string{"stored", "rejected", "later", "later", "rejected", "later"}, outcomes(err, 6), "%v", err)
		wait, _ := inlet.RetryDelay(err)
		require.Equal(t, 9*time.Second, wait)
	})
	t.Run("after a partial failure", func(t *testing.T) {
		t.Parallel()
		sent := 0
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			sent++
			return respond(200, `{"success":false,"rejected":[{"index":0}]}`), nil
		}, &httpsink.Options{MaxEvents: 2})
		err := s.Write(t.Context(), events("a", "b", "c"))
		require.Equal(t, 1, sent)
		require.Equal(t, []string{"rejected", "later", "later"}, outcomes(err, 3), "%v", err)
	})
	t.Run("after a refused request", func(t *testing.T) {
		t.Parallel()
		sent := 0
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent == 2 {
				return respond(400, ""), nil
			}
			return success(), nil
		}, &httpsink.Options{MaxEvents: 2})
		err := s.Write(t.Context(), events("a", "b", "c", "d", "e"))
		require.Equal(t, 2, sent)
		require.Equal(t, []string{"stored", "stored", "later", "later", "later"}, outcomes(err, 5), "%v", err)
	})
}

func TestTime(t *testing.T) {
	t.Parallel()
	t.Run("corrected once", func(t *testing.T) {
		t.Parallel()
		for _, ahead := range clocks {
			t.Run(ahead.String(), func(t *testing.T) {
				t.Parallel()
				far := newReceiver(t, nil, nil)
				near := new(sinks.Memory)
				forward := newSink(t, far.url, nil)
				first := newReceiver(t, nil, func(inlet.Sink) inlet.Sink { return inlet.SinkFunc(both(near, forward)) })

				now := time.Now().Add(ahead)
				body := `{"batch":[` +
					`{"type":"track","event":"Now","userId":"u","messageId":"m1","timestamp":"` + format(now) + `"},` +
					`{"type":"track","event":"Earlier","userId":"u","messageId":"m2","timestamp":"` + format(now.Add(-time.Hour)) + `"},` +
					`{"type":"track","event":"Offline","userId":"u","messageId":"m3","originalTimestamp":"` + format(now.Add(-time.Minute)) + `"}` +
					`],"sentAt":"` + format(now) + `"}`
				post(t, first.url+"/v1/batch", body)

				require.Len(t, near.Events(), 3)
				for i, want := range near.Events() {
					got := far.Events()[i]
					require.Equal(t, want.MessageID, got.MessageID)
					require.WithinDuration(t, want.Timestamp, got.Timestamp, 0)
					require.Zero(t, got.Extra)
				}
			})
		}
	})
	t.Run("kept by Segment's formula", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			batch := sinktest.Events(20)
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				receivedAt := time.Now()
				var envelope struct {
					SentAt time.Time
					Batch  []struct{ Timestamp, OriginalTimestamp, SentAt, ReceivedAt time.Time }
				}
				require.NoError(t, json.Unmarshal([]byte(bodyOf(t, r)), &envelope))
				require.Len(t, envelope.Batch, len(batch))
				for i, e := range envelope.Batch {
					require.Zero(t, e.OriginalTimestamp)
					require.Zero(t, e.SentAt)
					require.Zero(t, e.ReceivedAt)
					corrected := receivedAt.Add(-envelope.SentAt.Sub(e.Timestamp))
					require.WithinDuration(t, batch[i].Timestamp, corrected, 0)
				}
				return success(), nil
			}, nil)
			require.NoError(t, s.Write(t.Context(), batch))
		})
	})
	t.Run("sentAt of each attempt", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { // a bubble's time begins in 2000
			var bodies, keys []string
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				bodies, keys = append(bodies, bodyOf(t, r)), append(keys, r.Header.Get("Idempotency-Key"))
				return respond(503, ""), nil
			}, nil)
			for range 2 {
				require.Error(t, s.Write(t.Context(), events("a")))
				time.Sleep(90 * time.Second)
			}
			require.Contains(t, bodies[0], `"sentAt":"2000-01-01T00:00:00.000Z"`)
			require.Contains(t, bodies[1], `"sentAt":"2000-01-01T00:01:30.000Z"`)
			require.Equal(t, keys[0], keys[1])
		})
	})
}

// randomEvents makes events of random sizes and text.
func randomEvents(n int) []*inlet.Event {
	batch := make([]*inlet.Event, n)
	for i := range batch {
		batch[i] = events(fmt.Sprint("m", i))[0]
		text := make([]byte, rand.N(3_000))
		for j := range text {
			text[j] = byte('a' + rand.N(26))
		}
		batch[i].Properties = json.RawMessage(`{"text":"` + string(text) + `"}`)
	}
	return batch
}

// clocks are differences by which a client's clock is ahead of ours.
var clocks = []time.Duration{-time.Hour, -2 * time.Second, 0, 2 * time.Second, 90 * time.Second, 23 * time.Hour, 48 * time.Hour}

// both writes to a memory and then to another sink.
func both(first *sinks.Memory, second inlet.Sink) func(context.Context, []*inlet.Event) error {
	return func(ctx context.Context, events []*inlet.Event) error {
		if err := first.Write(ctx, events); err != nil {
			return err
		}
		return second.Write(ctx, events)
	}
}

func format(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func post(t testing.TB, url, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth(writeKey, "")
	response, err := new(http.Client).Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
