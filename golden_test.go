package inlet_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
)

// The keys of the tests of the dialects, those of their documents where they print
// one.
const (
	hitToken  = "abc123"
	actsToken = "7a1f9c3e-52d4-4f0b-9a58-0b6d2f1c8e47"
	oddToken  = "NJtcKa+Yu/mGZDxRgMBMUw=="
	appID     = "ILoveData123" // of MetaRouter's and Astronomer's documents

	twoPartKey = "id:secret" // of the form of Jitsu's
)

var dialectKeys = inlet.MustKeys(map[string]inlet.Source{
	hitToken:    {ID: "shop"},
	actsToken:   {ID: "site"},
	oddToken:    {ID: "server"},
	appID:       {ID: "app"},
	twoPartKey:  {ID: "jitsu"},
	"switched":  {ID: "old", Disabled: true},
	"a-browser": {ID: "bound", Origins: []string{"https://shop.example"}},
})

// dialectNow is the time at which the requests of these tests arrive.
var dialectNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// atDialectNow runs a test at dialectNow.
func atDialectNow(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(dialectNow))
		f(t)
	})
}

// dialectServer is the handler behind an authentication layer, and what it has
// stored.
type dialectServer struct {
	http.Handler
	mu     sync.Mutex
	events []*inlet.Event
}

func newDialectServer(t testing.TB, layers ...func(http.Handler) http.Handler) *dialectServer {
	t.Helper()
	s := new(dialectServer)
	h, err := inlet.New(inlet.SinkFunc(s.store), nil)
	require.NoError(t, err)
	s.Handler = middleware.Chain(append([]func(http.Handler) http.Handler{middleware.Auth(dialectKeys, nil)}, layers...)...)(h)
	return s
}

func (s *dialectServer) store(_ context.Context, events []*inlet.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, inlet.CloneEvents(events)...)
	return nil
}

// do has the server answer a request.
func (s *dialectServer) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// post has the server answer a body, with a key as Basic user name if there is
// one.
func (s *dialectServer) post(path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if key != "" {
		r.SetBasicAuth(key, "")
	}
	return s.do(r)
}

// only returns the single event that was stored.
func (s *dialectServer) only(t testing.TB) *inlet.Event {
	t.Helper()
	require.Len(t, s.events, 1)
	return s.events[0]
}

const (
	answerMark = "\n--- answer\n"
	eventsMark = "--- events\n"
)

// Each directory of testdata holds the requests of one dialect, and traps those of the
// table at the end of docs/DIALECTS.md, by their numbers. A file is a request as HTTP
// writes it, then the answer, then the stored events in their canonical form. In metarouter
// the files printed_* hold bodies exactly as the vendor's pages print them, and
// printed_web_* those of its text on web events. UPDATE_GOLDEN=1 rewrites answers and events.
func TestGolden(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	for _, dir := range dirs {
		name := filepath.Base(dir)
		if name == "migrate" || name == "fuzz" { // not of requests
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testGolden(t, dir)
		})
	}
}

// testGolden runs the golden files of a directory, with layers behind the authentication.
func testGolden(t *testing.T, dir string, layers ...func(http.Handler) http.Handler) {
	t.Helper()
	testkit.Golden(t, filepath.Join(dir, "*.golden"), func(t *testing.T, _, content string) string {
		request, _, _ := strings.Cut(content, answerMark)
		var result string
		atDialectNow(t, func(t *testing.T) {
			s := newDialectServer(t, layers...)
			answer := s.do(readRequest(t, request))
			result = answerText(answer) + eventsMark + eventsText(t, s.events)
		})
		return request + answerMark + result
	})
}

// readRequest reads a request whose lines end as in a text file.
func readRequest(t *testing.T, text string) *http.Request {
	head, body, _ := strings.Cut(text, "\n\n")
	first, header, _ := strings.Cut(head, "\n")
	if header != "" {
		header += "\n"
	}
	wire := fmt.Sprintf("%s HTTP/1.1\nHost: in.example\n%sContent-Length: %d\n\n", first, header, len(body))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(wire, "\n", "\r\n") + body)))
	require.NoError(t, err)
	return r
}

func answerText(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		fmt.Fprintf(&b, "%s: %s\n", name, w.Header().Get(name))
	}
	fmt.Fprintf(&b, "\n%s\n", printable(w))
	return b.String()
}

// printable is the body of an answer, a pixel by its name.
func printable(w *httptest.ResponseRecorder) string {
	if strings.HasPrefix(w.Body.String(), "GIF89a") {
		return "(a GIF)"
	}
	return w.Body.String()
}

var generatedID = regexp.MustCompile(`"messageId":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"`)

// eventsText is the canonical form of events, with a mark for ids that are new on
// every run. Each must read back equal.
func eventsText(t *testing.T, events []*inlet.Event) string {
	var b strings.Builder
	for _, e := range events {
		requireCanonical(t, e)
		line := e.AppendJSON(nil)
		if e.GeneratedID() {
			line = generatedID.ReplaceAll(line, []byte(`"messageId":"(generated)"`))
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// requireCanonical checks that the canonical form of e is one line of JSON that
// reads back equal, except white space of the client's that held a line break.
func requireCanonical(t testing.TB, e *inlet.Event) {
	line := e.AppendJSON(nil)
	require.NotContains(t, string(line), "\n")
	var again inlet.Event
	require.NoError(t, again.UnmarshalJSON(line), "%s", line)
	require.Equal(t, string(line), string(again.AppendJSON(nil)))
	oneLine := e.Clone()
	for _, raw := range []*json.RawMessage{&oneLine.Properties, &oneLine.Traits, &oneLine.Context, &oneLine.Integrations, &oneLine.Extra} {
		if bytes.ContainsAny(*raw, "\r\n") {
			var compact bytes.Buffer
			require.NoError(t, json.Compact(&compact, *raw))
			*raw = compact.Bytes()
		}
	}
	require.True(t, oneLine.Equal(&again), "%s", line)
}

// goldenRequests yields the target and the body of the requests of the golden files that
// match a pattern below testdata, as seeds of fuzz targets.
func goldenRequests(f *testing.F, pattern string) iter.Seq2[string, string] {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(f, err)
	require.NotEmpty(f, files)
	return func(yield func(target, body string) bool) {
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(f, err)
			request, _, _ := strings.Cut(string(text), answerMark)
			head, body, _ := strings.Cut(request, "\n\n")
			line, _, _ := strings.Cut(head, "\n")
			_, target, _ := strings.Cut(line, " ")
			if !yield(target, body) {
				return
			}
		}
	}
}
