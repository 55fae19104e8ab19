package journal_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/internal/wire"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A chain is everything that an event passes: the layers, the handler with enrichers, a real
// journal, and a delivery from that.
type chain struct {
	http.Handler
	journal  *journal.Journal
	delivery *journal.Delivery
	to       testsink.Keeper // the destination
	accepted []*inlet.Event  // by the journal, in the last request
	refused  []error         // by the journal, in the last request

	change func(*inlet.Event) // what a decorator does to an event, or nil
}

// Write is between the handler and the journal.
func (c *chain) Write(ctx context.Context, events []*inlet.Event) error {
	if c.change != nil {
		events = slices.Clone(events)
		for i, e := range events {
			changed := *e
			c.change(&changed)
			events[i] = &changed
		}
	}
	clones := inlet.CloneEvents(events)
	err := c.journal.Write(ctx, events)
	errs := inlet.ItemErrors(err, len(events))
	for i, e := range clones {
		if errs == nil || errs[i] == nil {
			c.accepted = append(c.accepted, e)
		} else {
			c.refused = append(c.refused, errs[i])
		}
	}
	return err
}

const chainKey = "ILoveData123"

func newChain(t testing.TB) *chain {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	j, err := journal.Open(t.TempDir(), &journal.Options{Sync: journal.SyncNever, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close(context.Background())) })
	c := &chain{journal: j}
	c.delivery, err = j.Deliver("d", &c.to, nil)
	require.NoError(t, err)
	redact, err := enrichers.Redact("context.traits.email", "properties.card", "secret")
	require.NoError(t, err)
	hash, err := enrichers.Hash([]byte("0123456789abcdef"), "userId", "properties.list.email")
	require.NoError(t, err)
	ip, err := enrichers.IP(nil)
	require.NoError(t, err)
	api, err := inlet.New(c, &inlet.Options{Logger: quiet, Enrichers: []inlet.Enricher{redact, hash, ip}})
	require.NoError(t, err)
	keys, err := inlet.NewKeys(map[string]inlet.Source{chainKey: {ID: "web"}})
	require.NoError(t, err)
	c.Handler = middleware.Chain(middleware.Recover(nil), middleware.ClientIP(nil), middleware.Payload(nil),
		middleware.Auth(keys, nil), middleware.Migrate(inlet.CommandersActV1(), nil))(api)
	return c
}

// send sends a request and requires that what was accepted is read back and delivered equal.
func (c *chain) send(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	c.accepted, c.refused = nil, nil
	c.to.Reset()
	from := c.journal.Stats().LastSeq + 1
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)

	var stored []*inlet.Event
	for record, err := range c.journal.Events(t.Context(), from) {
		require.NoError(t, err, "it was stored and cannot be read")
		stored = append(stored, record.Event)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.delivery.Drain(ctx))
	requireSame(t, c.accepted, stored)
	requireSame(t, c.accepted, c.to.Events())
	require.Zero(t, c.delivery.Stats().Dropped)
	return w
}

// requireSame requires the same events, which have the same canonical forms.
func requireSame(t *testing.T, want, got []*inlet.Event) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, string(want[i].AppendJSON(nil)), string(got[i].AppendJSON(nil)))
	}
}

// chainRoutes are all routes that store events.
func chainRoutes() (routes []inlet.Route) {
	for _, d := range inlet.Dialects() {
		for _, r := range d.Routes() {
			if !r.Open {
				routes = append(routes, r)
			}
		}
	}
	return routes
}

// chainRequest is a request for a route: the content is the body, or the query of a pixel.
func chainRequest(route inlet.Route, content string) *http.Request {
	target, _, _ := strings.Cut(route.Path, "{")
	r := httptest.NewRequest(route.Method, "/", strings.NewReader(content))
	r.URL = &url.URL{Path: target}
	r.RequestURI = target
	if route.Method == http.MethodGet {
		r.URL.RawQuery, r.Body, r.ContentLength = content, http.NoBody, 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Write-Key", chainKey)
	return r
}

// nestedLists are values of a list of any name in an event, and whether they are valid.
var nestedLists = []struct {
	list string
	code string // "" if it is accepted
}{
	{`[[{"a":1,"a":2}]]`, "duplicate_name"},
	{`[{"a":1,"a":2}]`, "duplicate_name"},
	{`[1,"x",[[{"b":[{"a":{"x":1,"\u0078":2}}]}]]]`, "duplicate_name"},
	{`[{"b":1},{"b":{"a":1,"a":1}}]`, "duplicate_name"},
	{`[` + strings.Repeat("[", 250) + strings.Repeat("]", 250) + `]`, "too_deep"},
	{`[{"a":` + strings.Repeat("[", 250) + strings.Repeat("]", 250) + `}]`, "too_deep"},
	{`[[{"a":1},{"a":1}],[]]`, ""},
	{`[]`, ""},
	{`[{"\ud800":1,"\ud801":2}]`, "duplicate_name"},
	{"[{\"\xff\":1,\"\xfe\":2}]", "duplicate_name"},
}

// What the reader refuses the writer refuses first, in every list of an event, also in one of the
// name that lists events on other routes.
func TestNestedLists(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	for _, route := range chainRoutes() {
		if route.Method != http.MethodPost || route.Batch {
			continue
		}
		for _, tt := range nestedLists {
			for _, name := range []string{"batch", "products", "context", "items"} {
				for _, form := range []string{
					`{"type":"track","event":"E","userId":"u","` + name + `":LIST}`,
					`{"type":"track","userId":"u","event":"E","properties":{"x":1},"` + name + `":{"` + name + `":LIST}}`,
					`{"type":"page","name":"P","event_name":"E","groupId":"g","previousId":"p","userId":"u","more":[LIST],"` + name + `":LIST}`,
				} {
					w := c.send(t, chainRequest(route, strings.ReplaceAll(form, "LIST", tt.list)))
					require.Empty(t, c.refused, "%s %s %s", route.Path, form, tt.list)
					if tt.code == "" {
						continue // stored, or refused for another reason
					}
					require.Empty(t, c.accepted, "%s %s %s", route.Path, form, tt.list)
					requireRefusal(t, w, tt.code)
				}
			}
		}
	}
}

// names returns the members of an object with a name for each character of ASCII and for others
// that somebody escapes, in each way to write it. No two have the same text.
func names(value string) string {
	var members []string
	add := func(written string) {
		n := len(members)
		members = append(members, fmt.Sprintf(`"%d>%s":%s`, n, written, strings.ReplaceAll(value, "CHARACTER", written)))
	}
	for _, r := range append(slices.Collect(func(yield func(rune) bool) {
		for r := rune(0); r <= 0x80 && yield(r); r++ {
		}
	}), '\u2027', '\u2028', '\u2029', '\ufeff', '\ufffd', '\uffff') {
		add(fmt.Sprintf(`\u%04x`, r))
		add(fmt.Sprintf(`\u%04X`, r))
		add(fmt.Sprintf(`<\u%04x&`, r))
		if r >= ' ' && r != '"' && r != '\\' {
			add(string(r))
			add(string(r) + `\u0001`)
		}
	}
	for _, written := range []string{
		`\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`, "\U0001f600", `\ud83d\ude00`, `\ud83d`, `\ude00`, `\ud83d\u0001`, "\xff", "\xff\\u0001",
	} {
		add(written)
	}
	return strings.Join(members, ",")
}

// withMembers returns the content of a request for a route whose event has these members too.
func withMembers(route inlet.Route, members string) string {
	name := `"E"`
	switch route.Path {
	case "/collect":
		name = `{"name":"E"}`
	case "/v1/custom/event":
		members += `,"_metarouter":{"eventName":"E","userID":"u"}`
	}
	e := `{"type":"track","userId":"u","groupId":"g","previousId":"p","name":"N","event_name":"E","event":` + name + `,` + members + `}`
	switch {
	case route.Method == http.MethodGet:
		return "data=" + base64.RawURLEncoding.EncodeToString([]byte(e))
	case route.Batch:
		return `{"batch":[` + e + `],"events":[` + e + `]}`
	}
	return e
}

// query is that of a pixel with each character of ASCII in a name and in a value.
func query() string {
	pairs := []string{"event=E&event_name=E&userId=u&user_id=u&groupId=g&previousId=p&anonymousId=a&type=track&name=N"}
	for r := range rune(0x81) {
		c := url.QueryEscape(string(r))
		pairs = append(pairs, "a"+c+"b="+c, "properties.a"+c+"b="+c, "context%5Ba"+c+"b%5D="+c)
	}
	return strings.Join(append(pairs, "a%E2%80%A8=%E2%80%A9", "%FF=%FE", "%ED%A0%80=%ED%A0%80"), "&")
}

// A name and a text are the same when they are read back as when they were accepted, whatever
// characters they have, wherever they are, on every route.
func TestCharacters(t *testing.T) {
	t.Parallel()
	inner := `{` + names(`"CHARACTER"`) + `}`
	for _, route := range chainRoutes() {
		t.Run(route.Method+" "+route.Path, func(t *testing.T) {
			t.Parallel()
			var contents []string
			for _, members := range []string{
				names(`"CHARACTER"`),
				names(`[["CHARACTER",{"CHARACTER":1}]]`),
				`"properties":` + inner, `"traits":` + inner, `"context":` + inner, `"integrations":` + inner,
				`"more":[[` + inner + `]]`, `"products":[` + inner + `]`, `"_client":` + inner, `"dialect":` + inner, `"_refused":{"a":` + inner + `}`,
			} {
				contents = append(contents, withMembers(route, members))
			}
			switch {
			case route.Path == "/events" && route.Method == http.MethodGet: // no parameter of it is JSON
				contents = []string{query()}
			case route.Method == http.MethodGet:
				contents = append(contents, query())
			}
			c := newChain(t)
			for _, content := range contents {
				w := c.send(t, chainRequest(route, content))
				require.Empty(t, c.refused)
				require.NotEmpty(t, c.accepted, "%s %.200s", w.Body, content)
				for _, e := range c.accepted {
					requireNames(t, e)
				}
			}
		})
	}
}

// requireNames requires that the names in Extra are written as texts are, with no escape that
// JSON does not need.
func requireNames(t *testing.T, e *inlet.Event) {
	t.Helper()
	if e.Extra == nil {
		return
	}
	members, err := wire.Members(e.Extra)
	require.NoError(t, err)
	for _, m := range members {
		require.Equal(t, string(wire.AppendString(nil, string(m.Name()))), string(m.RawName))
	}
}

// requireRefusal requires an answer that refuses the event: 400 or, as Commanders Act documents
// it, 200 without success.
func requireRefusal(t *testing.T, w *httptest.ResponseRecorder, code string) {
	t.Helper()
	var a struct {
		Success bool
		Code    string
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	require.False(t, a.Success)
	require.Equal(t, code, a.Code)
	require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code)
}

// A decorator that breaks an event breaks that one only. What an enricher breaks does not get here.
func TestBrokenDecorator(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*inlet.Event){
		"cut off":          func(e *inlet.Event) { e.Properties = e.Properties[:len(e.Properties)-1] },
		"not JSON":         func(e *inlet.Event) { e.Context = json.RawMessage(`{ip:1}`) },
		"two values":       func(e *inlet.Event) { e.Traits = json.RawMessage(`{"a":1},"b":{}`) },
		"a duplicate name": func(e *inlet.Event) { e.Properties = json.RawMessage(`{"a":1,"a":2}`) },
		"a field's name":   func(e *inlet.Event) { e.Extra = json.RawMessage(`{"userId":"x"}`) },
		"a time":           func(e *inlet.Event) { e.Timestamp = e.Timestamp.AddDate(9000, 0, 0) },
	} {
		c := newChain(t)
		c.change = func(e *inlet.Event) {
			if e.Name == "bad" {
				change(e)
			}
		}
		route := inlet.Route{Method: http.MethodPost, Path: "/v1/batch"}
		w := c.send(t, chainRequest(route, `{"batch":[
			{"type":"track","event":"good","userId":"u","properties":{"a":1}},
			{"type":"track","event":"bad","userId":"u","properties":{"a":1}},
			{"type":"track","event":"good","userId":"u","properties":{"a":1}}]}`))
		require.Equal(t, http.StatusOK, w.Code, name)
		require.Len(t, c.accepted, 2, name)
		require.Len(t, c.refused, 1, name)
		require.True(t, inlet.IsPermanent(c.refused[0]), name)
		p, ok := errors.AsType[*inlet.Problem](c.refused[0])
		require.True(t, ok, name)
		require.Equal(t, 1, strings.Count(c.refused[0].Error(), p.Field+": "), c.refused[0])
		require.Contains(t, w.Body.String(), `"rejected":[{"index":1,`, name)
		require.Contains(t, w.Body.String(), `"code":"invalid_event"`, name)
	}
}

// FuzzStored checks that what is accepted, on any route and through all layers, is stored in a
// real journal, read back equal, and delivered equal, and that the journal has nothing to refuse.
func FuzzStored(f *testing.F) {
	routes := chainRoutes()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "*", "*.golden"))
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		head, body, _ := strings.Cut(string(text), "\n\n")
		line, _, _ := strings.Cut(head, "\n")
		method, target, _ := strings.Cut(line, " ")
		path, query, pixel := strings.Cut(target, "?")
		for i, r := range routes {
			if r.Method == method && strings.HasSuffix(r.Path, path) {
				if pixel && method == http.MethodGet {
					body = query
				}
				f.Add(byte(i), body)
			}
		}
	}
	for i := range routes {
		for _, l := range nestedLists {
			f.Add(byte(i), `{"type":"track","event":"E","userId":"u","batch":`+l.list+`}`)
			f.Add(byte(i), `{"type":"track","event":"E","userId":"u","more":`+l.list+`}`)
		}
		f.Add(byte(i), `{"batch":[{"type":"track","event":"E","userId":"u","_seq":1,"_c":{"a":1},"sentAt":"9999-12-31T23:59:59-12:00"}],"sentAt":"0000-01-01T00:00:00Z"}`)
		f.Add(byte(i), `{"event":"E","userId":"u","timestamp":"0001-01-01T00:00:00+12:00","sentAt":253402300800000,"context":{"traits":{"email":"a"}}}`)
		f.Add(byte(i), `{"event":"E","userId":"u",">\u0001":1,"properties":{"<\u0001":"&\u2028"}}`)
		f.Add(byte(i), `event=E&userId=u&properties.a=1&properties.a.b=2&properties%2ea=3&context.a=%00`)
	}
	c := newChain(f)
	f.Fuzz(func(t *testing.T, route byte, content string) {
		r := routes[int(route)%len(routes)]
		w := c.send(t, chainRequest(r, content))
		require.Empty(t, c.refused, "the journal refused what the handler accepted")
		for _, e := range c.accepted {
			requireNames(t, e)
		}
		if w.Code >= http.StatusBadRequest {
			require.Empty(t, c.accepted)
		}
	})
}
