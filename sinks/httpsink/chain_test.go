package httpsink_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A link is an Inlet that accepts requests, and what it has stored.
type link struct {
	testsink.Keeper
	http.Handler
	api *inlet.Handler
}

// newLink makes one that needs no key, and whose enrichers are the given ones.
func newLink(t testing.TB, enrichers ...inlet.Enricher) *link {
	t.Helper()
	l := new(link)
	api, err := inlet.New(&l.Keeper, &inlet.Options{AllowAnonymous: true, Logger: quiet, Enrichers: enrichers})
	require.NoError(t, err)
	l.api = api
	l.Handler = middleware.Migrate(inlet.CommandersActV1(), nil)(api)
	return l
}

// to returns a sink that forwards to l.
func (l *link) to(t testing.TB, o *httpsink.Options) *httpsink.Sink {
	t.Helper()
	return newOffline(t, l.transport, o)
}

// transport answers a request by l.
func (l *link) transport(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	server := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
	server.Header = r.Header
	l.ServeHTTP(w, server)
	return w.Result(), nil
}

// requireForwarded requires that the events of first, forwarded to another Inlet and from
// there to a third one, arrive equal, except for what only the receiver knows.
func requireForwarded(t *testing.T, first *link, o *httpsink.Options) {
	t.Helper()
	given := inlet.CloneEvents(first.Events())
	for hop := range 2 {
		next := newLink(t)
		require.NoError(t, next.to(t, o).Write(t.Context(), given), "hop %d", hop)
		got := inlet.CloneEvents(next.Events())
		require.Len(t, got, len(given))
		for i, want := range given {
			require.WithinDuration(t, time.Now(), got[i].ReceivedAt, time.Minute)
			require.Equal(t, "anonymous", got[i].Source.ID)
			got[i].ReceivedAt, got[i].Source = want.ReceivedAt, want.Source
			require.Equal(t, string(want.AppendJSON(nil)), string(got[i].AppendJSON(nil)))
			var read inlet.Event // the canonical form, without line breaks
			require.NoError(t, json.Unmarshal(want.AppendJSON(nil), &read))
			require.True(t, read.Equal(got[i]))
		}
		given = got
	}
}

// goldenRequests returns the requests of all golden files of the dialects.
func goldenRequests(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/*/*.golden")
	require.NoError(t, err)
	requests := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if request, _, ok := strings.Cut(string(text), "\n--- answer\n"); ok {
			requests[strings.TrimPrefix(file, "../../testdata/")] = request
		}
	}
	require.Greater(t, len(requests), 140)
	return requests
}

// parseRequest reads a request whose lines end as in a text file.
func parseRequest(t *testing.T, text string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	first, header, _ := strings.Cut(head, "\n")
	if header != "" {
		header += "\n"
	}
	head = fmt.Sprintf("%s HTTP/1.1\nHost: in.example\n%sContent-Length: %d\n\n", first, header, len(body))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + body)))
	require.NoError(t, err)
	return r
}

// What one Inlet has stored another one stores, event for event, whatever the dialect.
func TestChain(t *testing.T) {
	t.Parallel()
	t.Run("all golden requests", func(t *testing.T) {
		t.Parallel()
		all, dialects := newLink(t), map[string]bool{}
		for name, request := range goldenRequests(t) {
			first := newLink(t)
			first.ServeHTTP(httptest.NewRecorder(), parseRequest(t, request))
			t.Run(name, func(t *testing.T) {
				if len(first.Events()) > 0 {
					requireForwarded(t, first, nil)
				}
			})
			for _, e := range first.Events() {
				dialects[e.Dialect] = true
				require.NoError(t, all.Write(t.Context(), []*inlet.Event{e}))
			}
		}
		require.Len(t, dialects, len(inlet.Dialects()))
		for _, o := range []*httpsink.Options{nil, {MaxEvents: 3}, {MaxBytes: 20_000, MaxEventBytes: 50_000}, {DisableCompression: true}} {
			requireForwarded(t, all, o)
		}
	})

	text := func(n int) string { return strings.Repeat("x", n) }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"m%d":%d,`, i, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	batch := func(n int, e string) string { return strings.TrimSuffix(strings.Repeat(e+",", n), ",") }
	track := `{"type":"track","event":"E","userId":"u","properties":{"p":"%s"}}`
	for name, tt := range map[string]struct {
		path, body string
		events     int
	}{
		"a hit of 64 KiB": {"/track", `{"hitId":"h","anonymousId":"a","event":{"name":"N","t":"` + text(65_400) + `"}}`, 1},
		"an event at the limit, with escapes": {
			"/v1/track", `{"event":"E","userId":"` + strings.Repeat(`\u0001`, 5_000) + `","x":1}`, 1,
		},
		"text that is repaired": {"/v1/track", `{"event":"E","userId":"u","properties":{"p":"` + strings.Repeat("\xff", 32_000) + `"}}`, 1},
		"a batch at the limit":  {"/v1/batch", `{"batch":[` + batch(15, fmt.Sprintf(track, text(32_600))) + `]}`, 15},
		"as many events as one may send": {
			"/v1/batch", `{"batch":[` + batch(2_500, `{"type":"track","event":"E","userId":"u"}`) + `]}`, 2_500,
		},
		"a large default": {"/v1/batch", `{"context":{"c":"` + text(400_000) + `"},"batch":[` + batch(1, fmt.Sprintf(track, text(30_000))) + `]}`, 1},
		"as large defaults of many events as a batch may have": {
			"/v1/batch", `{"context":{"c":"` + text(5_120-len(`{"c":""}`)) + `"},"batch":[` + batch(100, fmt.Sprintf(track, text(4_000))) + `]}`, 100,
		},
		"a default of an import": {
			"/v1/import", `{"context":{"c":"` + text(4_000_000) + `"},"batch":[` + batch(1, fmt.Sprintf(track, "")) + `]}`, 1,
		},
		"as large defaults of many events as an import may have": {
			"/v1/import", `{"context":{"c":"` + text(1_000_000) + `"},"batch":[` + batch(4, fmt.Sprintf(track, text(30_000))) + `]}`, 4,
		},
		"more members than an event may have": {
			"/v1/batch", `{"context":{"a":{` + members(7_000) + `}},"integrations":{` + members(900) + `},"batch":[` +
				`{"type":"identify","userId":"u","traits":{` + members(1_000) + `},"context":{"b":{` + members(1_000) + `}}}]}`, 1,
		},
		"an import":                   {"/v1/import", `{"batch":[` + batch(40, fmt.Sprintf(track, text(32_000))) + `]}`, 40},
		"deeper than an event may be": {"/v1/custom/event?eventName=N&userID=u", nested(200), 1},
		"reserved members": {
			"/v1/track", `{"event":"E","userId":"u","receivedAt":"r","dialect":{"a":1},"_seq":1,"_c":"x","_client":1,"_refused":2,"_inlet":[1],` +
				`"name":"n","sourceId":7,"warnings":[],"batch":[1]}`, 1,
		},
		"no user":                 {"/api/s/track", `{"event":"E"}`, 1},
		"no user in a batch":      {"/api/s/s2s/batch", `{"batch":[{"type":"page"},{"type":"track","event":"E"}]}`, 2},
		"Commands without one":    {"/events", `{"event_name":"purchase","context":{"event_id":"1"},"revenue":10.50}`, 1},
		"numbers as ids":          {"/v1/track", `{"event":"E","userId":17,"anonymousId":-0.50,"messageId":9007199254740993}`, 1},
		"times":                   {"/v1/track", `{"event":"E","userId":"u","timestamp":"1999-12-31T23:59:59.123456789-11:30","sentAt":"2001-01-01"}`, 1},
		"times that are no times": {"/v1/track", `{"event":"E","userId":"u","timestamp":"noon","sentAt":"2001-13-01","originalTimestamp":5}`, 1},
		"a time in the future":    {"/v1/track", `{"event":"E","userId":"u","timestamp":"2999-01-01T00:00:00Z"}`, 1},
		"escaped names":           {"/v1/track", `{"event":"E","userId":"u","\u0061\u0062":{"\u0063":1,"":null},"é":"\ud83d\ude00\u2028"}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := newLink(t)
			w := httptest.NewRecorder()
			first.ServeHTTP(w, httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body)))
			require.Len(t, first.Events(), tt.events, w.Body.String())
			requireForwarded(t, first, nil)
		})
	}

	t.Run("grown by enrichment", func(t *testing.T) {
		t.Parallel()
		first := newLink(t, func(_ context.Context, e *inlet.Event) {
			e.Extra = json.RawMessage(`{"geo":{"text":"` + text(50_000) + `"},"deep":` + nested(10) + `}`)
			e.Context = json.RawMessage(`{` + members(20_000) + `}`)
		})
		body := `{"batch":[` + batch(4, fmt.Sprintf(track, text(32_000))) + `]}`
		first.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/batch", strings.NewReader(body)))
		require.Len(t, first.Events(), 4)
		requireForwarded(t, first, nil)
	})
	t.Run("of the host's own code", func(t *testing.T) {
		t.Parallel()
		first := newLink(t)
		own := events("a", "b")
		own[0].UserID, own[0].AnonymousID = "", "anonymous"
		own[0].Extra = json.RawMessage(`{"own":[1.50,{"x":null}]}`)
		own[1].MessageID = ""
		require.NoError(t, first.api.Ingest(t.Context(), web, own...))
		require.Len(t, first.Events(), 2)
		requireForwarded(t, first, nil)
	})
	t.Run("sizes", func(t *testing.T) {
		t.Parallel()
		random := rand.New(rand.NewPCG(1, 2))
		for range 15 {
			first := newLink(t)
			for range 1 + random.IntN(40) {
				body := fmt.Sprintf(`{"event":"E","context":{"c":"%s"},"properties":{"p":"%s"}}`,
					text(random.IntN(100)*random.IntN(100)), text(random.IntN(140)*random.IntN(150)))
				first.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/api/s/track", strings.NewReader(body)))
			}
			requireForwarded(t, first, &httpsink.Options{MaxEvents: 1 + random.IntN(20), MaxBytes: 2_000 + random.IntN(50_000), MaxEventBytes: 100_000})
		}
	})
	t.Run("too large for the next, refused by the first", func(t *testing.T) {
		t.Parallel()
		// Defaults of 4 MiB less a little, and traits that an identify call repeats from them.
		for _, event := range []string{`{"type":"track","event":"E","userId":"u","properties":{"p":"` + text(30_000) + `"}}`, `{"type":"identify","userId":"u"}`} {
			first := newLink(t)
			size := 4<<20 - len(event) - 100
			body := `{"context":{"traits":{"c":"` + text(size) + `"}},"batch":[` + event + `]}`
			require.LessOrEqual(t, len(body), 4<<20)
			w := httptest.NewRecorder()
			first.ServeHTTP(w, httptest.NewRequest("POST", "/v1/import", strings.NewReader(body)))
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Contains(t, w.Body.String(), inlet.CodeEventTooLarge)
			require.Empty(t, first.Events())
		}
	})
}

// Events that need no user cannot fill the disk with dead letters, since the next Inlet needs
// none either.
func TestChainDeadLetters(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(t.TempDir(), &journal.Options{SegmentBytes: 1 << 20, RetainBytes: 16 << 20, Logger: quiet})
	require.NoError(t, err)
	api, err := inlet.New(j, &inlet.Options{AllowAnonymous: true, Logger: quiet})
	require.NoError(t, err)
	const n = 200
	for i := range n {
		body := fmt.Sprintf(`{"event":"E%d","properties":{"p":"%s"}}`, i, strings.Repeat("x", 30_000))
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest("POST", "/api/s/track", strings.NewReader(body)))
		require.Equal(t, http.StatusOK, w.Code)
	}
	next := newLink(t)
	d, err := j.Deliver("next", next.to(t, nil), nil)
	require.NoError(t, err)
	require.NoError(t, d.Drain(t.Context()))
	require.Zero(t, d.Stats().Refused)
	require.Len(t, next.Events(), n)
	require.Zero(t, j.Stats().DeadLetters)
	require.NoError(t, j.Close(t.Context()))
}

// A batch is another Inlet's only if its list is complete and its key is in a header; nothing
// that only the receiver sets can be set by it.
func TestForwardedBatch(t *testing.T) {
	t.Parallel()
	const event = `{"type":"track","event":"E","messageId":"m","userId":"u"%s}`
	about := `["segment","","",""]`
	for name, tt := range map[string]struct {
		extra, about string
		code         inlet.Code
	}{
		"as it is":              {"", about, ""},
		"unknown warning":       {"", `["x","","","text_repaired new_one"]`, ""},
		"no list":               {"", ``, inlet.CodeInvalidRequest},
		"list too long":         {"", about + `,` + about, inlet.CodeInvalidRequest},
		"not a list":            {"", `{}`, inlet.CodeInvalidEvent},
		"too short":             {"", `["segment","",""]`, inlet.CodeInvalidEvent},
		"too long":              {"", `["segment","","","",""]`, inlet.CodeInvalidEvent},
		"not strings":           {"", `["segment",1,"",""]`, inlet.CodeInvalidEvent},
		"no time":               {"", `["segment","noon","",""]`, inlet.CodeInvalidEvent},
		"year 0":                {"", `["segment","0000-01-01T00:00:00Z","",""]`, inlet.CodeInvalidEvent},
		"dialect too long":      {"", `["` + strings.Repeat("x", 65) + `","","",""]`, inlet.CodeInvalidEvent},
		"dialect of two lines":  {"", `["a\nb","","",""]`, inlet.CodeInvalidEvent},
		"its own number":        {`,"_seq":"0000000000000001"`, about, inlet.CodeInvalidEvent},
		"its own checksum":      {`,"_c":"00000000"`, about, inlet.CodeInvalidEvent},
		"another's receivedAt":  {`,"receivedAt":"2026-01-02T03:04:05Z"`, about, inlet.CodeInvalidEvent},
		"another's source":      {`,"sourceId":"x"`, about, inlet.CodeInvalidEvent},
		"warnings":              {`,"warnings":[]`, about, inlet.CodeInvalidEvent},
		"sentAt":                {`,"sentAt":"2026-01-02T03:04:05Z"`, about, inlet.CodeInvalidEvent},
		"time that is no text":  {`,"timestamp":5`, about, inlet.CodeInvalidEvent},
		"id that is no text":    {`,"groupId":7`, about, inlet.CodeInvalidEvent},
		"context that is none":  {`,"context":[]`, about, inlet.CodeInvalidEvent},
		"a name twice":          {`,"a":{"b":1,"b":2}`, about, inlet.CodeDuplicateName},
		"deeper than any":       {`,"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300), about, inlet.CodeTooDeep},
		"more members than any": {`,"a":[` + strings.TrimSuffix(strings.Repeat(`{"a":1},`, 90_000), ",") + `]`, about, inlet.CodeTooManyMembers},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLink(t)
			body := `{"batch":[` + fmt.Sprintf(event, tt.extra) + `],"_inlet":[` + tt.about + `]}`
			r := httptest.NewRequest("POST", "/v1/import", strings.NewReader(body))
			r.SetBasicAuth(writeKey, "")
			w := httptest.NewRecorder()
			l.ServeHTTP(w, r)
			if tt.code == "" {
				require.Equal(t, http.StatusOK, w.Code, w.Body.String())
				require.Len(t, l.Events(), 1)
				return
			}
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Contains(t, w.Body.String(), `"`+string(tt.code)+`"`)
			require.Empty(t, l.Events())
		})
	}
	t.Run("in the far future", func(t *testing.T) {
		t.Parallel()
		l := newLink(t)
		e := events("m")
		e[0].Timestamp = time.Now().Add(48 * time.Hour)
		require.NoError(t, l.to(t, nil).Write(t.Context(), e))
		require.WithinDuration(t, time.Now(), l.Events()[0].Timestamp, time.Minute)
		require.Equal(t, inlet.WarnTimestampClamped, l.Events()[0].Warnings)
	})
	t.Run("the key is in the body", func(t *testing.T) {
		t.Parallel()
		l := newLink(t)
		body := `{"batch":[` + fmt.Sprintf(event, `,"writeKey":"`+writeKey+`"`) + `],"_inlet":[` + about + `]}`
		l.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/batch", strings.NewReader(body)))
		require.Len(t, l.Events(), 1)
		require.NotContains(t, string(l.Events()[0].AppendJSON(nil)), writeKey)
	})
}

// What a receiver other than Inlet does with events beyond Segment's limits.
func TestLargeEvents(t *testing.T) {
	t.Parallel()
	large := func(n int) []*inlet.Event {
		batch := events("a", "b", "c")
		batch[1].Properties = json.RawMessage(`{"p":"` + strings.Repeat("x", n) + `"}`)
		return batch
	}
	for name, tt := range map[string]struct {
		size     int
		answer   func(path string, size int64) *http.Response
		requests string
		outcomes []string
	}{
		"one that Segment refuses": {40_000, func(_ string, size int64) *http.Response {
			if size > 40_000 {
				return respond(400, `{"success":false,"message":"malformed"}`)
			}
			return success()
		}, "/v1/batch /v1/batch /v1/batch", []string{"stored", "rejected", "stored"}},
		"one for imports": {600_000, func(_ string, _ int64) *http.Response { return success() },
			"/v1/batch /v1/import /v1/batch", []string{"stored", "stored", "stored"}},
		"no imports": {600_000, func(path string, _ int64) *http.Response {
			if path == "/v1/import" {
				return respond(404, "")
			}
			return success()
		}, "/v1/batch /v1/import /v1/batch", []string{"stored", "rejected", "stored"}},
		"too large for batches": {40_000, func(path string, size int64) *http.Response {
			if path == "/v1/batch" && size > 40_000 {
				return respond(413, "")
			}
			return success()
		}, "/v1/batch /v1/batch /v1/import /v1/batch", []string{"stored", "stored", "stored"}},
		"too large for anything": {40_000, func(_ string, size int64) *http.Response {
			if size > 40_000 {
				return respond(413, "")
			}
			return success()
		}, "/v1/batch /v1/batch /v1/import /v1/batch", []string{"stored", "rejected", "stored"}},
		"down": {600_000, func(path string, _ int64) *http.Response {
			if path == "/v1/import" {
				return respond(503, "")
			}
			return success()
		}, "/v1/batch /v1/import", []string{"stored", "later", "later"}},
		"larger than imports": {4 << 20, func(string, int64) *http.Response { return success() },
			"/v1/batch", []string{"stored", "rejected", "stored"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				paths = append(paths, r.URL.Path)
				return tt.answer(r.URL.Path, r.ContentLength), nil
			}, &httpsink.Options{DisableCompression: true})
			err := s.Write(t.Context(), large(tt.size))
			require.Equal(t, tt.outcomes, outcomes(err, 3), "%v", err)
			require.Equal(t, tt.requests, strings.Join(paths, " "))
		})
	}
}

// An event that is too large for a batch, before the receiver has accepted anything.
func TestLargeEventFirst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status   int // of /v1/batch; /v1/import is not found
		body     string
		outcome  string
		requests string
	}{
		"a wrong endpoint":                 {404, "404 page not found\n", "later", "/v1/import /v1/batch"},
		"no imports":                       {413, "<html>", "rejected", "/v1/import /v1/batch"},
		"no imports, as Segment says":      {400, `{"success":false,"message":"Exceed payload limit"}`, "rejected", "/v1/import /v1/batch"},
		"no imports, and batches are more": {200, `{"success":true}`, "stored", "/v1/import /v1/batch"},
		"no imports, and a wrong key":      {401, "", "later", "/v1/import /v1/batch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				paths = append(paths, r.URL.Path)
				if r.URL.Path == "/v1/import" {
					return respond(404, "404 page not found\n"), nil
				}
				return respond(tt.status, tt.body), nil
			}, nil)
			batch := events("a")
			batch[0].Properties = json.RawMessage(`{"p":"` + strings.Repeat("x", 600_000) + `"}`)
			err := s.Write(t.Context(), batch)
			require.Equal(t, []string{tt.outcome}, outcomes(err, 1), "%v", err)
			require.Equal(t, tt.requests, strings.Join(paths, " "))
		})
	}
}

// A body of a forwarded batch costs another Inlet no more memory per event than a client's.
func TestForwardedAllocs(t *testing.T) {
	const n = 200
	measure := func(o *httpsink.Options) float64 {
		var body []byte
		s := newOffline(t, func(r *http.Request) (*http.Response, error) {
			body = []byte(bodyOf(t, r))
			return success(), nil
		}, o)
		batch := events(strings.Split(strings.Repeat("m ", n-1)+"m", " ")...)
		for _, e := range batch {
			e.Extra, e.Warnings = json.RawMessage(`{"a":1,"b":{"c":2}}`), inlet.WarnTextRepaired
		}
		require.NoError(t, s.Write(t.Context(), batch))
		api, err := inlet.New(inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }), &inlet.Options{AllowAnonymous: true})
		require.NoError(t, err)
		return testing.AllocsPerRun(50, func() {
			r := httptest.NewRequest("POST", "/v1/batch", bytes.NewReader(body))
			r.SetBasicAuth(writeKey, "")
			api.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	client, forwarded := measure(&httpsink.Options{Plain: true}), measure(nil)
	require.Less(t, (forwarded-client)/n, 1.1, "%v for %d events of a client, %v for forwarded ones", client, n, forwarded)
}

// FuzzChain sends any body to any route of one Inlet: what it stores, another one and a third
// one store equal, whole or in small requests.
func FuzzChain(f *testing.F) {
	for _, request := range goldenRequests(f) {
		head, body, _ := strings.Cut(request, "\n\n")
		method, rest, _ := strings.Cut(head, " ")
		target, _, _ := strings.Cut(rest, "\n")
		target, _, _ = strings.Cut(target, " ")
		f.Add(method == http.MethodPost, target, []byte(body))
	}
	for _, path := range []string{"/v1/batch", "/v1/import", "/v1/track", "/api/s/track", "/api/s/s2s/batch", "/events", "/events/batch", "/track"} {
		f.Add(true, path, []byte(`{"batch":[{"type":"page"},{"type":"track","event":"E","event_name":"E"}],"event":"E"}`))
		f.Add(true, path, []byte(`{"event":{"name":"N"},"hitId":"h","anonymousId":"a","_inlet":[],"_client":{"_seq":1}}`))
	}
	f.Fuzz(func(t *testing.T, post bool, target string, body []byte) {
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		r, err := http.NewRequest(method, target, bytes.NewReader(body))
		if err != nil || r.URL.Path == "" || r.URL.Path[0] != '/' {
			return
		}
		r.RemoteAddr = "192.0.2.1:1234"
		first := newLink(t)
		first.ServeHTTP(httptest.NewRecorder(), r)
		if len(first.Events()) == 0 {
			return
		}
		requireForwarded(t, first, nil)
		requireForwarded(t, first, &httpsink.Options{MaxEvents: 2, MaxBytes: 2_000, MaxEventBytes: 4 << 20})
	})
}
