package inspector

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

var quiet = slog.New(slog.DiscardHandler)

func everybody(*http.Request) bool { return true }

func open(t testing.TB, o Options) *Inspector {
	t.Helper()
	if o.Authorize == nil {
		o.Authorize = everybody
	}
	o.Logger = quiet
	i, err := New(&o)
	require.NoError(t, err)
	t.Cleanup(i.Close)
	return i
}

// watch makes the inspector capture, as a viewer does, until the test ends.
func (i *Inspector) watch(t testing.TB, query string) *viewer {
	t.Helper()
	v := &viewer{filter: filterOf(httptest.NewRequest(http.MethodGet, "/stream?"+query, nil).URL.Query()), news: make(chan struct{}, 1)}
	require.True(t, i.enter(v))
	t.Cleanup(func() { i.leave(v) })
	return v
}

// rows returns what is kept, without its times.
func (i *Inspector) rows() (list []row) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id := i.ring.oldest; id <= i.ring.last; id++ {
		r := *i.ring.get(id)
		r.At, r.detail, r.text = time.Time{}, nil, nil
		list = append(list, r)
	}
	return list
}

// A host is a server with an inspector, and a sink that may fail.
type host struct {
	http.Handler
	inspector *Inspector
	stored    *sinks.Memory
	fail      error
}

func newHost(t testing.TB, o Options, rejects bool) *host {
	t.Helper()
	h := &host{inspector: open(t, o), stored: new(sinks.Memory)}
	sink := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		if h.fail != nil {
			return h.fail
		}
		return h.stored.Write(ctx, events)
	})
	options := &inlet.Options{Logger: quiet}
	if rejects {
		options.Rejects = h.inspector.Sink(new(sinks.Memory))
	}
	handler, err := inlet.New(h.inspector.Sink(sink), options)
	require.NoError(t, err)
	keys, err := inlet.NewKeys(map[string]inlet.Source{"secret-key": {ID: "web"}})
	require.NoError(t, err)
	h.Handler = h.inspector.Layer(middleware.Chain(middleware.Payload(nil), middleware.Auth(keys, nil))(handler))
	return h
}

func (h *host) post(path, key, body string) int {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "test/1")
	if key != "" {
		r.SetBasicAuth(key, "")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

const line = "POST /v1/track HTTP/1.1"

func TestCapture(t *testing.T) {
	t.Parallel()
	event := func(id string) string { return `{"event":"Signed Up","userId":"u1","messageId":"` + id + `"}` }
	good := row{
		ID: 1, Kind: accepted, Source: "web", Dialect: "segment", Type: "track", Name: "Signed Up", User: "u1", MessageID: "m1",
		Request: line, Agent: "test/1", HasDetail: true,
	}
	t.Run("accepted, and a duplicate", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, Options{}, false)
		h.inspector.watch(t, "")
		require.Equal(t, 200, h.post("/v1/track", "secret-key", event("m1")))
		require.Equal(t, 200, h.post("/v1/track", "secret-key", event("m1")))
		again := good
		again.ID, again.Kind = 2, duplicate
		require.Equal(t, []row{good, again}, h.inspector.rows())
	})
	t.Run("refused, with what was sent where rejects are stored", func(t *testing.T) {
		t.Parallel()
		for _, rejects := range []bool{false, true} {
			h := newHost(t, Options{}, rejects)
			h.inspector.watch(t, "")
			require.Equal(t, 400, h.post("/v1/track", "secret-key", `{"event":"Signed Up","messageId":"m1"}`))
			rows := h.inspector.rows()
			require.Len(t, rows, 1)
			require.Equal(t, rejects, rows[0].HasDetail)
			require.Equal(t, "refused no_user_anon_id userId m1 web "+line, strings.Join(
				[]string{rows[0].Kind, rows[0].Code, rows[0].Field, rows[0].MessageID, rows[0].Source, line}, " "))
			require.NotEmpty(t, rows[0].Reason)
		}
	})
	t.Run("a batch of both", func(t *testing.T) {
		t.Parallel()
		for _, rejects := range []bool{false, true} {
			h := newHost(t, Options{}, rejects)
			h.inspector.watch(t, "")
			h.post("/v1/batch", "secret-key", `{"batch":[{"type":"track","event":"A","userId":"u"},{"type":"track","event":"B"},{"type":"track","event":"C"},{"type":"page","userId":"u"}]}`)
			kinds := map[string]int{}
			for _, r := range h.inspector.rows() {
				kinds[r.Kind]++
			}
			require.Equal(t, map[string]int{accepted: 2, refused: 2}, kinds)
		}
	})
	t.Run("a request without a key, and no key in its row", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, Options{}, false)
		h.inspector.watch(t, "")
		require.Equal(t, 401, h.post("/v1/track", "wrong-key", event("m1")))
		require.Equal(t, 401, h.post("/nothing", "", event("m1")))
		rows := h.inspector.rows()
		require.Len(t, rows, 2)
		require.Equal(t, 401, rows[0].Status)
		require.NotEmpty(t, rows[0].Code)
		for _, r := range rows {
			text, err := json.Marshal(r)
			require.NoError(t, err)
			require.NotContains(t, string(text), "wrong-key")
		}
	})
	t.Run("what the sink fails and refuses", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, Options{}, true)
		h.inspector.watch(t, "")
		h.fail = errors.New("disk is gone")
		require.Equal(t, 503, h.post("/v1/track", "secret-key", event("m1")))
		h.fail = inlet.Permanent(&inlet.Problem{Code: "too_old", Message: "from last year", Field: "timestamp"})
		require.Equal(t, 400, h.post("/v1/track", "secret-key", event("m2")))
		h.fail = nil
		kinds := ""
		for _, r := range h.inspector.rows() {
			kinds += r.Kind + " " + r.MessageID + " " + r.Code + ", "
		}
		require.Equal(t, "failed m1 , refused m2 too_old, ", kinds)
	})
	t.Run("what was not accepted before is no duplicate", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, Options{}, false)
		h.inspector.watch(t, "")
		kinds := func() (list []string) {
			for _, r := range h.inspector.rows() {
				list = append(list, r.Kind)
			}
			return list
		}
		h.post("/v1/track", "secret-key", `{"event":"Signed Up","messageId":"m1"}`)
		h.fail = errors.New("disk is gone")
		h.post("/v1/track", "secret-key", event("m1"))
		h.fail = nil
		to := h.inspector.Destination("warehouse", new(sinks.Memory))
		e := inlet.NewTrack("u", "Signed Up", nil)
		e.MessageID, e.Source = "m1", &inlet.Source{ID: "web"}
		require.NoError(t, to.Write(t.Context(), []*inlet.Event{e}), "a delivery may be quicker than the row")
		h.post("/v1/track", "secret-key", event("m1"))
		h.post("/v1/track", "secret-key", event("m1"))
		require.Equal(t, []string{refused, failed, delivered, accepted, duplicate}, kinds())
	})
	t.Run("headers that are no text", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{299, 300, 301, 302, 1000} {
			for _, text := range []string{"\x80", "\xf0", "\xf0\x9f\x98\x80", "\xff\x80"} {
				h := newHost(t, Options{}, false)
				h.inspector.watch(t, "")
				r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(event("m1")))
				r.Header.Set("Content-Type", "application/json")
				r.SetBasicAuth("secret-key", "")
				for _, name := range []string{"User-Agent", "Origin"} {
					r.Header.Set(name, strings.Repeat(text, n))
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, 200, w.Code)
				require.Len(t, h.inspector.rows(), 1)
			}
		}
	})
	t.Run("a destination", func(t *testing.T) {
		t.Parallel()
		i := open(t, Options{})
		i.watch(t, "")
		e := inlet.NewTrack("u", "E", nil)
		e.MessageID, e.Source = "m1", &inlet.Source{ID: "web"}
		errs := []error{nil, inlet.Permanent(errors.New("no such column")), errors.New("connection refused")}
		for _, err := range errs {
			to := i.Destination("warehouse", inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return err }))
			require.Equal(t, err, to.Write(t.Context(), []*inlet.Event{e}))
		}
		var kinds []string
		for _, r := range i.rows() {
			kinds = append(kinds, r.Kind+" "+r.To+" "+r.Reason)
		}
		require.Equal(t, []string{"delivered warehouse ", "dead warehouse no such column", "failed warehouse connection refused"}, kinds)
	})
	t.Run("nothing without a viewer, and for a while after one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, Options{}, false)
			h.post("/v1/track", "secret-key", event("m1"))
			require.Empty(t, h.inspector.rows())
			v := &viewer{news: make(chan struct{}, 1)}
			require.True(t, h.inspector.enter(v))
			h.inspector.leave(v)
			time.Sleep(Linger - time.Second)
			h.post("/v1/track", "secret-key", event("m2"))
			require.Len(t, h.inspector.rows(), 1)
			time.Sleep(time.Second)
			h.post("/v1/track", "secret-key", event("m3"))
			require.Len(t, h.inspector.rows(), 1)
		})
	})
}

func TestDecorator(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*Inspector, inlet.Sink) inlet.Sink{
		"of a handler":     (*Inspector).Sink,
		"of a destination": func(i *Inspector, inner inlet.Sink) inlet.Sink { return i.Destination("d", inner) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinktest.RunDecorator(t, sinktest.DecoratorHarness{New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				i := open(t, Options{})
				i.watch(t, "")
				return wrap(i, inner)
			}})
		})
	}
}

// A rare name is shown, however many others there are.
func TestRareNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := open(t, Options{})
		i.watch(t, "")
		sink := i.Sink(inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }))
		source := &inlet.Source{ID: "web"}
		shown := 0
		for second := range 3 {
			for n := range 50_000 {
				e := &inlet.Event{Type: inlet.TypeTrack, Name: fmt.Sprintf("Busy %d", n%5), MessageID: fmt.Sprint(second, n), Source: source}
				if n == 40_000 {
					e.Name = "Rare"
				}
				require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
			}
			for _, r := range i.rows() {
				if r.Name == "Rare" {
					shown++
				}
			}
			time.Sleep(time.Second)
		}
		require.Equal(t, 1+2+3, shown)
		require.LessOrEqual(t, i.Stats().Captured, uint64(3*200))
		i.mu.Lock()
		defer i.mu.Unlock()
		require.EqualValues(t, 150_000, i.sources.bySource["web"].Accepted)
	})
}

// What a viewer filters for is shown, however much there is of its name.
func TestFilterIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := open(t, Options{})
		i.watch(t, "user=me")
		sink := i.Sink(inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }))
		for n := range 20_000 {
			e := &inlet.Event{Type: inlet.TypeTrack, Name: "Busy", UserID: "u", MessageID: fmt.Sprint(n), Source: &inlet.Source{ID: "web"}}
			if n == 15_000 {
				e.UserID = "me"
			}
			require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		}
		mine := 0
		for _, r := range i.rows() {
			if r.User == "me" {
				mine++
			}
		}
		require.Equal(t, 1, mine)
	})
}

// Whatever comes, what is kept is bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := open(t, Options{})
		i.watch(t, "")
		sink := i.Sink(inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }))
		properties := json.RawMessage(`{"text":"` + strings.Repeat("\u00e9", 100<<10) + `"}`)
		for n := range 1500 {
			e := &inlet.Event{
				Type: inlet.TypeTrack, Name: strings.Repeat("n", 2000) + fmt.Sprint(n), MessageID: strings.Repeat("m", 2000) + fmt.Sprint(n),
				UserID: strings.Repeat("u", 2000), Source: &inlet.Source{ID: strings.Repeat("s", 2000) + fmt.Sprint(n)}, Properties: properties,
			}
			require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
			if n%100 == 99 {
				time.Sleep(time.Second)
			}
		}
		s := i.Stats()
		require.LessOrEqual(t, s.Bytes, 4<<20)
		require.Positive(t, s.Rows)
		require.LessOrEqual(t, s.Rows, 500)
		i.mu.Lock()
		defer i.mu.Unlock()
		require.LessOrEqual(t, len(i.sources.bySource), maxSources+1)
		require.LessOrEqual(t, len(i.ring.kept), 500)
		for id := i.ring.oldest; id <= i.ring.last; id++ {
			r := i.ring.get(id)
			require.True(t, r.cut)
			require.True(t, strings.HasSuffix(string(r.detail), "é"), "cut between two characters")
		}
	})
}

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"email":"jane.doe+x@mail.shop.example"}`:                  `{"email":"***@mail.shop.example"}`,
		`"jane\u0040shop.example"`:                                  `"***@shop.example"`,
		`"{\"e\":\"jane\\u0040shop.example\"}"`:                     `"{\"e\":\"***\\u0040shop.example\"}"`,
		`"?e=jane%40shop.example&x=1"`:                              `"?e=***%40shop.example\u0026x=1"`,
		`"j\u00fcrgen@b\u00fccher.example" "jürgen@bücher.example"`: `"***@bücher.example" "***@bücher.example"`,
		`{"jane@shop.example":1}`:                                   `{"***@shop.example":1}`,
		`"a!b@shop.example"`:                                        `"***@shop.example"`,
		`"a@b.example@shop.example"`:                                `"***@***@shop.example"`,
		// What is escaped before an address is no part of it.
		`"to:\njane@shop.example"`:                    `"to:\n***@shop.example"`,
		`"\tjane@shop.example"`:                       `"\t***@shop.example"`,
		`"\\jane@shop.example"`:                       `"\\***@shop.example"`,
		`"\\u0041jane@shop.example"`:                  `"***@shop.example"`,
		`"to:\n203.0.113.77"`:                         `"to:\n203.0.113.*"`,
		`"to:\n2001:db8::7"`:                          `"to:\n2001:db8::*"`,
		`"ip":"203.0.113.77"`:                         `"ip":"203.0.113.*"`,
		`"ip_203.0.113.77_x"`:                         `"ip_203.0.113.*_x"`,
		`"1.2.3.4567.8.9.1"`:                          `"1.2.3.*.8.9.1"`,
		`"ip":"2001:db8:1:2:3:4:5:6"`:                 `"ip":"2001:db8:1:2::*"`,
		`"ip":"2001:db8::7"`:                          `"ip":"2001:db8::*"`,
		`"ip:2001:DB8::7, [2001:db8:1:2:3:4:5:6]:80"`: `"ip:2001:db8::*, [2001:db8:1:2::*]:80"`,
		`"client:2001:db8:1:2:3:4:5:6:80"`:            `"client:2001:db8:1:2::*:80"`,
		`"::ffff:203.0.113.77"`:                       `"::ffff:203.0.113.*"`,
		`"::ffff:cb00:714d"`:                          `"::ffff:203.0.113.*"`,
		`"64:ff9b::203.0.113.77"`:                     `"64:ff9b::*"`,
		`"?ip=2001%3Adb8%3A1%3a2%3A3%3A4%3A5%3A6"`:    `"?ip=2001%3Adb8%3A1%3A2%3A%3A*"`,
		`"ip%3D2001%3Adb8%3A%3A7"`:                    `"ip%3D2001%3Adb8%3A%3A*"`,
		`"::1 :: std::vector 12:30:45 a:b"`:           `"::1 :: std::vector 12:30:45 a:b"`,
		`"at":"2026-11-29T10:20:30.5Z"`:               `"at":"2026-11-29T10:20:30.5Z"`,
		`"total":27.50,"at":"@home","v":"1.2.3"`:      `"total":27.50,"at":"@home","v":"1.2.3"`,
		`{"a":"<\/b>","n":1e2,"c":"\ud83d"}`:          `{"a":"<\/b>","n":1e2,"c":"\ud83d"}`,
		// The event was cut.
		`{"a":"jane@shop.example x`:      `{"a":"***@shop.example x`,
		`{"a":"jane@shop.example \`:      `{"a":"***@shop.example `,
		`{"a":"jane@shop.example \u00`:   `{"a":"***@shop.example `,
		`{"a":"`:                         `{"a":"`,
		`{"a":"x","jane@shop.example x"`: `{"a":"x","***@shop.example x"`,
	} {
		got := string(mask([]byte(in)))
		require.Equal(t, want, got, in)
		require.Equal(t, json.Valid([]byte(in)), json.Valid([]byte(got)), in)
	}
}

// An address that was cut is not shown in part.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"jane.doe@mail.shop.example", "203.0.113.77", "2001:db8:1:2:3:4:5:6", "2001%3Adb8%3A1%3A2%3A3%3A4%3A5%3A6"} {
		for n := range len(address) + 1 {
			text := strings.Repeat("x", maxText-n-1) + " " + address + " and so on"
			quoted, err := json.Marshal(short(text))
			require.NoError(t, err)
			shown := string(mask(quoted))
			for _, hidden := range []string{"jane", "113.7", "2:3", "2%3A3"} {
				require.NotContains(t, shown, hidden, "%s at %d", address, n)
			}
		}
	}
	for _, text := range []string{strings.Repeat("x", 1000), strings.Repeat("x@", 500), strings.Repeat("a:b ", 250)} {
		require.Equal(t, text[:maxText]+"…", short(text))
	}
}

// FuzzMask: no address is left, and JSON stays JSON.
func FuzzMask(f *testing.F) {
	for _, text := range []string{
		"jane@shop.example 203.0.113.7 2001:db8::7", "a@b.example@c.example", "x\n1.2.3.4567.8.9.1", "\\\"\x00\xff a%40b.example",
		"a::b::c::d", ":::::::::::", "::ffff:1.2.3.4.5", `\u0041@a.bc`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, err := json.Marshal(map[string]string{text: text})
		require.NoError(t, err)
		var out map[string]string
		require.NoError(t, json.Unmarshal(mask(in), &out))
		for _, masked := range out {
			require.False(t, email.MatchString(masked), "%q", masked)
			require.False(t, ipv4.MatchString(masked), "%q", masked)
		}
		mask([]byte(text)) // what may be anything
	})
}

// A reader of a stream.
type reader struct {
	t     testing.TB
	lines *bufio.Reader
	body  io.Closer
}

func read(t testing.TB, server, query, last string) *reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/stream?"+query, nil)
	require.NoError(t, err)
	r.Header.Set("Last-Event-ID", last)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store, no-transform", resp.Header.Get("Cache-Control"))
	require.Equal(t, "no", resp.Header.Get("X-Accel-Buffering"))
	return &reader{t, bufio.NewReader(resp.Body), resp.Body}
}

// next returns the next event with a name, and its id.
func (r *reader) next(want string) (id, data string) {
	r.t.Helper()
	name := ""
	for {
		text, err := r.lines.ReadString('\n')
		require.NoError(r.t, err)
		field, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if name == want {
				return id, data
			}
			id, name, data = "", "", ""
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	send := func(t testing.TB, i *Inspector, name, user string) {
		t.Helper()
		e := &inlet.Event{Type: inlet.TypeTrack, Name: name, UserID: user, MessageID: name, Source: &inlet.Source{ID: "web"}}
		require.NoError(t, i.Sink(new(sinks.Memory)).Write(t.Context(), []*inlet.Event{e}))
	}
	t.Run("rows, and those that were missed", func(t *testing.T) {
		t.Parallel()
		i := open(t, Options{MaxRows: 3})
		server := httptest.NewServer(i)
		defer server.Close()
		defer i.Close() // the server waits for streams
		first := read(t, server.URL, "", "")
		first.next("state")
		send(t, i, "one", "u")
		id, data := first.next("row")
		require.Contains(t, data, `"name":"one"`)
		_ = first.body.Close()
		for n := range 5 {
			send(t, i, fmt.Sprint("later ", n), "jane@shop.example")
		}
		again := read(t, server.URL, "", id)
		_, missed := again.next("missed")
		require.Equal(t, "2", missed)
		for n := 2; n < 5; n++ {
			_, data = again.next("row")
			require.Contains(t, data, fmt.Sprintf(`"name":"later %d"`, n))
			require.Contains(t, data, `"user":"***@shop.example"`)
		}
		_, data = read(t, server.URL, "", "OTHERRUN-4").next("row")
		require.Contains(t, data, "later 2", "the number is that of another process")
		_, data = read(t, server.URL, "name=later+4", "").next("row")
		require.Contains(t, data, "later 4")
		_, state := read(t, server.URL, "", "").next("state")
		require.Contains(t, state, `"id":"web","accepted":6`)
	})
	t.Run("too many viewers, and the end", func(t *testing.T) {
		t.Parallel()
		i := open(t, Options{MaxViewers: 2})
		server := httptest.NewServer(i)
		defer server.Close()
		defer i.Close() // the server waits for streams
		one, two := read(t, server.URL, "", ""), read(t, server.URL, "", "")
		one.next("state")
		resp, err := http.Get(server.URL + "/stream")
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, 503, resp.StatusCode)
		require.NotEmpty(t, resp.Header.Get("Retry-After"))
		i.Close()
		i.Close()
		for _, r := range []*reader{one, two} {
			_, err := io.Copy(io.Discard, r.lines)
			require.NoError(t, err, "ended properly")
		}
		resp, err = http.Get(server.URL + "/stream")
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, 503, resp.StatusCode)
		require.Zero(t, i.Stats().Viewers)
	})
}

// A connection whose client reads nothing, with deadlines as those of a net.Conn.
type stuck struct {
	http.ResponseWriter
	mu       sync.Mutex
	deadline time.Time
}

func (s *stuck) SetWriteDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = at
	return nil
}

func (s *stuck) SetReadDeadline(time.Time) error { return nil }

func (s *stuck) Write([]byte) (int, error) {
	s.mu.Lock()
	at := s.deadline
	s.mu.Unlock()
	time.Sleep(time.Until(at))
	return 0, errors.New("i/o timeout")
}

func TestSlowViewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := open(t, Options{})
		began := time.Now()
		i.ServeHTTP(&stuck{ResponseWriter: httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/stream", nil))
		require.Equal(t, writing, time.Since(began))
		require.Zero(t, i.Stats().Viewers)
	})
}

func TestPage(t *testing.T) {
	t.Parallel()
	get := func(i *Inspector, path string, header ...string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		for n := 0; n < len(header); n += 2 {
			r.Header.Set(header[n], header[n+1])
		}
		i.ServeHTTP(w, r)
		return w
	}
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		i := open(t, Options{Authorize: func(r *http.Request) bool { return r.Header.Get("Cookie") == "me" }})
		for _, path := range []string{"/", "/stream", "/rows/1", "/control"} {
			w := get(i, path)
			require.Equal(t, 403, w.Code, path)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			for _, site := range []string{"cross-site", "same-site"} {
				require.Equal(t, 403, get(i, path, "Cookie", "me", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors").Code)
			}
		}
		require.Equal(t, 200, get(i, "/", "Cookie", "me", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate").Code, "a link")
		for _, path := range []string{"/stream", "/rows/1", "/control"} {
			w := get(i, path, "Cookie", "me", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
			require.Equal(t, 403, w.Code, "only to the page")
		}
	})
	t.Run("its headers", func(t *testing.T) {
		t.Parallel()
		i := open(t, Options{})
		a, b := get(i, "/"), get(i, "/")
		policy := a.Header().Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.Contains(t, policy, "frame-ancestors 'none'")
		require.NotEqual(t, policy, b.Header().Get("Content-Security-Policy"), "a nonce of its own")
		require.NotContains(t, a.Body.String(), "{{")
		require.NotContains(t, a.Body.String(), i.token, "without Control")
		require.Contains(t, a.Body.String(), `data-api=""`)
		elsewhere := open(t, Options{API: func() string { return `https://in.example/"><b>/` }})
		require.Contains(t, get(elsewhere, "/").Body.String(), `data-api="https://in.example/&#34;&gt;&lt;b&gt;"`)
	})
	t.Run("an event", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, Options{}, false)
		h.inspector.watch(t, "")
		h.post("/v1/identify", "secret-key", `{"userId":"u","traits":{"email":"jane@shop.example","n":1e2}}`)
		w := get(h.inspector, "/rows/1")
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		require.Contains(t, w.Body.String(), `"traits":{"email":"***@shop.example","n":1e2}`)
		require.Equal(t, 404, get(h.inspector, "/rows/2").Code)
		require.Equal(t, 404, get(h.inspector, "/rows/x").Code)
		unmasked := newHost(t, Options{Unmasked: true}, false)
		unmasked.inspector.watch(t, "")
		unmasked.post("/v1/identify", "secret-key", `{"userId":"u","traits":{"email":"jane@shop.example"}}`)
		require.Contains(t, get(unmasked.inspector, "/rows/1").Body.String(), "jane@shop.example")
	})
}

// An error may quote an event.
func TestDestinationsAreMasked(t *testing.T) {
	t.Parallel()
	stats := func() []journal.DeliveryStats {
		return []journal.DeliveryStats{{Name: "10.0.0.1", Err: errors.New(`"jane@shop.example" is too long`), Blocking: "jane@shop.example"}}
	}
	d := open(t, Options{Destinations: stats}).state().Destinations[0]
	require.Equal(t, []string{"10.0.0.1", `"***@shop.example" is too long`, "***@shop.example"}, []string{d.Name, d.Error, d.Blocking})
	d = open(t, Options{Destinations: stats, Unmasked: true}).state().Destinations[0]
	require.Equal(t, []string{`"jane@shop.example" is too long`, "jane@shop.example"}, []string{d.Error, d.Blocking})
}

// What a tracking plan has counted is shown, with what clients sent masked; a quarantined event has
// one row.
func TestPlan(t *testing.T) {
	t.Parallel()
	p, err := plan.Load(strings.NewReader(`{"name":"shop","version":"1","modes":{"required":"quarantine"},"rules":[
		{"type":"track","event":"A","schema":{"properties":{"properties":{"required":["x"],"properties":{"y":{"type":"number"}}}}}}]}`), nil)
	require.NoError(t, err)
	judge := p.Judge(nil)
	i := open(t, Options{Plan: judge.Stats})
	aside := new(sinks.Memory)
	q, err := judge.Quarantine(new(sinks.Memory), i.Sink(aside))
	require.NoError(t, err)
	api, err := inlet.New(i.Sink(q), &inlet.Options{AllowAnonymous: true, Logger: quiet})
	require.NoError(t, err)
	i.watch(t, "")
	server := i.Layer(api)
	for _, properties := range []string{`{"x":1}`, `{}`, `{"x":1,"y":"jane@shop.example"}`} {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"event":"A","userId":"u","properties":`+properties+`}`)))
		require.Equal(t, http.StatusOK, w.Code)
	}
	var kinds []string
	for _, r := range i.rows() {
		kinds = append(kinds, r.Kind+" "+r.Code)
	}
	require.Equal(t, []string{"accepted ", "quarantined plan_required", "accepted "}, kinds)
	require.Equal(t, uint64(3), i.state().Sources[0].Accepted)
	s := i.state().Plan
	require.Equal(t, "shop", s.Name)
	require.Equal(t, [3]uint64{1, 1, 1}, [3]uint64{s.Clean, s.Observed, s.Quarantined})
	require.Len(t, s.Counts, 2)
	require.Equal(t, `properties.y must be a number, but it is the text "***@shop.example"`, s.Counts[1].Text)
	require.Nil(t, open(t, Options{}).state().Plan)
}

func TestControl(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(t.TempDir(), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close(context.Background())) }()
	d, err := j.Deliver("warehouse", new(sinks.Memory), nil)
	require.NoError(t, err)
	started := ""
	i := open(t, Options{
		Control:      func(r *http.Request) bool { return r.Header.Get("Cookie") == "operator" },
		Destinations: j.Deliveries,
		Delivery: func(name string) *journal.Delivery {
			if name == "warehouse" {
				return d
			}
			return nil
		},
		Start: func(_ context.Context, name string) error { started = name; return nil },
	})
	press := func(action, name, token, cookie string) (int, string) {
		r, w := httptest.NewRequest(http.MethodPost, "/control?action="+action+"&name="+name, nil), httptest.NewRecorder()
		r.Header.Set("X-Inspector-Token", token)
		r.Header.Set("Cookie", cookie)
		i.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	require.Equal(t, "warehouse", i.state().Destinations[0].Name)
	for _, tt := range []struct {
		action, name, token, cookie string
		status                      int
		text                        string
	}{
		{"stop", "warehouse", i.token, "viewer", 403, "not authorized to use the buttons"},
		{"stop", "warehouse", "", "operator", 403, "not authorized to use the buttons"},
		{"stop", "warehouse", i.run, "operator", 403, "not authorized to use the buttons"},
		{"dance", "warehouse", i.token, "operator", 409, "there is no such button"},
		{"skip", "other", i.token, "operator", 409, "the destination has no running delivery"},
		{"redrive", "warehouse", i.token, "operator", 200, `{"redriven":0}`},
		{"skip", "warehouse", i.token, "operator", 409, `journal: destination "warehouse": nothing skipped: journal: destination is not blocked by an event`},
		{"stop", "warehouse", i.token, "operator", 200, `{"redriven":0}`},
		{"start", "warehouse", i.token, "operator", 200, `{"redriven":0}`},
	} {
		status, text := press(tt.action, tt.name, tt.token, tt.cookie)
		require.Equal(t, tt.status, status, "%+v", tt)
		require.Equal(t, tt.text, text)
	}
	require.Equal(t, "warehouse", started)
	require.False(t, j.Deliveries()[0].Running)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := New(nil)
	require.EqualError(t, err, "inspector: Options: Authorize is nil")
	_, err = New(&Options{Authorize: Loopback, MaxRows: -1, MaxBytes: 5, MaxViewers: -1, PerName: -1, Rows: -1})
	require.EqualError(t, err, "inspector: Options: MaxRows is -1, must be at least 1\nMaxBytes is 5, must be at least 65536\n"+
		"MaxViewers is -1, must be at least 1\nPerName is -1, must be at least 1\nRows is -1, must be at least 1")
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, host, header string
		want               bool
	}{
		{"127.0.0.1:1", "127.0.0.1:8080", "", true},
		{"127.0.0.1:1", "localhost:8080", "", true},
		{"[::1]:1", "[::1]:8080", "", true},
		{"[::1]:1", "[::1]", "", true},
		{"[::ffff:127.0.0.1]:1", "localhost", "", true},
		{"127.0.0.1:1", "attacker.example:8080", "", false},
		{"127.0.0.1:1", "localhost.attacker.example", "", false},
		{"127.0.0.1:1", "", "", false},
		{"203.0.113.7:1", "localhost", "", false},
		{"@", "localhost", "", false},
		{"127.0.0.1:1", "localhost", "X-Forwarded-For", false},
		{"127.0.0.1:1", "localhost", "Forwarded", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Host = tt.from, tt.host
		if tt.header != "" {
			r.Header.Set(tt.header, "203.0.113.7")
		}
		require.Equal(t, tt.want, Loopback(r), "%+v", tt)
	}
}

// BenchmarkWrite is what a Write costs: without the inspector, and with it, without and with a
// viewer.
func BenchmarkWrite(b *testing.B) {
	events := make([]*inlet.Event, 100)
	for n := range events {
		events[n] = &inlet.Event{Type: inlet.TypeTrack, Name: "Busy", UserID: "u", MessageID: fmt.Sprint(n), Source: &inlet.Source{ID: "web"}}
	}
	inner := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })
	unwatched, watched := open(b, Options{}), open(b, Options{})
	watched.watch(b, "")
	for _, tt := range []struct {
		name string
		sink inlet.Sink
	}{{"the sink alone", inner}, {"no viewer", unwatched.Sink(inner)}, {"a viewer", watched.Sink(inner)}} {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s, %d a write", tt.name, n), func(b *testing.B) {
				ctx := b.Context()
				for b.Loop() {
					_ = tt.sink.Write(ctx, events[:n])
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}
