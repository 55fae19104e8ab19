package inlet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

// chained returns a handler behind all layers that read the payload.
func chained(t testing.TB, p *inlet.Protocol, sink inlet.Sink) http.Handler {
	t.Helper()
	read, err := inlet.ReadPayload(p)
	require.NoError(t, err)
	authenticate, err := inlet.Authenticate(inlet.MustKeys(map[string]inlet.Source{"k": {ID: "web"}}), &inlet.AuthOptions{Protocol: p})
	require.NoError(t, err)
	migrate, err := inlet.MigratePayload(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: p})
	require.NoError(t, err)
	return read(authenticate(migrate(mustNew(t, sink, &inlet.Options{Protocol: p}))))
}

// v1 is an event of version 1.0 of Commanders Act of about a size.
func v1(size int) string {
	return `{"event_name":"E","properties":{"url":"https://shop.example","pad":"` + strings.Repeat("x", max(0, size-80)) + `"}}`
}

// However a request ends, all layers give its payload back: the next ones find the whole budget,
// and the memory of the ones before.
func TestPayloadIsReleased(t *testing.T) {
	testkit.SlowUnderRace(t)
	for _, tt := range []struct {
		name, path, body string
		status           int
		err              error // of the sink
	}{
		{"stored", "/v1/track", `{"event":"E","userId":"u","writeKey":"k","properties":{"pad":"` + strings.Repeat("x", 20_000) + `"}}`, 200, nil},
		{"migrated", "/events?token=k", v1(20_000), 200, nil},
		{"migrated in the shadow", "/events?token=k", v1(20_000), 200, nil},
		{"in need of no migration", "/events?token=k", `{"event_name":"E","context":{"event_id":"i"},"pad":"` + strings.Repeat("x", 20_000) + `"}`, 200, nil},
		{"refused", "/v1/track", `{"writeKey":"k","pad":"` + strings.Repeat("x", 20_000) + `"}`, 400, nil},
		{"no JSON", "/v1/track", strings.Repeat("x", 20_000), 400, nil},
		{"migration refused", "/events?token=k", "[" + v1(20_000), 400, nil},
		{"no key", "/v1/track", `{"pad":"` + strings.Repeat("x", 20_000) + `"}`, 401, nil},
		{"no route", "/v1/nothing?token=k", v1(20_000), 404, nil},
		{"the sink fails", "/v1/track?writeKey=k", `{"event":"E","userId":"u","pad":"` + strings.Repeat("x", 20_000) + `"}`, 503, errors.New("down")},
		{"the sink fails after a migration", "/events?token=k", v1(20_000), 503, errors.New("down")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 1 << 20, MaxBytesInFlight: 4 << 20}}
			h := chained(t, p, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return tt.err }))
			if tt.name == "migrated in the shadow" {
				report := func(context.Context, *http.Request, inlet.MigrationReport) {}
				shadow, err := inlet.MigratePayload(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: p, Shadow: true, Report: report})
				require.NoError(t, err)
				h = shadow(h)
			}
			serveOne := func() {
				w := serve(h, request("POST", tt.path, strings.NewReader(tt.body)))
				require.Equal(t, tt.status, w.Code, "%s", w.Body)
			}
			for range 1000 { // a hundred would use up the budget
				serveOne()
			}
			if testkit.Race {
				return // pools then drop some of what they are given
			}
			var before, after runtime.MemStats
			const requests = 500
			runtime.ReadMemStats(&before)
			for range requests {
				serveOne()
			}
			runtime.ReadMemStats(&after)
			bytes := (after.TotalAlloc - before.TotalAlloc) / requests
			require.Less(t, bytes, uint64(15_000), "allocated for each request of 20,000 bytes")
		})
	}
}

// The limits are about what a client has sent, whatever a migration makes of it.
func TestLimitsBeforeMigration(t *testing.T) {
	t.Parallel()
	const eventBytes, batchBytes = 2_000, 10_000
	p := &inlet.Protocol{Limits: inlet.Limits{EventBytes: eventBytes, BatchBytes: batchBytes}}
	exactly := func(size int) string { // an event that grows by migration
		e := v1(size)
		e = strings.Replace(e, "xx", strings.Repeat("x", 2+size-len(e)), 1)
		require.Len(t, e, size)
		return e
	}
	spaced := func(size int) string { // one that shrinks, since the migration writes no space
		e := `{"event_name":"E","properties":{"url":"u"` + strings.Repeat(" ", size) + `}}`
		return strings.Replace(e, strings.Repeat(" ", len(e)-size), "", 1)
	}
	batch := func(size int, event func(int) string) string {
		var events []string
		rest := size - len(`{"batch":[]}`)
		for ; rest > 2*eventBytes; rest -= 1_501 {
			events = append(events, event(1_500))
		}
		return batchOf(append(events, event(rest/2), event(rest-rest/2-1))...)
	}
	for _, tt := range []struct {
		name, path, body string
		stored           bool
	}{
		{"an event at the limit", "/events", exactly(eventBytes), true},
		{"an event above it", "/events", exactly(eventBytes + 1), false},
		{"an event with space at the limit", "/events", spaced(eventBytes), true},
		{"an event with space above it", "/events", spaced(eventBytes + 1), false},
		{"an event of a batch at the limit", "/events/batch", batchOf(exactly(eventBytes)), true},
		{"an event of a batch above it", "/events/batch", batchOf(exactly(eventBytes + 1)), false},
		{"a batch at the limit", "/events/batch", batch(batchBytes, exactly), true},
		{"a batch above it", "/events/batch", batch(batchBytes+1, exactly), false},
		{"a batch with space at the limit", "/events/batch", batch(batchBytes, spaced), true},
		{"a batch with space above it", "/events/batch", batch(batchBytes+1, spaced), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			w := serve(chained(t, p, sink), request("POST", tt.path+"?token=k", strings.NewReader(tt.body)))
			var answer struct{ Success bool }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			require.Equal(t, tt.stored, answer.Success, "%d bytes: %s", len(tt.body), w.Body)
			require.Equal(t, tt.stored, len(sink.Events()) > 0)
		})
	}
}

// The id in the header of RudderStack's SDKs is an id only if it is text.
func TestAnonymousIDHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, id, want string }{
		{"text", "é-1", "é-1"},
		{"a single byte that is none", "a\xff", ""},
		{"half a character", "\xc3", ""},
		{"a surrogate", "\xed\xa0\x80", ""},
		{"an overlong form", "\xc0\xaf", ""},
		{"bytes of another encoding", "caf\xe9", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{`{"event":"E","userId":"u"}`, `{"event":"E"}`} {
				sink := new(testsink.Keeper)
				w := serve(mustNew(t, sink, nil), authenticated("/v1/track", body, "AnonymousId", base64Of(tt.id)))
				if tt.want == "" && !strings.Contains(body, "userId") {
					requireRefused(t, w, 400, inlet.CodeNoUserAnonID)
					continue
				}
				requireSuccess(t, w)
				require.Equal(t, tt.want, sink.Events()[0].AnonymousID)
				require.True(t, json.Valid(sink.Events()[0].AppendJSON(nil)))
			}
		})
	}
}

// What a layer keeps of an outcome after the handler has returned stays as it is, whatever later
// requests contain.
func TestOutcomeIsKept(t *testing.T) {
	t.Parallel()
	h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }), &inlet.Options{
		Validators: []inlet.Validator{func(e *inlet.Event) *inlet.Problem {
			if e.Name == "good" {
				return nil
			}
			return &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "no " + e.Name, Field: e.UserID}
		}},
	})
	type kept struct {
		outcome inlet.Outcome
		text    string
	}
	var all []kept
	for i := range 300 {
		var events []string
		for j := range 1 + i%7 {
			events = append(events, fmt.Sprintf(`{"type":"track","event":"bad %d.%d","userId":"user %[1]d.%d","messageId":"id %[1]d.%d"}`, i, j))
		}
		events = append(events, `{"type":"track","event":"good","userId":"u"}`, fmt.Sprintf(`{"type":"track","event":{},"messageId":"n%d"}`, i))
		r := inlet.WithState(authenticated("/v1/batch", batchOf(events...)))
		h.ServeHTTP(httptest.NewRecorder(), r)
		out := inlet.OutcomeFromContext(r.Context())
		require.Len(t, out.Rejects, 2+i%7)
		all = append(all, kept{out, fmt.Sprintf("%+v", out.Rejects)})
	}
	for _, k := range all {
		require.Equal(t, k.text, fmt.Sprintf("%+v", k.outcome.Rejects))
	}
	require.Contains(t, all[10].text, "bad 10.0")
	require.Contains(t, all[10].text, "user 10.0")
}
