package inlet_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

// A way is how a request ends that goes through all layers: what is nil does nothing
// unusual.
type way struct {
	name    string
	sink    inlet.SinkFunc
	options inlet.Options
	migrate func(dst, src []byte) ([]byte, inlet.MigrationReport, error)
	report  func()
	auth    inlet.AuthenticatorFunc
	host    func(http.Handler) http.Handler // a layer between ours
	writer  func(http.ResponseWriter) http.ResponseWriter
	path    string
	body    io.Reader
	text    string // a body, if it is not the usual one
}

// appliesAlways is a migration by one function.
type appliesAlways func(dst, src []byte) ([]byte, inlet.MigrationReport, error)

func (appliesAlways) Applies(*http.Request) bool { return true }

func (f appliesAlways) Migrate(dst, src []byte, _ inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	return f(dst, src)
}

// keyedTrack is goodTrack with a key in it, so that its body is searched.
var keyedTrack = strings.Replace(goodTrack, "{", `{"writeKey":"K",`, 1)

// chain returns the layers and the handler that a request of this way goes through.
func (w *way) chain(t testing.TB, p *inlet.Protocol) http.Handler {
	t.Helper()
	sink := w.sink
	if sink == nil {
		sink = func(context.Context, []*inlet.Event) error { return nil }
	}
	o := w.options
	o.Protocol = p
	var h http.Handler = mustNew(t, sink, &o)
	if w.migrate == nil {
		w.migrate = func(dst, src []byte) ([]byte, inlet.MigrationReport, error) {
			return append(append(dst, ' '), src...), inlet.MigrationReport{}, nil
		}
	}
	migrate, err := inlet.MigratePayload(appliesAlways(w.migrate), &inlet.MigratePayloadOptions{
		Protocol: p, Report: func(context.Context, *http.Request, inlet.MigrationReport) {
			if w.report != nil {
				w.report()
			}
		},
	})
	require.NoError(t, err)
	h = migrate(h)
	if w.host != nil {
		h = w.host(h)
	}
	if w.auth == nil {
		w.auth = inlet.MustKeys(map[string]inlet.Source{"K": {ID: "website"}}).Authenticate
	}
	auth, err := inlet.Authenticate(w.auth, &inlet.AuthOptions{Protocol: p})
	require.NoError(t, err)
	h = auth(h)
	if w.host != nil {
		h = w.host(h)
	}
	read, err := inlet.ReadPayload(p)
	require.NoError(t, err)
	return read(h)
}

// serve has a request go this way, in a goroutine that it may end.
func (w *way) serve(h http.Handler) (answer *httptest.ResponseRecorder) {
	body := w.body
	if body == nil {
		text := w.text
		if text == "" {
			text = keyedTrack
		}
		body = strings.NewReader(text)
	}
	path := w.path
	if path == "" {
		path = "/v1/track"
	}
	answer = httptest.NewRecorder()
	var rw http.ResponseWriter = answer
	if w.writer != nil {
		rw = w.writer(rw)
	}
	var done sync.WaitGroup
	done.Go(func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(rw, request(http.MethodPost, path, body))
	})
	done.Wait()
	return answer
}

// brokenWriter fails in its own way when an answer is written.
type brokenWriter struct {
	http.ResponseWriter
	fail func()
}

func (w brokenWriter) Write([]byte) (int, error) {
	w.fail()
	return 0, errors.New("gone")
}

// hijackable is a writer whose connection can be taken over.
type hijackable struct{ http.ResponseWriter }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	ours, theirs := net.Pipe()
	return ours, nil, theirs.Close()
}

// panicReader panics as it is read.
type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("body") }

// before returns a layer of the host that does f before the next handler.
func before(f func(w http.ResponseWriter, r *http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f(w, r)
			next.ServeHTTP(w, r)
		})
	}
}

// after returns a layer of the host that does f after the next handler.
func after(f func()) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			f()
		})
	}
}

type panicObserver struct{}

func (panicObserver) ObserveRequest(context.Context, *inlet.Outcome) { panic("o") }

func waysOut() []way {
	abort := func() { panic(http.ErrAbortHandler) }
	exit := func() { runtime.Goexit() }
	fail := errors.New("failed")
	return []way{
		{name: "a success"},
		{name: "not JSON", text: `{"writeKey":"K",`},
		{name: "no key", text: goodTrack},
		{name: "an unknown key", text: strings.Replace(keyedTrack, "K", "L", 1)},
		{name: "no route", path: "/nowhere"},
		{name: "an open route", path: "/v1/m"},
		{name: "an event that is refused", text: `{"writeKey":"K"}`},
		{name: "an event that is withdrawn", text: `{"writeKey":"K","event":"E","userId":["u"]}`},
		{name: "events that are withdrawn", path: "/v1/batch", text: `{"writeKey":"K","batch":[{"userId":["u"]},{"type":"page","userId":{}},1,{"a":1,"a":2}]}`},
		{name: "a batch of another Inlet's", path: "/v1/import", text: `{"writeKey":"K","batch":[{"type":"page","userId":"u"}],"_inlet":[["segment","","",""]]}`},
		{name: "an event of SegmentStream's", path: "/track", text: `{"writeKey":"K","hitId":"h","anonymousId":"a","event":{"name":"N"}}`},
		{name: "defaults that are too large", path: "/v1/batch", text: `{"writeKey":"K","context":{"a":"` + strings.Repeat("x", 20_000) + `"},"batch":[` +
			strings.Join(repeated(1000, `{"type":"page","userId":"u"}`), ",") + `]}`},
		{name: "too large", text: `{"writeKey":"K","x":"` + strings.Repeat("x", 40_000) + `"}`},
		{name: "a client that aborts", body: io.MultiReader(strings.NewReader(`{"wri`), iotest.ErrReader(io.ErrUnexpectedEOF))},
		{name: "a body that panics", body: panicReader{}},
		{name: "a sink that fails", sink: func(context.Context, []*inlet.Event) error { return fail }},
		{name: "a sink that panics", sink: func(context.Context, []*inlet.Event) error { panic("s") }},
		{name: "a sink that aborts", sink: func(context.Context, []*inlet.Event) error { abort(); return nil }},
		{name: "a sink that exits", sink: func(context.Context, []*inlet.Event) error { exit(); return nil }},
		{name: "a validator that panics", options: inlet.Options{Validators: []inlet.Validator{func(*inlet.Event) *inlet.Problem { panic("v") }}}},
		{name: "an enricher that panics", options: inlet.Options{Enrichers: []inlet.Enricher{func(context.Context, *inlet.Event) { panic("e") }}}},
		{name: "an enricher that exits", options: inlet.Options{Enrichers: []inlet.Enricher{func(context.Context, *inlet.Event) { exit() }}}},
		{name: "an observer that panics", options: inlet.Options{Observer: panicObserver{}}},
		{name: "an authenticator that panics", auth: func(context.Context, inlet.Credentials) (*inlet.Source, error) { panic("a") }},
		{name: "an authenticator that fails", auth: func(context.Context, inlet.Credentials) (*inlet.Source, error) { return nil, fail }},
		{name: "a migration that panics", migrate: func([]byte, []byte) ([]byte, inlet.MigrationReport, error) { panic("m") }},
		{name: "a migration that fails", migrate: func(dst, _ []byte) ([]byte, inlet.MigrationReport, error) {
			return dst, inlet.MigrationReport{}, fail
		}},
		{name: "a report that panics", report: func() { panic("r") }},
		{name: "a host's layer that aborts before", host: before(func(http.ResponseWriter, *http.Request) { abort() })},
		{name: "a host's layer that aborts after", host: after(abort)},
		{name: "a host's layer that exits", host: after(exit)},
		{name: "a host's layer that reads the body", host: before(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		})},
		{name: "a charge that panics", host: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, inlet.WithCharge(r, func(context.Context, int, int) error { panic("c") }))
			})
		}},
		{name: "a connection that is taken over", writer: func(w http.ResponseWriter) http.ResponseWriter { return hijackable{w} },
			host: before(func(w http.ResponseWriter, _ *http.Request) {
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					conn.Close()
				}
			})},
		{name: "an answer that panics", writer: func(w http.ResponseWriter) http.ResponseWriter { return brokenWriter{w, abort} }},
		{name: "an answer that is not taken", writer: func(w http.ResponseWriter) http.ResponseWriter { return brokenWriter{w, func() {}} }},
		{name: "a handler that is late", host: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var inner sync.WaitGroup
				defer inner.Wait()
				http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inner.Add(1)
					defer inner.Done()
					next.ServeHTTP(w, r)
				}), time.Hour, "late").ServeHTTP(w, r)
			})
		}},
		{name: "layers called twice", host: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(httptest.NewRecorder(), r)
				next.ServeHTTP(w, r)
			})
		}},
	}
}

func accountProtocol() *inlet.Protocol { return &inlet.Protocol{Payload: smallBudget()} }

// Every way out settles the account of the request: 100,000 requests of all ways together
// leave nothing behind in a budget that 128 of them would use up.
func TestAccountSettled(t *testing.T) {
	t.Parallel()
	ways := waysOut()
	each := 100_000/len(ways) + 1
	if testing.Short() {
		each = 300
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			p := accountProtocol()
			h := w.chain(t, p)
			for range each {
				w.serve(h)
				if used := p.BytesInFlight(); used != 0 {
					t.Fatalf("%d bytes are left in the account", used)
				}
			}
			good := way{}
			requireSuccess(t, good.serve(good.chain(t, p)))
		})
	}
}

// Handler.Memory returns what is in the account of all requests.
func TestMemory(t *testing.T) {
	t.Parallel()
	var h *inlet.Handler
	var during int64
	h, err := inlet.New(inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		during, _ = h.Memory()
		return nil
	}), &inlet.Options{AllowAnonymous: true, Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: 64 << 20}}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"userId":"u","event":"E"}`)))
	require.Equal(t, http.StatusOK, w.Code)
	require.Positive(t, during)
	used, limit := h.Memory()
	require.Zero(t, used)
	require.EqualValues(t, 64<<20, limit)
}

// Layers may return while the handler behind them still works: what it uses stays in the
// account until it has left, too.
func TestAccountOutlived(t *testing.T) {
	t.Parallel()
	early := func(start func(next func())) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				start(func() { next.ServeHTTP(httptest.NewRecorder(), r) })
			})
		}
	}
	for _, tt := range []struct {
		name string
		host func(done *sync.WaitGroup, working chan struct{}) func(http.Handler) http.Handler
	}{
		{"http.TimeoutHandler", func(done *sync.WaitGroup, _ chan struct{}) func(http.Handler) http.Handler {
			return func(next http.Handler) http.Handler {
				return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					done.Add(1)
					defer done.Done()
					next.ServeHTTP(w, r)
				}), 300*time.Millisecond, "late")
			}
		}},
		{"a layer that does not wait", func(done *sync.WaitGroup, working chan struct{}) func(http.Handler) http.Handler {
			return early(func(next func()) {
				done.Go(next)
				<-working
			})
		}},
		{"a layer that panics meanwhile", func(done *sync.WaitGroup, working chan struct{}) func(http.Handler) http.Handler {
			return early(func(next func()) {
				done.Go(next)
				<-working
				panic(http.ErrAbortHandler)
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := accountProtocol()
			working, letGo := make(chan struct{}, 1), make(chan struct{})
			sink := inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
				working <- struct{}{}
				<-letGo
				return nil
			})
			var done sync.WaitGroup
			auth, err := inlet.Authenticate(inlet.MustKeys(map[string]inlet.Source{"K": {ID: "website"}}), &inlet.AuthOptions{Protocol: p})
			require.NoError(t, err)
			read, err := inlet.ReadPayload(p)
			require.NoError(t, err)
			h := tt.host(&done, working)(auth(mustNew(t, sink, &inlet.Options{Protocol: p})))
			var w way
			w.serve(read(h))
			held := p.BytesInFlight()
			close(letGo)
			done.Wait()
			require.NotZero(t, held, "the handler still works")
			require.Zero(t, p.BytesInFlight())
		})
	}
}

func TestAccountRefusals(t *testing.T) {
	t.Parallel()
	// In 4 MiB fits one such batch next to others, and no batch of twice as many.
	batch := func(n int) string {
		return batchOf(repeated(n, `{"type":"page","userId":"u","properties":{"x":"`+strings.Repeat("x", 60)+`"}}`)...)
	}
	protocol := func() *inlet.Protocol {
		p := accountProtocol()
		p.Limits = inlet.Limits{Events: 10_000, BatchBytes: 1 << 20}
		return p
	}
	t.Run("what could never fit is too large", func(t *testing.T) {
		t.Parallel()
		p := protocol()
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: p})
		requireSuccess(t, serve(h, authenticated("/v1/batch", batch(1500))))
		a := requireRefused(t, serve(h, authenticated("/v1/batch", batch(6000))), 400, inlet.CodePayloadTooLarge)
		require.Contains(t, a.Message, "memory")
		require.Zero(t, p.BytesInFlight())
	})
	t.Run("what does not fit now is asked to come back", func(t *testing.T) {
		t.Parallel()
		p := protocol()
		sink := &stuckSink{working: make(chan struct{}), letGo: make(chan struct{})}
		h := mustNew(t, sink, &inlet.Options{Protocol: p})
		var done sync.WaitGroup
		done.Go(func() { serve(h, authenticated("/v1/batch", batch(1500))) })
		<-sink.working
		w := serve(h, authenticated("/v1/batch", batch(1500)))
		close(sink.letGo)
		done.Wait()
		requireRefused(t, w, 503, inlet.CodeOverloaded)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		require.Zero(t, p.BytesInFlight())
	})
	t.Run("a dialect of the host's makes nothing more", func(t *testing.T) {
		t.Parallel()
		p, calls := protocol(), 0
		p.Dialects = []inlet.Dialect{customDialect{[]inlet.Route{{Method: "POST", Path: "/own", Decode: func(in *inlet.Input) error {
			for range 100 {
				_ = in.AppendRaw(func(dst []byte) []byte {
					calls++
					return append(dst, make([]byte, 1<<20)...)
				})
			}
			return nil
		}}}}}
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: p})
		requireRefused(t, serve(h, authenticated("/own", `{}`)), 400, inlet.CodePayloadTooLarge)
		require.Less(t, calls, 5)
		require.Zero(t, p.BytesInFlight())
	})
	t.Run("a dialect of the host's is charged before and after", func(t *testing.T) {
		t.Parallel()
		const sent = 30_000
		for _, made := range []int{0, 10, sent, 4 * sent, 20 * sent} {
			p := protocol()
			var before, within, after int64
			p.Dialects = []inlet.Dialect{customDialect{[]inlet.Route{{Method: "POST", Path: "/own", Decode: func(in *inlet.Input) error {
				before = p.BytesInFlight()
				_ = in.AppendRaw(func(dst []byte) []byte {
					within = p.BytesInFlight()
					return append(dst, make([]byte, made)...)
				})
				after = p.BytesInFlight()
				return nil
			}}}}}
			h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: p})
			serve(h, authenticated("/own", `{"a":"`+strings.Repeat("x", sent)+`"}`))
			const step = 16 << 10 // which an account takes at once
			require.GreaterOrEqual(t, within-before, int64(3*sent-step))
			require.GreaterOrEqual(t, after-before, int64(made-step))
			require.Less(t, after-before, int64(made+made/4+3*step), "what was not used is given back")
			require.Zero(t, p.BytesInFlight())
		}
	})
	t.Run("Ingest", func(t *testing.T) {
		t.Parallel()
		p := protocol()
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: p})
		big := &inlet.Event{Type: inlet.TypePage, UserID: "u", Context: []byte(`{"x":"` + strings.Repeat("x", 10_000) + `"}`)}
		events := make([]*inlet.Event, 500)
		for i := range events {
			events[i] = big
		}
		require.NoError(t, h.Ingest(t.Context(), website, events[:100]...))
		var e *inlet.Error
		require.ErrorAs(t, h.Ingest(t.Context(), website, events...), &e)
		require.Equal(t, inlet.CodePayloadTooLarge, e.Code)
		require.Zero(t, p.BytesInFlight())
	})
}

// stuckSink holds writes until they are let go.
type stuckSink struct{ working, letGo chan struct{} }

func (s *stuckSink) Write(context.Context, []*inlet.Event) error {
	s.working <- struct{}{}
	<-s.letGo
	return nil
}

// allocated returns how many bytes f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// liveBytes returns how many bytes of the heap are in use.
func liveBytes() int64 {
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	return int64(now.HeapAlloc)
}

// emptyPools has the pools forget what other tests have left there.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// smallMembers returns a text of about so many bytes: members with short names that differ.
func smallMembers(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%x":1`, i)
	}
	return b.String()
}

// What a request reserves is at least what is allocated for it, whatever its body is. Not
// parallel: memory is measured for the whole process.
func TestAccountCovers(t *testing.T) {
	page := `{"type":"page","userId":"u"`
	defaults := `"context":{"a":"` + strings.Repeat("x", 1500) + `","b":{"c":1}}`
	bodies := []struct{ name, path, body string }{
		{"an ordinary event", "/v1/track", goodTrack},
		{"150 kB", "/v1/import", batchOf(repeated(10, page+`,"x":"`+strings.Repeat("x", 15_000)+`"}`)...)},
		{"550 kB", "/v1/import", batchOf(repeated(37, page+`,"x":"`+strings.Repeat("x", 15_000)+`"}`)...)},
		{"900 kB", "/v1/import", batchOf(repeated(60, page+`,"x":"`+strings.Repeat("x", 15_000)+`"}`)...)},
		{"2.2 MB", "/v1/import", batchOf(repeated(147, page+`,"x":"`+strings.Repeat("x", 15_000)+`"}`)...)},
		{"events that point to the batch's context", "/v1/import", `{` + defaults + `,"batch":[` + strings.Join(repeated(2500, page+`}`), ",") + `]}`},
		{"events with contexts of their own", "/v1/import", `{` + defaults + `,"batch":[` + strings.Join(repeated(2000, page+`,"context":{"b":{"d":1}}}`), ",") + `]}`},
		{"small members", "/v1/import", batchOf(repeated(100, page+`,`+smallMembers(30_000)+`}`)...)},
		{"small members of the batch", "/v1/import", `{` + smallMembers(80_000) + `,"batch":[` + page + `}]}`},
		{"names with escapes", "/v1/import", batchOf(repeated(100, page+`,`+strings.ReplaceAll(smallMembers(15_000), `":1`, `\u0041":1`)+`}`)...)},
		{"strings with escapes", "/v1/import", batchOf(repeated(500, `{"type":"page","userId":"u","name":"`+strings.Repeat(`\u0041`, 500)+`"}`)...)},
		{"invalid text", "/v1/import", batchOf(repeated(500, page+`,"properties":{"x":"`+strings.Repeat("\xff", 2000)+`"}}`)...)},
		{"extra members", "/v1/import", batchOf(repeated(100, page+`,"_seq":1,"x":"`+strings.Repeat("x", 20_000)+`"}`)...)},
		{"many that are refused", "/v1/import", batchOf(append(repeated(2499, `1`), page+`}`)...)},
		{"Commanders Act", "/events/batch", batchOf(repeated(100, `{"event_name":"e",`+smallMembers(4000)+`}`)...)},
		{"a context of 13 kB in many events", "/v1/import", `{"context":{"a":"` + strings.Repeat("x", 13_000) + `"},"batch":[` +
			strings.Join(repeated(300, page+`}`), ",") + `]}`},
		{"names of 100 bytes", "/v1/import", batchOf(repeated(100, page+`,"properties":{`+longNames(300)+`}}`)...)},
		{"nested lists", "/v1/import", batchOf(repeated(500, page+`,"properties":{"a":`+strings.Repeat("[", 190)+strings.Repeat("]", 190)+`}}`)...)},
		{"lists of lists", "/v1/import", batchOf(repeated(100, page+`,"properties":{"a":[`+strings.Join(repeated(5000, "[]"), ",")+`]}}`)...)},
		{"duplicate names", "/v1/import", batchOf(append(repeated(1000, `{"`+strings.Repeat("n", 900)+`":1,"`+strings.Repeat("n", 900)+`":1}`), page+`}`)...)},
		{"another Inlet's", "/v1/import", `{"batch":[` + strings.Join(repeated(1000, page+`,"x":[`+strings.Join(repeated(500, "1"), ",")+`]}`), ",") +
			`],"_inlet":[` + strings.Join(repeated(1000, `["segment","","",""]`), ",") + `]}`},
		{"another Inlet's, with many members", "/v1/import", `{"batch":[` + strings.Join(repeated(100, page+`,`+smallMembers(20_000)+`}`), ",") +
			`],"_inlet":[` + strings.Join(repeated(100, `["segment","","",""]`), ",") + `]}`},
		{"Commanders Act 1.0", "/events/batch", batchOf(repeated(100, `{"event":"e","user":{"id":"1"},"context":{"device":{}},`+smallMembers(4000)+`}`)...)},
		{"Commanders Act 1.0, with many users", "/events/batch", batchOf(repeated(1000, `{"event":"e","user":{"id":"1","email":"a@example.com"},"properties":{"user":{"id":"2"}}}`)...)},
		{"Commanders Act 1.0, with many objects", "/events/batch", batchOf(repeated(100, `{"event":"e",`+strings.ReplaceAll(smallMembers(4000), ":1", ":{}")+`}`)...)},
		{"events of Commanders Act that cannot be migrated", "/events/batch", batchOf(append(repeated(2499, `{"event":"e","properties":1}`), `{"event_name":"e"}`)...)},
		{"a pixel", "/v1/pixel/page?userId=u&" + pixelQuery(90), ""},
		{"a pixel with levels", "/v1/pixel/page?userId=u&" + strings.ReplaceAll(pixelQuery(15), "=", ".a.b.c.d="), ""},
	}
	for _, tt := range bodies {
		t.Run(tt.name, func(t *testing.T) {
			p := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: 128 << 20}}
			var reserved, live, encoded int64
			var before runtime.MemStats
			h := mustNew(t, inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
				for _, e := range events {
					encoded += int64(len(e.AppendJSON(nil)) + 1)
				}
				lines := make([]byte, encoded) // as a sink that encodes them together
				live = liveBytes() - int64(before.HeapAlloc)
				reserved = p.BytesInFlight()
				runtime.KeepAlive(lines)
				return nil
			}), &inlet.Options{Protocol: p})
			migrate, err := inlet.MigratePayload(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: p})
			require.NoError(t, err)
			layered := migrate(h)
			r := authenticated(tt.path, tt.body)
			if tt.body == "" {
				r.Method, r.Body = http.MethodGet, http.NoBody
			}
			w := httptest.NewRecorder()
			emptyPools()
			runtime.ReadMemStats(&before)
			made := allocated(func() { layered.ServeHTTP(w, r) })
			require.Equal(t, 200, w.Code, "%s", w.Body)
			require.NotZero(t, reserved, "%v", w.Header())
			t.Logf("body %d: reserved %d for %d alive, %d encoded of them; %d allocated", len(tt.body), reserved, live, encoded, made)
			kept := int64(slack)
			if strings.Contains(tt.name, "1.0") {
				kept += min(6*int64(len(tt.body)), 512<<10) // of the migrator, for the next migration
			}
			require.GreaterOrEqual(t, reserved+kept, live)
			require.LessOrEqual(t, reserved, int64(24<<20), "six times the largest body")
			require.Zero(t, p.BytesInFlight())
		})
	}
}

// A migration's report is a part of what its request is charged for, while it is reported and
// after. Not parallel, as above.
func TestAccountReports(t *testing.T) {
	conflicts := `{"event":"e","user":{"id":"1",` + smallMembers(2000) + `},"properties":{"user":{"id":"2",` +
		strings.ReplaceAll(smallMembers(2000), ":1", ":2") + `}}}`
	for _, tt := range []struct {
		name, body string
		shadow     bool
		own        inlet.Migration
	}{
		{"many values that gave way", batchOf(repeated(100, conflicts)...), false, nil},
		{"the same in the shadow", batchOf(repeated(100, conflicts)...), true, nil},
		{"many failures", batchOf(append(repeated(2499, `{"event":"e","properties":1}`), `{"event_name":"e"}`)...), false, nil},
		{"of a migration of the host's", batchOf(`{"event_name":"e"}`), false, noting{}},
		{"of many small events", batchOf(repeated(2500, `{"event":"e","x":1,"y":2}`)...), false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: 128 << 20}}
			var before runtime.MemStats
			var reserved, live, later int64
			var kept inlet.MigrationReport
			if tt.own == nil {
				tt.own = inlet.CommandersActV1()
			}
			migrate, err := inlet.MigratePayload(tt.own, &inlet.MigratePayloadOptions{
				Protocol: p, Shadow: tt.shadow,
				Report: func(_ context.Context, _ *http.Request, r inlet.MigrationReport) {
					live, reserved = liveBytes()-int64(before.HeapAlloc), p.BytesInFlight()
					kept = r
				},
			})
			require.NoError(t, err)
			h := migrate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { later = p.BytesInFlight() }))
			r := authenticated("/events/batch", tt.body)
			emptyPools()
			runtime.ReadMemStats(&before)
			h.ServeHTTP(httptest.NewRecorder(), r)
			t.Logf("body %d: %d notes; reserved %d, later %d, for %d alive", len(tt.body), len(kept.Notes), reserved, later, live)
			require.NotEmpty(t, kept.Notes)
			require.GreaterOrEqual(t, reserved+slack+512<<10, live)
			require.GreaterOrEqual(t, later, int64(90*len(kept.Notes)))
			require.Zero(t, p.BytesInFlight())
		})
	}
}

// noting is a migration that has much to report.
type noting struct{}

func (noting) Applies(*http.Request) bool { return true }

func (noting) Migrate(dst, src []byte, _ inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	return append(dst, src...), inlet.MigrationReport{Notes: make([]inlet.MigrationNote, 20_000)}, nil
}

// longNames returns members with names of 100 bytes.
func longNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%0100x":1,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// pixelQuery returns so many parameters.
func pixelQuery(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "properties.p%x=%x&", i, i)
	}
	return strings.TrimSuffix(b.String(), "&")
}

// A body of 6 MB, all of which differs, is refused before more of it is made than its route
// takes. Not parallel, as above.
func TestAccountUnique(t *testing.T) {
	testkit.SlowUnderRace(t)
	body := `{"batch":[{"type":"page","userId":"u","properties":{` + smallMembers(6_000_000) + `}}]}`
	for _, encoding := range []string{"", "gzip", "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			p := new(inlet.Protocol)
			h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: p})
			sent, header := body, []string(nil)
			if encoding != "" {
				sent, header = encoded(t, encoding, body), []string{"Content-Encoding", encoding}
			}
			emptyPools()
			made := allocated(func() {
				requireRefused(t, serve(h, authenticated("/v1/import", sent, header...)), 400, inlet.CodePayloadTooLarge)
			})
			t.Logf("%d bytes as sent, %d allocated", len(sent), made)
			require.LessOrEqual(t, made, int64(24<<20))
			require.Zero(t, p.BytesInFlight())
		})
	}
}

// A layer alone, in front of a handler that is not ours, charges what it has read and settles
// it, also if the body is not read, or is read after it has returned.
func TestAccountOfLayerAlone(t *testing.T) {
	t.Parallel()
	for name, inner := range map[string]func(w http.ResponseWriter, r *http.Request){
		"a handler that reads": func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		"one that does not":    func(http.ResponseWriter, *http.Request) {},
		"one that panics":      func(http.ResponseWriter, *http.Request) { panic("h") },
		"one that aborts":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"one that leaves a reader": func(_ http.ResponseWriter, r *http.Request) {
			go func() { _, _ = io.Copy(io.Discard, r.Body) }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := accountProtocol()
			read, err := inlet.ReadPayload(p)
			require.NoError(t, err)
			text := `{"a":"` + strings.Repeat("x", 100_000) + `"}`
			w := way{path: "/anything", text: text}
			var held int64
			h := read(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				held = p.BytesInFlight()
				inner(rw, r)
			}))
			for range 100 {
				w.serve(h)
				require.GreaterOrEqual(t, held, int64(len(text)))
				require.Zero(t, p.BytesInFlight())
			}
		})
	}
}

// slack is what a request needs that does not depend on what it holds.
const slack = 64 << 10

// Requests without a key are searched and not indexed. Not parallel, as above.
func TestAccountWithoutKey(t *testing.T) {
	testkit.SlowUnderRace(t)
	auth := mustAuth(t, inlet.MustKeys(nil), nil)(http.NotFoundHandler())
	for _, tt := range []struct {
		name, path, encoding, body string
		times                      int64 // of the body as sent or as decoded, whichever is more
		status                     int
	}{
		{"an event is as large as its route allows", "/v1/track", "gzip", `{` + smallMembers(3_000_000) + `}`, 0, 400},
		{"small members", "/v1/import", "gzip", `{` + smallMembers(3_000_000) + `}`, 3, 401},
		{"small events", "/v1/import", "gzip", batchOf(repeated(2500, `{`+smallMembers(1600)+`}`)...), 3, 401},
		{"small members in deeper levels", "/v1/import", "gzip", `{"a":[` + strings.Join(repeated(2500, `{`+smallMembers(1500)+`}`), ",") + `]}`, 3, 401},
		{"deep levels", "/v1/import", "gzip", `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, 20, 401},
		{"names with escapes", "/v1/import", "gzip", `{` + strings.ReplaceAll(smallMembers(2_000_000), `":1`, `\u0041":1`) + `}`, 3, 401},
		{"not JSON at its end", "/v1/import", "gzip", `{` + smallMembers(3_000_000), 3, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(http.MethodPost, tt.path, strings.NewReader(encoded(t, tt.encoding, tt.body)), "Content-Encoding", tt.encoding)
			w := httptest.NewRecorder()
			emptyPools()
			made := allocated(func() { auth.ServeHTTP(w, r) })
			t.Logf("body %d, allocated %d", len(tt.body), made)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			require.LessOrEqual(t, made, int64(len(tt.body))*tt.times+int64(256<<10))
		})
	}
}

// A batch's defaults cost no more than the largest body of their route. One context, sent
// once, was stored and encoded with each of 2,500 events: 35 MiB of 1,190 bytes.
func TestAccountDefaults(t *testing.T) {
	p := new(inlet.Protocol)
	h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: p})
	body := `{"context":{"a":"` + strings.Repeat("x", 13_000) + `"},"batch":[` +
		strings.Join(repeated(2500, `{"type":"page","userId":"u","context":{"b":1}}`), ",") + `]}`
	sent := encoded(t, "gzip", body)
	require.Less(t, len(sent), 1500)
	emptyPools()
	made := allocated(func() {
		requireRefused(t, serve(h, authenticated("/v1/import", sent, "Content-Encoding", "gzip")), 400, inlet.CodePayloadTooLarge)
	})
	t.Logf("%d bytes as sent, %d allocated", len(sent), made)
	require.Less(t, made, int64(4<<20))
}

// Defaults that events only point to are bounded as copies of them are: together they are no more
// than a body of their route.
func TestDefaultsLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path            string
		events, all     int
		own, otherParts string
	}{
		{"/v1/batch", 100, 512_000, "", ""},
		{"/v1/batch", 2500, 512_000, "", ""},
		{"/v1/batch", 100, 512_000, `,"context":{}`, ""},
		{"/v1/batch", 100, 512_000, `,"context":{"b":1}`, ""},
		{"/v1/batch", 100, 512_000, "", `,"integrations":{"All":true}`},
		{"/v1/batch", 100, 512_000, `,"context":{"b":1},"integrations":{"x":1}`, `,"integrations":{"All":true}`},
		{"/v1/import", 1000, 4 << 20, "", ""},
		{"/v1/import", 2, 4 << 20, "", ""},
		{"/v1/import", 1, 4<<20 - 100_000, "", ""},
	} {
		for _, more := range []int{0, 1} {
			sink := new(testsink.Keeper)
			h := mustNew(t, sink, nil)
			n := tt.all/tt.events - len(`{"a":""}`) + more
			if tt.otherParts != "" {
				n -= len(`{"All":true}`)
			}
			body := `{"context":{"a":"` + strings.Repeat("x", n) + `"}` + tt.otherParts + `,"batch":[` +
				strings.Join(repeated(tt.events, `{"type":"page","userId":"u"`+tt.own+`}`), ",") + `]}`
			w := serve(h, authenticated(tt.path, body))
			if more == 0 || tt.events == 1 {
				requireSuccess(t, w)
				require.Len(t, sink.Events(), tt.events)
				continue
			}
			a := requireRefused(t, w, 400, inlet.CodePayloadTooLarge)
			require.Contains(t, a.Message, strconv.Itoa(tt.all))
			require.Empty(t, sink.Events())
		}
	}
}

// What a body claims about its size costs nothing. Not parallel, as above.
func TestAccountClaims(t *testing.T) {
	var empty bytes.Buffer
	empty.WriteString("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
	empty.Write([]byte{0, 0, 0x40, 0}) // 4 MiB
	auth := mustAuth(t, inlet.MustKeys(nil), nil)(http.NotFoundHandler())
	for name, sent := range map[string]string{
		"a trailer of gzip": empty.String(),
		"a header of zstd":  "\x28\xb5\x2f\xfd\xa0\x00\x00\x40\x00\x01\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			encoding := strings.Fields(name)[3]
			emptyPools()
			w := httptest.NewRecorder()
			r := request(http.MethodPost, "/v1/import", strings.NewReader(sent), "Content-Encoding", encoding)
			made := allocated(func() { auth.ServeHTTP(w, r) })
			require.Equal(t, 400, w.Code)
			require.Less(t, made, int64(512<<10))
		})
	}
}
