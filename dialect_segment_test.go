package inlet_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// storedAt serves a body at dialectNow and returns the events that were stored.
func storedAt(t *testing.T, path, body string) (events []*inlet.Event, w *httptest.ResponseRecorder) {
	t.Helper()
	sink := new(testsink.Keeper)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(dialectNow))
		w = serve(mustNew(t, sink, nil), authenticated(path, body))
	})
	for _, e := range sink.Events() {
		requireComplete(t, e)
		requireCanonical(t, e)
	}
	return sink.Events(), w
}

// oneStored is storedAt for a page event with more members.
func oneStored(t *testing.T, members string) *inlet.Event {
	t.Helper()
	events, w := storedAt(t, "/v1/page", `{"anonymousId":"a","messageId":"m",`+members+`}`)
	requireSuccess(t, w)
	require.Len(t, events, 1)
	return events[0]
}

func TestSegmentTime(t *testing.T) {
	t.Parallel()
	t.Run("formats", func(t *testing.T) {
		t.Parallel()
		at := time.Date(2026, 3, 1, 10, 30, 15, 0, time.UTC)
		tests := []struct {
			name, text string
			want       time.Time // zero if it cannot be read
			warnings   inlet.Warnings
		}{
			{"three digits", `"2026-03-01T10:30:15.123Z"`, at.Add(123 * time.Millisecond), 0},
			{"six digits and a zone", `"2026-03-01T10:30:15.123456+00:00"`, at.Add(123456 * time.Microsecond), 0},
			{"seven digits", `"2026-03-01T10:30:15.1234567Z"`, at.Add(123456700), 0},
			{"nine digits and a zone", `"2026-03-01T12:30:15.123456789+02:00"`, at.Add(123456789), 0},
			{"no fraction", `"2026-03-01T10:30:15+00:00"`, at, 0},
			{"a zone without a colon", `"2026-03-01T05:00:15-0530"`, at, 0},
			{"a space for the T", `"2026-03-01 10:30:15Z"`, at, 0},
			{"no seconds", `"2026-03-01T10:30Z"`, at.Truncate(time.Minute), 0},
			{"no zone", `"2026-03-01T10:30:15.5"`, at.Add(time.Second / 2), inlet.WarnTimestampGuessed},
			{"no zone and a space", `"2026-03-01 10:30:15"`, at, inlet.WarnTimestampGuessed},
			{"no seconds and no zone", `"2026-03-01T10:30"`, at.Truncate(time.Minute), inlet.WarnTimestampGuessed},
			{"no time", `"2026-03-01"`, at.Truncate(24 * time.Hour), inlet.WarnTimestampGuessed},
			{"with an escape", `"2026-03-01T10:30:15\u005a"`, at, 0},
			{"milliseconds", `1772361015000`, at, inlet.WarnTimestampGuessed},
			{"milliseconds as text", `"1772361015000"`, at, inlet.WarnTimestampGuessed},
			{"seconds", `1772361015`, at, inlet.WarnTimestampGuessed},
			{"seconds as text", `"1772361015"`, at, inlet.WarnTimestampGuessed},
			{"long ago", `"1969-07-20T20:17:40Z"`, time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC), 0},
			{"null", `null`, time.Time{}, 0},
			{"empty", `""`, time.Time{}, 0},
			{"a day that does not exist", `"2026-02-30T10:30:15Z"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"the form of some place", `"03/01/2026"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a word", `"now"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a fraction of seconds", `1772361015.5`, at.Add(time.Second / 2), inlet.WarnTimestampGuessed},
			{"a fraction of seconds as text", `"1772361015.123"`, at.Add(123 * time.Millisecond), inlet.WarnTimestampGuessed},
			{"an exponent", `1.772361015123E12`, at.Add(123 * time.Millisecond), inlet.WarnTimestampGuessed},
			{"microseconds", `1772361015000250`, at.Add(250 * time.Microsecond), inlet.WarnTimestampGuessed},
			{"nanoseconds as text", `"1772361015000000250"`, at.Add(250), inlet.WarnTimestampGuessed},
			{"letters in lower case", `"2026-03-01t10:30:15z"`, at, 0},
			{"a zone of hours", `"2026-03-01 12:30:15+02"`, at, 0},
			{"no separators", `"20260301T103015Z"`, at, 0},
			{"a week", `"2026-W09-7T10:30:15Z"`, at, 0},
			{"a day of the year", `"2026-060T10:30:15Z"`, at, 0},
			{"a comma", `"2026-03-01T10:30:15,5Z"`, at.Add(time.Second / 2), 0},
			{"a leap second", `"2026-03-01T10:30:60Z"`, at.Add(45 * time.Second), 0},
			{"the end of a day", `"2026-02-28T24:00Z"`, at.Truncate(24 * time.Hour), 0},
			{"white space", `" \t"`, time.Time{}, 0},
			{"a time that was never set", `"0001-01-01T00:00:00Z"`, time.Time{}, 0},
			{"a time that was never set, without a zone", `"0001-01-01T00:00:00"`, time.Time{}, 0},
			{"a date of HTTP", `"Sun, 01 Mar 2026 10:30:15 GMT"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"below zero", `-1772361015`, time.Time{}, inlet.WarnTimestampInvalid},
			{"ticks of another epoch", `638684208000000000`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a few seconds", `5`, time.Time{}, inlet.WarnTimestampInvalid},
			{"far too many digits", `99999999999999999999999999`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a year beyond", `"+12026-03-01T10:30:15Z"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a year that is one beyond in UTC", `"9999-12-31T23:59:59-01:00"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a year that is one before in UTC", `"0001-01-01T00:00:00+01:00"`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a list", `[2026]`, time.Time{}, inlet.WarnTimestampInvalid},
			{"true", `true`, time.Time{}, inlet.WarnTimestampInvalid},
			{"a very long text", `"` + strings.Repeat("2", 5000) + `"`, time.Time{}, inlet.WarnTimestampInvalid},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				e := oneStored(t, `"timestamp":`+test.text)
				require.Equal(t, test.warnings, e.Warnings)
				require.True(t, test.want.Equal(e.OriginalTimestamp), "%s", e.OriginalTimestamp)
				if test.want.IsZero() {
					require.Equal(t, dialectNow, e.Timestamp)
				} else {
					require.True(t, test.want.Equal(e.Timestamp), "%s", e.Timestamp)
				}
				if test.warnings == inlet.WarnTimestampInvalid {
					require.JSONEq(t, `{"_client":{"timestamp":`+test.text+`}}`, string(e.Extra), "what could not be read is lost")
				} else {
					require.Nil(t, e.Extra)
				}
			})
		}
	})
	t.Run("skew", func(t *testing.T) {
		t.Parallel()
		const hour, day = time.Hour, 24 * time.Hour
		tests := []struct {
			name                string
			happened, sent, out time.Duration // from when the request arrives
			warnings            inlet.Warnings
		}{
			{"latency is no skew", -hour, -4900 * time.Millisecond, -hour, 0},
			{"one short of the least skew", -hour, -5*time.Second + 1, -hour, 0},
			{"the least skew", -hour, -5 * time.Second, -hour + 5*time.Second, 0},
			{"the least skew the other way", -hour, 5 * time.Second, -hour - 5*time.Second, 0},
			{"a clock that is slow", -2 * hour, -hour, -hour, 0},
			{"a clock that is fast", 0, hour, -hour, 0},
			{"a clock that is fast by a day", 0, day, -day, 0},
			{"a clock that is slow by a day", -2 * day, -day, -day, 0},
			{"one over a day fast", -hour, day + 1, -hour, inlet.WarnSkewImplausible},
			{"one over a day slow", -2 * day, -day - 1, -2 * day, inlet.WarnSkewImplausible},
			{"a time in the near future", 5 * time.Second, 0, 5 * time.Second, 0},
			{"a time in the future", 5*time.Second + 1, 0, 0, inlet.WarnTimestampClamped},
			{"a time that is in the future once it is corrected", 0, -hour, 0, inlet.WarnTimestampClamped},
			{"a time in the future of a clock that is fast", 2 * hour, 2 * hour, 0, 0},
			{"a time in the future and a skew that is no skew", 3 * day, 2 * day, 0, inlet.WarnSkewImplausible | inlet.WarnTimestampClamped},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				happened, sent := dialectNow.Add(test.happened), dialectNow.Add(test.sent)
				members := fmt.Sprintf(`"timestamp":%q,"sentAt":%q`, happened.Format(time.RFC3339Nano), sent.Format(time.RFC3339Nano))
				e := oneStored(t, members)
				require.Equal(t, dialectNow.Add(test.out), e.Timestamp)
				require.Equal(t, happened, e.OriginalTimestamp)
				require.Equal(t, sent, e.SentAt)
				require.Equal(t, dialectNow, e.ReceivedAt)
				require.Equal(t, test.warnings, e.Warnings)

				// A batch has one sentAt for all of its events; that of an event wins.
				events, w := storedAt(t, "/v1/batch", fmt.Sprintf(`{"sentAt":%q,"batch":[{"type":"page","userId":"u","messageId":"m","timestamp":%q},{"type":"page","userId":"u","messageId":"n","timestamp":%q,"sentAt":%q}]}`,
					sent.Format(time.RFC3339Nano), happened.Format(time.RFC3339Nano), happened.Format(time.RFC3339Nano), dialectNow.Format(time.RFC3339Nano)))
				requireSuccess(t, w)
				require.Equal(t, e.Timestamp, events[0].Timestamp)
				require.Equal(t, dialectNow, events[1].SentAt)
			})
		}
	})
	t.Run("the ends of time", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			happened string
			skew     time.Duration // of the client's clock, which is fast
			want     string        // "" for the arrival
			warnings inlet.Warnings
		}{
			{"0001-01-01T00:00:01Z", 0, "0001-01-01T00:00:01Z", 0},
			{"0001-01-01T01:00:01Z", time.Hour, "0001-01-01T00:00:01Z", 0},
			{"0001-01-01T01:00:00Z", time.Hour, "", inlet.WarnTimestampInvalid}, // the zero Time
			{"0001-01-01T00:59:59.999Z", time.Hour, "", inlet.WarnTimestampInvalid},
			{"0001-01-01T12:00:00+11:00", 24 * time.Hour, "", inlet.WarnTimestampInvalid},
			{"9999-12-31T23:59:59Z", -time.Hour, "", inlet.WarnTimestampClamped},
		} {
			sent := dialectNow.Add(tt.skew).Format(time.RFC3339Nano)
			e := oneStored(t, fmt.Sprintf(`"timestamp":%q,"sentAt":%q`, tt.happened, sent))
			want, happened := dialectNow, time.Time{}
			require.NoError(t, happened.UnmarshalText([]byte(tt.happened)))
			if tt.want != "" {
				require.NoError(t, want.UnmarshalText([]byte(tt.want)))
			}
			require.Equal(t, want, e.Timestamp, tt.happened)
			require.Equal(t, happened.UTC(), e.OriginalTimestamp)
			require.Equal(t, tt.warnings, e.Warnings)
			var read inlet.Event
			line, err := e.MarshalJSON()
			require.NoError(t, err)
			require.NoError(t, read.UnmarshalJSON(line))
			require.Equal(t, want, read.Timestamp)
		}
	})
	t.Run("several times in one event", func(t *testing.T) {
		t.Parallel()
		early, late := dialectNow.Add(-time.Hour), dialectNow.Add(-time.Minute)
		e := oneStored(t, `"originalTimestamp":"2026-03-01T11:00:00Z"`)
		require.Equal(t, early, e.Timestamp)
		require.Equal(t, early, e.OriginalTimestamp)
		e = oneStored(t, `"originalTimestamp":"2026-03-01T11:59:00Z","timestamp":"2026-03-01T11:00:00Z"`)
		require.Equal(t, early, e.Timestamp, "the caller's own time is that of the event")
		require.JSONEq(t, `{"_client":{"originalTimestamp":"2026-03-01T11:59:00Z"}}`, string(e.Extra))
		e = oneStored(t, `"timestamp":"2026-03-01T11:59:00Z","sentAt":"once"`)
		require.Equal(t, late, e.Timestamp)
		require.Zero(t, e.SentAt)
		require.JSONEq(t, `{"_client":{"sentAt":"once"}}`, string(e.Extra))
		e = oneStored(t, `"sentAt":"2026-03-01T11:00:00Z"`)
		require.Equal(t, dialectNow, e.Timestamp, "without a time of its own there is nothing to correct")
		require.Zero(t, e.OriginalTimestamp)
	})
}

func TestSegmentIDs(t *testing.T) {
	t.Parallel()
	t.Run("values", func(t *testing.T) {
		t.Parallel()
		tests := []struct {
			name, text, id string
			warnings       inlet.Warnings
			refused        bool
		}{
			{"text", `"i1"`, "i1", 0, false},
			{"with spaces around", `" \ti1\n "`, "i1", inlet.WarnIDTrimmed, false},
			{"with spaces of Unicode around", `"\u00a0i1\u2003\u2028"`, "i1", inlet.WarnIDTrimmed, false},
			{"with spaces inside", `"i 1"`, "i 1", 0, false},
			{"with characters of no width", `"\u200bi1\ufeff"`, "\u200bi1\ufeff", 0, false},
			{"with NUL", `"\u0000i1\u0000"`, "\x00i1\x00", 0, false},
			{"composed in another way", `"i\u0301"`, "i\u0301", 0, false},
			{"with escapes", `"\u0069\n\u00311"`, "i\n11", 0, false},
			{"a number", `42`, "42", inlet.WarnIDNotString, false},
			{"a number that no float holds", `12345678901234567890`, "12345678901234567890", inlet.WarnIDNotString, false},
			{"a number below zero", `-7`, "-7", inlet.WarnIDNotString, false},
			{"a number with a fraction", `1.50`, "1.50", inlet.WarnIDNotString, false},
			{"null", `null`, "", 0, false},
			{"empty", `""`, "", 0, false},
			{"blank", `"  "`, "", 0, false},
			{"an object", `{"a":1}`, "", 0, true},
			{"a list", `[]`, "", 0, true},
			{"true", `true`, "", 0, true},
			{"false", `false`, "", 0, true},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				for _, field := range []string{"messageId", "userId", "anonymousId", "previousId", "groupId"} {
					ids := map[string]string{"messageId": `"m"`, "anonymousId": `"a"`, "userId": `"u"`}
					ids[field] = test.text
					body := `{"type":"page"`
					for name, value := range ids {
						body += `,"` + name + `":` + value
					}
					events, w := storedAt(t, "/v1/page", body+"}")
					if test.refused {
						require.Equal(t, field, requireRefused(t, w, 400, inlet.CodeIDNotString).Field)
						continue
					}
					requireSuccess(t, w)
					e := events[0]
					got := map[string]string{"messageId": e.MessageID, "userId": e.UserID, "anonymousId": e.AnonymousID, "previousId": e.PreviousID, "groupId": e.GroupID}
					if field == "messageId" && test.id == "" {
						require.True(t, e.GeneratedID())
						require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", e.MessageID)
						continue
					}
					require.Equal(t, test.id, got[field])
					require.Equal(t, test.warnings, e.Warnings)
				}
			})
		}
	})
	t.Run("length of a message id", func(t *testing.T) {
		t.Parallel()
		body := func(n int) string { return `{"userId":"u","messageId":"` + strings.Repeat("m", n) + `"}` }
		_, w := storedAt(t, "/v1/page", body(100))
		requireSuccess(t, w)
		_, w = storedAt(t, "/v1/page", strings.Replace(body(100), "m", "é", 100))
		requireSuccess(t, w) // characters, of two bytes each
		_, w = storedAt(t, "/v1/page", body(101))
		a := requireRefused(t, w, 400, inlet.CodeMessageIDTooLong)
		require.Empty(t, a.Rejected[0].MessageID, "an id that is too long is not echoed")
	})
}

func TestSegmentFields(t *testing.T) {
	t.Parallel()
	t.Run("required", func(t *testing.T) {
		t.Parallel()
		tests := []struct {
			name, path, body string
			code             inlet.Code
			field            string
		}{
			{"identify", "/v1/identify", `{"userId":"u"}`, "", ""},
			{"track", "/v1/track", `{"userId":"u","event":"E"}`, "", ""},
			{"page without a name", "/v1/page", `{"anonymousId":"a"}`, "", ""},
			{"screen with a null name", "/v1/screen", `{"anonymousId":"a","name":null}`, "", ""},
			{"group", "/v1/group", `{"userId":"u","groupId":"g"}`, "", ""},
			{"alias", "/v1/alias", `{"userId":"u","previousId":"p"}`, "", ""},
			{"no user", "/v1/identify", `{}`, inlet.CodeNoUserAnonID, "userId"},
			{"users of null", "/v1/page", `{"userId":null,"anonymousId":null}`, inlet.CodeNoUserAnonID, "userId"},
			{"track without an event", "/v1/track", `{"userId":"u"}`, inlet.CodeEventNotDefined, "event"},
			{"track of null", "/v1/track", `{"userId":"u","event":null}`, inlet.CodeEventNotDefined, "event"},
			{"track of nothing", "/v1/track", `{"userId":"u","event":""}`, inlet.CodeEventNotDefined, "event"},
			{"track of a number", "/v1/track", `{"userId":"u","event":5}`, inlet.CodeEventNotString, "event"},
			{"page of a list", "/v1/page", `{"userId":"u","name":[]}`, inlet.CodeNameNotString, "name"},
			{"group without a group", "/v1/group", `{"userId":"u"}`, inlet.CodeIDRequired, "groupId"},
			{"alias without a previous id", "/v1/alias", `{"userId":"u"}`, inlet.CodeIDRequired, "previousId"},
			{"properties of text", "/v1/track", `{"userId":"u","event":"E","properties":"p"}`, inlet.CodePropertiesNotObject, "properties"},
			{"properties of a list", "/v1/track", `{"userId":"u","event":"E","properties":[1]}`, inlet.CodePropertiesNotObject, "properties"},
			{"traits of a number", "/v1/identify", `{"userId":"u","traits":1}`, inlet.CodeTraitsNotObject, "traits"},
			{"context of true", "/v1/page", `{"userId":"u","context":true}`, inlet.CodeContextNotObject, "context"},
			{"integrations of a list", "/v1/page", `{"userId":"u","integrations":["A"]}`, inlet.CodeIntegrationsNotObject, "integrations"},
			{"objects of null", "/v1/page", `{"userId":"u","properties":null,"context":null,"integrations":null,"traits":null}`, "", ""},
			{"a list at the root", "/v1/page", `[{"userId":"u"}]`, inlet.CodeInvalidRequest, ""},
			{"text at the root", "/v1/page", `"u"`, inlet.CodeInvalidRequest, ""},
			{"two objects", "/v1/page", `{"userId":"u"}{"userId":"v"}`, inlet.CodeInvalidJSON, ""},
			{"a byte order mark", "/v1/page", "\ufeff" + `{"userId":"u"}`, "", ""},
			{"a byte order mark twice", "/v1/page", "\ufeff\ufeff" + `{"userId":"u"}`, inlet.CodeInvalidJSON, ""},
			{"a byte order mark behind a space", "/v1/page", " \ufeff" + `{"userId":"u"}`, inlet.CodeInvalidJSON, ""},
			{"a name twice in the root", "/v1/page", `{"userId":"u","userId":"u"}`, inlet.CodeDuplicateName, "userId"},
			{"a name twice, once with an escape", "/v1/page", `{"userId":"u","user\u0049d":"u"}`, inlet.CodeDuplicateName, "userId"},
			{"a name twice deep inside", "/v1/page", `{"userId":"u","context":{"a":[{"b":1,"b":2}]}}`, inlet.CodeDuplicateName, "b"},
			{"200 levels", "/v1/page", `{"userId":"u","x":` + strings.Repeat("[", 199) + strings.Repeat("]", 199) + `}`, "", ""},
			{"201 levels", "/v1/page", `{"userId":"u","x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, inlet.CodeTooDeep, ""},
			{"a batch of null", "/v1/batch", `{"batch":null}`, inlet.CodeBatchNotArray, "batch"},
			{"a batch of an object", "/v1/batch", `{"batch":{}}`, inlet.CodeBatchNotArray, "batch"},
			{"no batch", "/v1/batch", `{"userId":"u","type":"page"}`, inlet.CodeBatchNotArray, "batch"},
			{"an empty batch", "/v1/batch", `{"batch":[]}`, inlet.CodeEmptyBatch, "batch"},
			{"an empty batch with a space", "/v1/batch", `{"batch":[ ]}`, inlet.CodeEmptyBatch, "batch"},
			{"a batch's context of text", "/v1/batch", `{"context":"c","batch":[{"type":"page","userId":"u"}]}`, inlet.CodeContextNotObject, "context"},
			{"a batch's integrations of text", "/v1/batch", `{"integrations":7,"batch":[{"type":"page","userId":"u"}]}`, inlet.CodeIntegrationsNotObject, "integrations"},
			{"a batch's context as PHP writes none", "/v1/batch", `{"context":[],"batch":[{"type":"page","userId":"u"}]}`, "", ""},
			{"a batch with two batches", "/v1/batch", `{"batch":[{"type":"page","userId":"u"}],"batch":[]}`, inlet.CodeDuplicateName, "batch"},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				events, w := storedAt(t, test.path, test.body)
				if test.code == "" {
					requireSuccess(t, w)
					require.Len(t, events, 1)
					return
				}
				require.Empty(t, events)
				require.Equal(t, test.field, requireRefused(t, w, 400, test.code).Field)
			})
		}
	})
	t.Run("the type of the route wins", func(t *testing.T) {
		t.Parallel()
		for text, warnings := range map[string]inlet.Warnings{
			`"page"`: 0, `"\u0070age"`: 0, `"screen"`: inlet.WarnTypeMismatch, `"no"`: inlet.WarnTypeMismatch, `7`: inlet.WarnTypeMismatch,
		} {
			e := oneStored(t, `"type":`+text)
			require.Equal(t, inlet.TypePage, e.Type)
			require.Equal(t, warnings, e.Warnings, text)
		}
	})
	t.Run("names of other types are kept", func(t *testing.T) {
		t.Parallel()
		e := oneStored(t, `"name":"N","event":"E","category":"C"`)
		require.Equal(t, "N", e.Name)
		require.JSONEq(t, `{"event":"E","category":"C"}`, string(e.Extra))
		events, _ := storedAt(t, "/v1/identify", `{"userId":"u","name":"N","event":5}`)
		require.JSONEq(t, `{"name":"N","event":5}`, string(events[0].Extra))
	})
	t.Run("traits in the context of an identify", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct{ name, path, body, traits string }{
			{"only in the context", "/v1/identify", `{"userId":"u","context":{"traits":{"a":1}}}`, `{"a":1}`},
			{"written with an escape", "/v1/identify", `{"userId":"u","context":{"trait\u0073":{"a":1}}}`, `{"a":1}`},
			{"in both", "/v1/identify", `{"userId":"u","traits":{"b":2},"context":{"traits":{"a":1}}}`, `{"b":2}`},
			{"of no object", "/v1/identify", `{"userId":"u","context":{"traits":"x"}}`, ``},
			{"of another type", "/v1/page", `{"userId":"u","context":{"traits":{"a":1}}}`, ``},
			{"of a group", "/v1/group", `{"userId":"u","groupId":"g","context":{"traits":{"a":1}}}`, ``},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				events, w := storedAt(t, test.path, test.body)
				requireSuccess(t, w)
				require.Equal(t, test.traits, string(events[0].Traits))
			})
		}
	})
}

func TestSegmentBatch(t *testing.T) {
	t.Parallel()
	t.Run("number of events", func(t *testing.T) {
		t.Parallel()
		const small = `{"type":"page","userId":"u"}`
		events, w := storedAt(t, "/v1/batch", batchOf(repeated(2500, small)...))
		requireSuccess(t, w)
		require.Len(t, events, 2500)
		ids := map[string]bool{}
		for _, e := range events {
			require.True(t, e.GeneratedID())
			ids[e.MessageID] = true
		}
		require.Len(t, ids, 2500)
		events, w = storedAt(t, "/v1/batch", batchOf(repeated(2501, small)...))
		requireRefused(t, w, 400, inlet.CodeTooManyEvents)
		require.Empty(t, events)
	})
	// Each level that is merged is one more walk over what is below it: without a bound
	// two contexts that are nested deeply would cost the product of depth and size.
	t.Run("defaults are merged four levels deep", func(t *testing.T) {
		t.Parallel()
		events := new(testsink.Keeper)
		h := mustNew(t, events, nil)
		requireSuccess(t, serve(h, authenticated("/v1/batch", `{"context":{"a":{"b":{"c":{"d":{"e":1,"default":true},"default":true}}}},`+
			`"batch":[{"type":"page","userId":"u","context":{"a":{"b":{"c":{"d":{"e":2}}}}}}]}`)))
		require.JSONEq(t, `{"a":{"b":{"c":{"d":{"e":2},"default":true}}}}`, string(events.Events()[0].Context))
	})
}

func TestSegmentPixel(t *testing.T) {
	t.Parallel()
	// The text has all three characters in which the alphabets differ.
	const payload = `{"userId":"u","event":"~~~???>>>","messageId":"m"}`
	std, raw := base64.StdEncoding.EncodeToString([]byte(payload)), base64.RawURLEncoding.EncodeToString([]byte(payload))
	require.Contains(t, std, "+")
	require.Contains(t, std, "=")
	tests := []struct {
		name, query string
		code        inlet.Code
		event       string
	}{
		{"base64, escaped", "data=" + url.QueryEscape(std), "", "~~~???>>>"},
		{"base64, as it is", "data=" + std, "", "~~~???>>>"},
		{"base64, with spaces for plus", "data=" + strings.ReplaceAll(std, "+", "%20"), "", "~~~???>>>"},
		{"base64, unpadded", "data=" + strings.TrimRight(std, "="), "", "~~~???>>>"},
		{"base64 for URLs", "data=" + raw, "", "~~~???>>>"},
		{"base64 for URLs, padded", "data=" + base64.URLEncoding.EncodeToString([]byte(payload)), "", "~~~???>>>"},
		{"plain JSON", "data=" + url.QueryEscape(payload), "", "~~~???>>>"},
		{"parameters", "userId=u&event=Opened&messageId=m&properties.a.b=1&context.ip=192.0.2.1", "", "Opened"},
		{"nothing", "", inlet.CodeNoUserAnonID, ""},
		{"no base64", "data=***", inlet.CodeInvalidEncoding, ""},
		{"base64 of no JSON", "data=" + base64.StdEncoding.EncodeToString([]byte("hello")), inlet.CodeInvalidJSON, ""},
		{"a bad escape", "userId=%zz&event=50%", "", "50%"},
		{"a payload that is too large", "data=" + base64.RawURLEncoding.EncodeToString([]byte(padTo(32_769))), inlet.CodePayloadTooLarge, ""},
		{"a query that is too long", "data=" + strings.Repeat("a", 64<<10), inlet.CodePayloadTooLarge, ""},
		{"levels without end", strings.Repeat(".", 60_000) + "=x", inlet.CodeTooManyMembers, ""},
		{"a name that is a value and a level", "userId=u&event=E&properties=x&properties.a=1", "", "E"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			r := inlet.WithSource(request("GET", "/v1/pixel/track", nil), website)
			r.URL.RawQuery = test.query
			requirePixel(t, serve(mustNew(t, sink, nil), r), test.code)
			if test.code != "" {
				require.Zero(t, sink.Calls())
				return
			}
			require.Len(t, sink.Events(), 1)
			require.Equal(t, test.event, sink.Events()[0].Name)
			requireCanonical(t, sink.Events()[0])
		})
	}
}

func TestSegmentPixelMemory(t *testing.T) {
	h := mustNew(t, new(testsink.Keeper), &inlet.Options{AllowAnonymous: true})
	query := strings.Repeat(".", 60_000) + "=x"
	before := new(runtime.MemStats)
	after := new(runtime.MemStats)
	runtime.ReadMemStats(before)
	for range 10 {
		r := request("GET", "/v1/pixel/track", nil)
		r.URL.RawQuery = query
		serve(h, r)
	}
	runtime.ReadMemStats(after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/10, uint64(5<<20), "bytes for a query of 60 kB")
}

// settings is what SDKs read of the answer.
type settings struct {
	Integrations map[string]segmentSettings
	Metrics      map[string]int
	HTTPConfig   json.RawMessage
}

type segmentSettings struct {
	APIKey, APIHost, Protocol string
	HTTPConfig                json.RawMessage
}

// askSettings asks a handler, which layer may mount, by an URL.
func askSettings(t *testing.T, o *inlet.Options, layer func(http.Handler) http.Handler, url string) (*httptest.ResponseRecorder, settings) {
	t.Helper()
	h, err := inlet.New(inlet.SinkFunc(nil), o)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, url, nil)
	w := httptest.NewRecorder()
	layer(middleware.Auth(dialectKeys, nil)(h)).ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	var got settings
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	return w, got
}

func stripped(prefix string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler { return http.StripPrefix(prefix, h) }
}

func unmounted(h http.Handler) http.Handler { return h }

// rewritten is a layer that changes the path beyond recognition.
func rewritten(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		again := r.Clone(r.Context())
		again.URL.Path = "/v1/projects/k/settings"
		h.ServeHTTP(w, again)
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	t.Run("location", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name      string
			publicURL string
			layer     func(http.Handler) http.Handler
			url       string
			protocol  string
			apiHost   string
		}{
			{"at the root", "", unmounted, "http://in.example/v1/projects/k/settings", "http", "in.example/v1"},
			{"at a port", "", unmounted, "http://127.0.0.1:8080/v1/projects/k/settings", "http", "127.0.0.1:8080/v1"},
			{"over TLS", "", unmounted, "https://in.example/v1/projects/k/settings", "https", "in.example/v1"},
			{"below a prefix", "", stripped("/a/ingest"), "http://in.example/a/ingest/v1/projects/k/settings", "http", "in.example/a/ingest/v1"},
			{"below a prefix with its slash", "", stripped("/ingest/"), "http://in.example/ingest/v1/projects/k/settings", "http", "in.example/ingest/v1"},
			{"below a prefix, with doubled slashes", "", stripped("/ingest"), "http://in.example/ingest//v1//projects/k/settings/", "http", "in.example/ingest/v1"},
			{"below a prefix, without the version", "", stripped("/ingest"), "http://in.example/ingest/projects/k/settings", "http", "in.example/ingest/v1"},
			{"below a prefix with a space", "", stripped("/in gest"), "http://in.example/in%20gest/v1/projects/k/settings", "http", "in.example/in%20gest/v1"},
			{"below a layer that rewrites the path", "", rewritten, "http://in.example/elsewhere", "http", "in.example/v1"},
			{"with a public URL", "https://shop.example/ingest/", stripped("/x"), "http://10.0.0.7:8080/x/v1/projects/k/settings", "https", "shop.example/ingest/v1"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				w, got := askSettings(t, &inlet.Options{PublicURL: tt.publicURL}, tt.layer, tt.url)
				require.Equal(t, map[string]segmentSettings{"Segment.io": {APIKey: "k", APIHost: tt.apiHost, Protocol: tt.protocol}}, got.Integrations)
				require.Equal(t, map[string]int{"sampleRate": 0}, got.Metrics)
				require.Nil(t, got.HTTPConfig)
				noStore := ""
				if tt.publicURL == "" {
					noStore = "no-store"
				}
				require.Equal(t, noStore, w.Header().Get("Cache-Control"))
			})
		}
	})
	t.Run("two prefixes", func(t *testing.T) {
		t.Parallel()
		layer := func(h http.Handler) http.Handler {
			return http.StripPrefix("/outer", http.StripPrefix("/inner", h))
		}
		_, got := askSettings(t, nil, layer, "http://in.example/outer/inner/v1/projects/k/settings")
		require.Equal(t, "in.example/outer/inner/v1", got.Integrations["Segment.io"].APIHost)
	})
	t.Run("retries are configured in both places", func(t *testing.T) {
		t.Parallel()
		config := json.RawMessage(`{"rateLimitConfig":{"enabled":true,"maxRetryCount":5}}`)
		o := &inlet.Options{HTTPConfig: config}
		_, got := askSettings(t, o, unmounted, "http://in.example/v1/projects/k/settings")
		require.JSONEq(t, string(config), string(got.HTTPConfig))
		require.JSONEq(t, string(config), string(got.Integrations["Segment.io"].HTTPConfig))
	})
	t.Run("any key", func(t *testing.T) {
		t.Parallel()
		var answers []string
		for _, key := range []string{hitToken, "an-unknown", "switched"} {
			w, got := askSettings(t, nil, unmounted, "http://in.example/v1/projects/"+key+"/settings")
			require.Equal(t, key, got.Integrations["Segment.io"].APIKey)
			answers = append(answers, strings.ReplaceAll(w.Body.String(), key, "KEY"))
		}
		require.Equal(t, []string{answers[0], answers[0], answers[0]}, answers)
	})
	t.Run("real connection", func(t *testing.T) {
		t.Parallel()
		h, err := inlet.New(inlet.SinkFunc(nil), nil)
		require.NoError(t, err)
		server := httptest.NewTLSServer(http.StripPrefix("/ingest", h))
		defer server.Close()
		client := server.Client()
		client.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS13
		response, err := client.Get(server.URL + "/ingest/v1/projects/k/settings?v=1")
		require.NoError(t, err)
		defer response.Body.Close()
		var got settings
		require.NoError(t, json.NewDecoder(response.Body).Decode(&got))
		require.Equal(t, server.URL+"/ingest/v1", got.Integrations["Segment.io"].Protocol+"://"+got.Integrations["Segment.io"].APIHost)
	})
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name    string
			options inlet.Options
			field   string
		}{
			{"a host without a scheme", inlet.Options{PublicURL: "shop.example/ingest"}, "PublicURL"},
			{"another scheme", inlet.Options{PublicURL: "ftp://shop.example"}, "PublicURL"},
			{"no host", inlet.Options{PublicURL: "https:///ingest"}, "PublicURL"},
			{"a port without a host", inlet.Options{PublicURL: "https://:8443/ingest"}, "PublicURL"},
			{"a query", inlet.Options{PublicURL: "https://shop.example/?a=b"}, "PublicURL"},
			{"a password", inlet.Options{PublicURL: "https://u:p@shop.example/"}, "PublicURL"},
			{"no URL at all", inlet.Options{PublicURL: "https://%zz"}, "PublicURL"},
			{"a configuration that is not an object", inlet.Options{HTTPConfig: json.RawMessage(`[]`)}, "HTTPConfig"},
			{"a configuration that is not JSON", inlet.Options{HTTPConfig: json.RawMessage(`{"a":}`)}, "HTTPConfig"},
			{"an empty configuration", inlet.Options{HTTPConfig: json.RawMessage{}}, "HTTPConfig"},
			{"a configuration with a name twice", inlet.Options{HTTPConfig: json.RawMessage(`{"a":1,"a":2}`)}, "HTTPConfig"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				_, err := inlet.New(inlet.SinkFunc(nil), &tt.options)
				require.ErrorContains(t, err, tt.field)
			})
		}
	})
}
