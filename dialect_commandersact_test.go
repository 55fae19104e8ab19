package inlet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

const (
	// actsPath is where the vendor's clients post an event.
	actsPath = "/events?tc_s=3311&token=" + actsToken
	// goodActs is an event that is accepted.
	goodActs = `{"event_name":"login","method":"mail","user":{"id":"c1"},"context":{"event_id":"e1","event_timestamp":1772280000123}}`
)

func TestCommandersActRequest(t *testing.T) {
	t.Parallel()
	// Trap 23: the vendor's OpenAPI file makes a path with a slash at its end.
	t.Run("paths", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/events", "/events/", "//events", "/events/batch", "/events/batch/"} {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				body := goodActs
				if strings.Contains(path, "batch") {
					body = batchOf(goodActs)
				}
				r := request(http.MethodPost, actsPath, strings.NewReader(body))
				r.URL.Path = path
				requireSuccess(t, s.do(r))
				require.Equal(t, "commandersact", s.only(t).Dialect)
			})
		}
		t.Run("other methods are refused, and the allowed ones named", func(t *testing.T) {
			t.Parallel()
			w := newDialectServer(t).do(request(http.MethodPut, actsPath, strings.NewReader(goodActs)))
			requireRefused(t, w, 405, inlet.CodeMethodNotAllowed)
			require.Equal(t, "GET, HEAD, POST", w.Header().Get("Allow"))
		})
	})
	t.Run("content types", func(t *testing.T) {
		t.Parallel()
		for _, contentType := range []string{"application/json", "text/plain;charset=UTF-8", ""} {
			requireSuccess(t, newDialectServer(t).do(request(http.MethodPost, actsPath, strings.NewReader(goodActs), "Content-Type", contentType)))
		}
	})
}

// Traps 5 and 6: the key is a token in the query or a Bearer token, and both only
// if they are the same.
func TestCommandersActKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, query, authorization string
		source                     string
		code                       inlet.Code
	}{
		{name: "in the query", query: "?tc_s=1&token=" + actsToken, source: "site"},
		{name: "as a Bearer token, as the first documents print it", query: "?tc_s=1", authorization: "Bearer " + oddToken, source: "server"},
		{name: "as a bearer token in lower case", authorization: "bearer " + oddToken, source: "server"},
		{name: "in the query, with a plus that was not escaped", query: "?token=" + oddToken, source: "server"},
		{name: "in the query, escaped", query: "?token=NJtcKa%2BYu%2FmGZDxRgMBMUw%3D%3D", source: "server"},
		{name: "in both places, the same", query: "?token=" + oddToken, authorization: "Bearer " + oddToken, source: "server"},
		{name: "in both places, and they differ", query: "?token=" + actsToken, authorization: "Bearer " + oddToken, code: inlet.CodeConflictingKeys},
		{name: "in both places, and one is not known", query: "?token=" + actsToken, authorization: "Bearer unknown", code: inlet.CodeConflictingKeys},
		{name: "that is not known", query: "?token=unknown", code: inlet.CodeUnknownKey},
		{name: "nowhere", query: "?tc_s=1", code: inlet.CodeMissingKey},
	} {
		t.Run("a key "+tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			w := s.do(request(http.MethodPost, "/events"+tt.query, strings.NewReader(goodActs), "Authorization", tt.authorization))
			if tt.code != "" {
				requireRefused(t, w, 401, tt.code)
				require.Empty(t, s.events)
				return
			}
			requireSuccess(t, w)
			require.Equal(t, tt.source, s.only(t).Source.ID)
			require.NotContains(t, string(s.only(t).AppendJSON(nil)), "NJtcKa")
		})
	}
	t.Run("a source that is switched off is 403", func(t *testing.T) {
		t.Parallel()
		requireRefused(t, newDialectServer(t).post("/events?token=switched", "", goodActs), 403, inlet.CodeSourceDisabled)
	})
	t.Run("a key of browsers is bound to its origins", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requireRefused(t, s.post("/events?token=a-browser", "", goodActs), 403, inlet.CodeOriginNotAllowed)
		requireSuccess(t, s.do(request(http.MethodPost, "/events?token=a-browser", strings.NewReader(goodActs), "Origin", "https://shop.example")))
	})
}

// Trap 22: a KB is the larger of its meanings, and an event is measured as it was
// sent.
func TestCommandersActLimits(t *testing.T) {
	t.Parallel()
	event := func(size int) string {
		const head, tail = `{"event_name":"login","fill":"`, `"}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	batch := func(size int) string {
		body := batchOf(repeated(16, event(31_000))...)
		return body + strings.Repeat(" ", size-len(body))
	}
	for _, tt := range []struct {
		name, path, body string
		code             inlet.Code
	}{
		{"an event of 32 KiB", "/events", event(32_768), ""},
		{"an event of a byte more", "/events", event(32_769), inlet.CodePayloadTooLarge},
		{"a batch of 500 KB, also where that is 512,000 bytes", "/events/batch", batch(512_000), ""},
		{"a batch of a byte more", "/events/batch", batch(512_001), inlet.CodePayloadTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newDialectServer(t).post(tt.path+"?token="+actsToken, "", tt.body)
			if tt.code != "" {
				requireRefused(t, w, 400, tt.code)
				return
			}
			requireSuccess(t, w)
		})
	}
	t.Run("an event of a batch that is a byte larger is refused alone", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		w := s.post("/events/batch?token="+actsToken, "", batchOf(event(32_768), event(32_769)))
		require.Equal(t, 200, w.Code)
		a := readReply(t, w)
		require.True(t, *a.Success)
		require.Equal(t, []inlet.Reject{{Index: 1, Problem: inlet.Problem{Code: inlet.CodeEventTooLarge, Message: "the event is too large"}}}, a.Rejected)
		require.Len(t, s.events, 1)
	})
}

func TestCommandersActAnswer(t *testing.T) {
	t.Parallel()
	t.Run("200 for events that are refused", func(t *testing.T) {
		t.Parallel()
		const nameless = `{"context":{"event_id":"e2"}}`
		rejected := func(index int) inlet.Reject {
			return inlet.Reject{Index: index, MessageID: "e2", Problem: inlet.Problem{
				Code: inlet.CodeEventNotDefined, Message: "event_name is required", Field: "event_name"}}
		}
		t.Run("one of two", func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			w := s.post("/events/batch?token="+actsToken, "", batchOf(goodActs, nameless))
			a := readReply(t, w)
			require.Equal(t, 200, w.Code)
			require.True(t, *a.Success)
			require.Equal(t, 1, *a.Accepted)
			require.Equal(t, []inlet.Reject{rejected(1)}, a.Rejected)
			s.only(t)
		})
		t.Run("the only one", func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			a := requireRefused(t, s.post(actsPath, "", nameless), 200, inlet.CodeEventNotDefined)
			require.Zero(t, *a.Accepted)
			require.Equal(t, []inlet.Reject{rejected(0)}, a.Rejected)
			require.Empty(t, s.events)
		})
		t.Run("all of them", func(t *testing.T) {
			t.Parallel()
			a := requireRefused(t, newDialectServer(t).post("/events/batch?token="+actsToken, "", batchOf(nameless, nameless)), 200, inlet.CodeAllRefused)
			require.Zero(t, *a.Accepted)
			require.Equal(t, []inlet.Reject{rejected(0), rejected(1)}, a.Rejected)
		})
		t.Run("but not in strict mode", func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			r := request(http.MethodPost, "/events/batch?token="+actsToken, strings.NewReader(batchOf(goodActs, nameless)), "X-Strict-Mode", "1")
			requireRefused(t, s.do(r), 400, inlet.CodeStrictMode)
			require.Empty(t, s.events)
		})
	})
	t.Run("400 for a body that is not an event", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, path, body string
			code             inlet.Code
		}{
			{"bad JSON", "/events", `{"event_name":"login",}`, inlet.CodeInvalidJSON},
			{"nothing", "/events", ``, inlet.CodeInvalidJSON},
			{"a list", "/events", `[` + goodActs + `]`, inlet.CodeInvalidRequest},
			{"bad JSON in one event of a batch", "/events/batch", `{"batch":[` + goodActs + `,{"event_name":NaN}]}`, inlet.CodeInvalidJSON},
			{"a batch without events", "/events/batch", `{"batch":[]}`, inlet.CodeEmptyBatch},
			{"a batch that is not a list", "/events/batch", goodActs, inlet.CodeBatchNotArray},
			{"a duplicate name", "/events", `{"event_name":"login","event_name":"logout"}`, inlet.CodeDuplicateName},
			{"more than 2,500 events", "/events/batch", batchOf(repeated(2501, `{"event_name":"login"}`)...), inlet.CodeTooManyEvents},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				requireRefused(t, s.post(tt.path+"?token="+actsToken, "", tt.body), 400, tt.code)
				require.Empty(t, s.events)
			})
		}
		t.Run("a site's id that is too long", func(t *testing.T) {
			t.Parallel()
			requireSuccess(t, newDialectServer(t).post("/events?token="+actsToken+"&tc_s="+strings.Repeat("%C3%A9", 100), "", goodActs))
			a := requireRefused(t, newDialectServer(t).post("/events?token="+actsToken+"&tc_s="+strings.Repeat("1", 101), "", goodActs), 400, inlet.CodeInvalidRequest)
			require.Equal(t, "tc_s", a.Field)
		})
	})
	t.Run("503 while the sink is down", func(t *testing.T) {
		t.Parallel()
		h := middleware.Auth(dialectKeys, nil)(mustNew(t, testsink.Failing(context.DeadlineExceeded), nil))
		w := serve(h, request(http.MethodPost, actsPath, strings.NewReader(goodActs)))
		requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
	})
	t.Run("no rate limit of its own", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		for i := range 1000 {
			requireSuccess(t, s.post(actsPath, "", fmt.Sprintf(`{"event_name":"login","context":{"event_id":"e%d"}}`, i)))
		}
		require.Len(t, s.events, 1000)
		t.Run("a limit that a team sets answers 429 with the time to wait", func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t, middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1, Burst: 1, Key: middleware.BySource}))
			requireSuccess(t, s.post(actsPath, "", goodActs))
			w := s.post(actsPath, "", goodActs)
			requireRefused(t, w, 429, inlet.CodeRateLimited)
			require.Regexp(t, "^[1-3]$", w.Header().Get("Retry-After"))
		})
	})
}

// Trap 39: milliseconds as a number or a string, ISO 8601; seconds are a guess. Trap 47:
// the documents' batch prints the time next to the context. Trap 45: the vendor's own
// sender has only the time when it made the event.
func TestCommandersActTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 28, 12, 0, 0, 123000000, time.UTC)
	for _, tt := range []struct {
		name, root, context string // members
		want                time.Time
		warnings            inlet.Warnings
	}{
		{"milliseconds", ``, `"event_timestamp":1772280000123`, at, 0},
		{"milliseconds in a string", ``, `"event_timestamp":"1772280000123"`, at, 0},
		{"ISO 8601", ``, `"event_timestamp":"2026-02-28T12:00:00.123Z"`, at, 0},
		{"ISO 8601 with an offset", ``, `"event_timestamp":"2026-02-28T13:00:00.123+01:00"`, at, 0},
		{"ISO 8601 without a zone", ``, `"event_timestamp":"2026-02-28T12:00:00.123"`, at, inlet.WarnTimestampGuessed},
		{"seconds", ``, `"event_timestamp":1772280000`, at.Truncate(time.Second), inlet.WarnTimestampGuessed},
		{"next to the context", `,"event_timestamp":"1772280000123"`, ``, at, 0},
		{"in both places the context's counts", `,"event_timestamp":1`, `"event_timestamp":1772280000123`, at, 0},
		{"of the vendor's own sender", ``, `"created":"2026-02-28T12:00:00.123Z"`, at, 0},
		{"of the vendor's own sender next to the documented one", ``, `"created":"2020-01-01T00:00:00Z","event_timestamp":1772280000123`, at, 0},
		{"none", ``, ``, dialectNow, 0},
		{"null and nothing", `,"event_timestamp":""`, `"event_timestamp":null`, dialectNow, 0},
		{"microseconds", ``, `"event_timestamp":1772280000123456`, dialectNow, inlet.WarnTimestampInvalid},
		{"day and month in some order", ``, `"event_timestamp":"11/01/2022 14:32"`, dialectNow, inlet.WarnTimestampInvalid},
		{"zero", ``, `"event_timestamp":0`, dialectNow, inlet.WarnTimestampInvalid},
		{"to come", ``, `"event_timestamp":1972280000123`, dialectNow, inlet.WarnTimestampClamped},
		{"an old one is not corrected", ``, `"event_timestamp":1639044446636`, time.UnixMilli(1639044446636).UTC(), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			atDialectNow(t, func(t *testing.T) {
				s := newDialectServer(t)
				context := strings.TrimSuffix(`"event_id":"e1",`+tt.context, ",")
				requireSuccess(t, s.post(actsPath, "", `{"event_name":"login"`+tt.root+`,"context":{`+context+`}}`))
				e := s.only(t)
				require.Equal(t, tt.want, e.Timestamp)
				require.Equal(t, tt.warnings, e.Warnings)
				require.Zero(t, e.SentAt)
				require.Equal(t, `{`+context+`}`, string(e.Context))
			})
		})
	}
}

func TestCommandersActEventID(t *testing.T) {
	t.Parallel()
	// Trap 43: each vendor's id is the one that duplicates are known by. Trap 45: the
	// vendor's own sender writes it in another way.
	t.Run("is the id of deduplication", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, root, context string
			want                string
			warnings            inlet.Warnings
		}{
			{"as documented", ``, `"event_id":"e1"`, "e1", 0},
			{"as the vendor's own sender writes it", ``, `"eventId":"177228000012300000000006"`, "177228000012300000000006", 0},
			{"the documented one counts", `,"event_id":"e3"`, `"eventId":"e2","event_id":"e1"`, "e1", 0},
			{"next to the context", `,"event_id":"e1"`, ``, "e1", 0},
			{"a number beyond 2^53 keeps its digits", ``, `"event_id":202110130000000001`, "202110130000000001", inlet.WarnIDNotString},
			{"none", ``, `"event_id":" "`, "", inlet.WarnMessageIDGenerated},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				requireSuccess(t, s.post(actsPath, "", `{"event_name":"login"`+tt.root+`,"context":{`+tt.context+`}}`))
				e := s.only(t)
				if tt.want != "" {
					require.Equal(t, tt.want, e.MessageID)
				}
				require.Equal(t, tt.warnings, e.Warnings)
				requireCanonical(t, e)
			})
		}
		t.Run("a retry is stored once and answered alike", func(t *testing.T) {
			t.Parallel()
			stored := new(testsink.Keeper)
			dedupe, err := sinks.NewDedupe(stored, nil)
			require.NoError(t, err)
			h := middleware.Auth(dialectKeys, nil)(mustNew(t, dedupe, nil))
			for range 3 {
				requireSuccess(t, serve(h, request(http.MethodPost, actsPath, strings.NewReader(goodActs))))
			}
			require.Len(t, stored.Events(), 1)
		})
	})
	t.Run("is a property next to a context of version 2", func(t *testing.T) {
		t.Parallel()
		events := new(testsink.Keeper)
		h := mustNew(t, events, nil)
		w := serve(h, authenticated("/events", `{"event_name":"x","event_id":"mine","event_timestamp":1,"context":{"version":2}}`))
		require.Equal(t, 200, w.Code, w.Body.String())
		stored := events.Events()
		require.Len(t, stored, 1)
		require.True(t, stored[0].GeneratedID())
		require.Zero(t, stored[0].OriginalTimestamp)
		require.JSONEq(t, `{"event_id":"mine","event_timestamp":1}`, string(stored[0].Properties))
	})
}

func TestCommandersActFields(t *testing.T) {
	t.Parallel()
	t.Run("every member is kept", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct{ name, body, properties string }{
			{"members of the root are properties, reserved names too",
				`{"event_name":"e","type":"offline","messageId":1,"timestamp":null,"receivedAt":"x","token":"data","traits":[],"tc_s":"9"}`,
				`{"type":"offline","messageId":1,"timestamp":null,"receivedAt":"x","token":"data","traits":[],"tc_s":"9"}`},
			{"a name by the old alias is the name", `{"event":"e","a":1}`, `{"a":1}`},
			{"a name by the old alias next to an empty one is the name", `{"event":"e","event_name":"","a":1}`, `{"a":1}`},
			{"next to a name the alias is a property", `{"event_name":"e","event":"gtm.click"}`, `{"event":"gtm.click"}`},
			{"properties next to a context of version 2 are one property", `{"event_name":"e","properties":{"a":1},"context":{"version":2}}`, `{"properties":{"a":1}}`},
			{"numbers keep their digits", `{"event_name":"e","id":9007199254740993,"v":1.10}`, `{"id":9007199254740993,"v":1.10}`},
			{"names of another dialect's keys are data", `{"event_name":"e","writeKey":"k","appId":"com.shop.app","projectId":1}`,
				`{"writeKey":"k","appId":"com.shop.app","projectId":1}`},
			{"names that are written with escapes are the same names", `{"event\u005fname":"e","\u0061":1}`, `{"a":1}`},
			{"nothing else is no properties", `{"event_name":"e"}`, ``},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				requireSuccess(t, s.post(actsPath, "", tt.body))
				e := s.only(t)
				require.Equal(t, "e", e.Name)
				require.Equal(t, tt.properties, string(e.Properties))
				require.Equal(t, `{"tc_s":"3311"}`, string(e.Extra))
				requireCanonical(t, e)
			})
		}
	})
	// Trap 46: numbers and strings, and both names, are as they were sent.
	t.Run("consent is kept as sent", func(t *testing.T) {
		t.Parallel()
		const user = `{"id":"c1","consent_categories":[1,"3"],"rejected_vendors":"ALL","refused_vendors":[]}`
		s := newDialectServer(t)
		requireSuccess(t, s.post(actsPath, "", `{"event_name":"login","user":`+user+`}`))
		require.Equal(t, user, string(s.only(t).Traits))
	})
	t.Run("any name", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"Signed Up", "Item Purchased", "Article Bookmarked", "purchase", "café ☕", strings.Repeat("n", 1000)} {
			s := newDialectServer(t)
			requireSuccess(t, s.post(actsPath, "", `{"event_name":"`+name+`"}`))
			require.Equal(t, name, s.only(t).Name)
			require.Equal(t, inlet.TypeTrack, s.only(t).Type)
		}
	})
	t.Run("user and context are optional", func(t *testing.T) {
		t.Parallel()
		for _, body := range []string{
			`{"event_name":"login"}`,
			`{"event_name":"page_view"}`, // without the page_type that the documents require
			`{"event_name":"purchase","user":{}}`,
			`{"event_name":"login","user":null,"context":null,"integrations":null}`,
			`{"event_name":"login","user":[],"context":[]}`,
			`{"event_name":"login","user":{"consent_categories":[]}}`,
		} {
			s := newDialectServer(t)
			requireSuccess(t, s.post(actsPath, "", body))
			require.Empty(t, s.only(t).UserID)
			require.True(t, s.only(t).GeneratedID())
			requireCanonical(t, s.only(t))
		}
		t.Run("but an event of Segment's does", func(t *testing.T) {
			t.Parallel()
			requireRefused(t, newDialectServer(t).post("/v1/track", actsToken, `{"event":"login"}`), 400, inlet.CodeNoUserAnonID)
		})
	})
	t.Run("broken text is repaired", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requireSuccess(t, s.post("/events/batch?token="+actsToken+"&tc_s=%ff", "", batchOf(`{"event_name":"a\ud83d","context":{"event_id":"1"}}`, `{"event_name":"b","context":{"event_id":"2"}}`)))
		require.Len(t, s.events, 2)
		require.Equal(t, "a\uFFFD", s.events[0].Name)
		require.Equal(t, inlet.WarnTextRepaired, s.events[0].Warnings)
		require.Zero(t, s.events[1].Warnings)
		for _, e := range s.events {
			require.Equal(t, `{"tc_s":"`+"\uFFFD"+`"}`, string(e.Extra))
			requireCanonical(t, e)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, body string
			code       inlet.Code
			field      string
		}{
			{"without a name", `{"user":{"id":"c1"}}`, inlet.CodeEventNotDefined, "event_name"},
			{"whose name is empty", `{"event_name":""}`, inlet.CodeEventNotDefined, "event_name"},
			{"whose name is not a string", `{"event_name":7}`, inlet.CodeEventNotString, "event_name"},
			{"whose user is not an object", `{"event_name":"login","user":"c1"}`, inlet.CodeTraitsNotObject, "user"},
			{"whose user's id can be none", `{"event_name":"login","user":{"id":[1]}}`, inlet.CodeIDNotString, "user.id"},
			{"whose context is not an object", `{"event_name":"login","context":"c"}`, inlet.CodeContextNotObject, "context"},
			{"whose integrations are not an object", `{"event_name":"login","integrations":true}`, inlet.CodeIntegrationsNotObject, "integrations"},
			{"whose id is of more than 100 characters", `{"event_name":"login","context":{"event_id":"` + strings.Repeat("e", 101) + `"}}`, inlet.CodeMessageIDTooLong, "messageId"},
			{"of version 1.0, by its properties", `{"event_name":"search","event_id":"e1","properties":{"search_term":"x"}}`, inlet.CodePayloadV1, "properties"},
			{"of version 1.0, by its own word", `{"event":"login","version":1,"page":{}}`, inlet.CodePayloadV1, "properties"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				a := requireRefused(t, s.post(actsPath, "", tt.body), 200, tt.code)
				require.Equal(t, tt.field, a.Rejected[0].Field)
				require.Empty(t, s.events)
			})
		}
	})
}

func TestCommandersActVersion1(t *testing.T) {
	t.Parallel()
	// Trap 44: no URL distinguishes the versions, only the event does.
	t.Run("refused without the migration", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		const v1 = `{"event_name":"search","event_id":"old","properties":{"search_term":"x"}}`
		a := readReply(t, s.post("/events/batch?token="+actsToken, "", batchOf(goodActs, v1)))
		require.True(t, *a.Success)
		require.Len(t, a.Rejected, 1)
		require.Equal(t, inlet.CodePayloadV1, a.Rejected[0].Code)
		require.Equal(t, "old", a.Rejected[0].MessageID)
		require.Contains(t, a.Rejected[0].Message, "accepts v2")
		s.only(t)
	})
	t.Run("accepted behind the migration", func(t *testing.T) {
		t.Parallel()
		const v1 = `{"event_name":"search","event_id":"e2","event_timestamp":"1772280000123","properties":{"search_term":"x","user":{"id":"c1"}},"page":{"title":"S"},"device":{"ip":"192.0.2.1"},"app":{"name":"A"}}`
		s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil))
		requireSuccess(t, s.post("/events/batch?token="+actsToken, "", batchOf(goodActs, v1)))
		require.Len(t, s.events, 2)
		e := s.events[1]
		require.Equal(t, `{"search_term":"x"}`, string(e.Properties))
		require.JSONEq(t, `{"event_id":"e2","event_timestamp":1772280000123,"page":{"title":"S"},"device":{"ip":"192.0.2.1"},"app":{"name":"A"},"version":2}`, string(e.Context))
		require.Equal(t, [2]string{"e2", "c1"}, [2]string{e.MessageID, e.UserID})
		require.Equal(t, time.UnixMilli(1772280000123).UTC(), e.OriginalTimestamp)
		requireCanonical(t, e)
	})
}

// Traps 48 and 53: the key is in the query, next to the data, and is not stored;
// the answer is always the GIF, and an error in a header.
func TestCommandersActPixel(t *testing.T) {
	t.Parallel()
	get := func(s *dialectServer, query string) *httptest.ResponseRecorder {
		return s.do(request(http.MethodGet, "/events?"+query, nil))
	}
	t.Run("an event", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requirePixel(t, get(s, "tc_s=3311&token="+actsToken+"&event_name=page_view&page_name=Home&user%5Bid%5D=c%201&user[consent_categories][]=1&"+
			"user[consent_categories][]=3&context[event_id]=e1&context[event_timestamp]=1772280000123&items[0][product][id]=p1"), "")
		e := s.only(t)
		require.Equal(t, inlet.TypePage, e.Type)
		require.Equal(t, "c 1", e.UserID)
		require.Equal(t, "e1", e.MessageID)
		require.Equal(t, time.UnixMilli(1772280000123).UTC(), e.OriginalTimestamp)
		require.Equal(t, `{"page_name":"Home","items":[{"product":{"id":"p1"}}]}`, string(e.Properties))
		require.Equal(t, `{"id":"c 1","consent_categories":["1","3"]}`, string(e.Traits))
		require.Equal(t, `{"tc_s":"3311"}`, string(e.Extra))
		require.NotContains(t, string(e.AppendJSON(nil)), actsToken)
		requireCanonical(t, e)
	})
	for _, tt := range []struct {
		name, query string
		code        inlet.Code
	}{
		{"no name", "token=" + actsToken + "&user[id]=c1", inlet.CodeEventNotDefined},
		{"no key", "event_name=login", inlet.CodeMissingKey},
		{"an unknown key", "event_name=login&token=unknown", inlet.CodeUnknownKey},
		{"more than an event may hold", "event_name=" + strings.Repeat("x", 33_000) + "&token=" + actsToken, inlet.CodePayloadTooLarge},
		{"more than any browser sends", "event_name=" + strings.Repeat("x", 66_000) + "&token=" + actsToken, inlet.CodePayloadTooLarge},
		{"levels without end", "event_name=login&a" + strings.Repeat("[b]", 5000) + "=1&token=" + actsToken, inlet.CodeTooDeep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			requirePixel(t, get(s, tt.query), tt.code)
			require.Empty(t, s.events)
		})
	}
	t.Run("broken text is repaired, which a warning says", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requirePixel(t, get(s, "event_name=a%ff&context[event_id]=e1&token="+actsToken), "")
		require.Equal(t, "a\uFFFD", s.only(t).Name)
		require.Equal(t, inlet.WarnTextRepaired, s.only(t).Warnings)
	})
	t.Run("a Bearer token next to the query's must be the same", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requirePixel(t, s.do(request(http.MethodGet, "/events?event_name=login&token="+actsToken, nil, "Authorization", "Bearer x")), inlet.CodeConflictingKeys)
	})
}

func TestCommandersActPixelQuery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, query, want string }{
		{"brackets nest", "a=1&b[c]=2&d[]=3", `{"a":"1","b":{"c":"2"},"d":["3"]}`},
		{"parameters of the request are left out", "a=1&tc_s=3&token=x", `{"a":"1"}`},
		{"names of another dialect's keys are data", "appId=com.shop.app&writeKey=k", `{"appId":"com.shop.app","writeKey":"k"}`},
		{"properties are a property, since version 1.0 has no pixel", "properties[a]=1&version=1", `{"properties":{"a":"1"},"version":"1"}`},
		{"which are those of the root", "a[token]=1&b[tc_s]=2", `{"a":{"token":"1"},"b":{"tc_s":"2"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			requirePixel(t, s.do(request(http.MethodGet, "/events?event_name=e&token="+actsToken+"&"+tt.query, nil)), "")
			require.Equal(t, tt.want, string(s.only(t).Properties))
		})
	}
}

func FuzzCommandersAct(f *testing.F) {
	for target, body := range goldenRequests(f, "commandersact/*.golden") {
		f.Add(body, strings.Contains(target, "batch"))
	}
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body string, batch bool) {
		path, sent := "/events?tc_s=3311", 1
		if batch {
			path = "/events/batch?tc_s=3311"
		}
		got := do(t, authenticated(path, body))
		for _, e := range got.events {
			requireCanonical(t, e)
			require.Equal(t, `{"tc_s":"3311"}`, string(e.Extra))
		}
		if got.status == 400 { // the whole request
			require.Empty(t, got.events)
			require.Zero(t, got.rejects)
			return
		}
		require.Equal(t, 200, got.status)
		if batch {
			sent = listed(t, body)
		}
		require.Equal(t, sent, len(got.events)+got.rejects)
	})
}

// listed is how many events a batch lists, by another reader of JSON.
func listed(t *testing.T, body string) int {
	var root struct {
		Batch []json.RawMessage `json:"batch"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &root))
	return len(root.Batch)
}

func FuzzBracketQuery(f *testing.F) {
	for _, query := range []string{
		"event_name=page_view&user[id]=c1&user[consent_categories][]=1&user[consent_categories][]=3",
		"event_name=e&items[0][product][id]=p1&items[1][product][id]=p2&items[10][id]=x",
		"event_name=e&context%5Bevent_id%5D=e1&a[]b=1&[c]=2&d]=3&e[=4&f[g]h=5&g[[]]=6",
		"event_name=e&a[0]=1&a[0]=2&b=1&b[c]=2&d[][x]=1&d[][x]=2&&=&tc_s=1&token=t",
		"event_name=%ff%&a+b=c+d;e",
		"event_name=e&a[1]=x&a[01]=y&a[]=z&a[-1]=q",
	} {
		f.Add(query)
	}
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := authenticated("/events", "")
		r.Method, r.URL.RawQuery = http.MethodGet, query
		got := do(t, r)
		require.Equal(t, 200, got.status)
		require.Equal(t, got.code == "", len(got.events) == 1, "%s", got.code)
		require.NotContains(t, []inlet.Code{inlet.CodeInvalidJSON, inlet.CodeInternal}, got.code)
		for _, e := range got.events {
			requireCanonical(t, e)
		}
	})
}
