package interop

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// Each operation has exactly the statuses that the API can answer there.
func TestOpenAPIStatuses(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, op := range d.Paths[path].operations() {
			want := []string{"400", "429", "500", "503"}
			open := len((*op.Security)[0]) == 0
			switch {
			case op.isPixel(d):
				want = nil // whatever happens
			case op.RequestBody != nil && open:
				want = append(want, "408", "415")
			case op.RequestBody != nil:
				want = append(want, "401", "403", "408", "415")
			}
			switch path {
			case "/collect":
				want = append(want, "204")
			case "/track":
				want = append(want, "200", "204")
			default:
				want = append(want, "200")
			}
			require.ElementsMatch(t, want, slices.Collect(maps.Keys(op.Responses)), op.OperationID)
		}
	}
}

// isPixel reports whether an operation is that of an image or of its headers.
func (op *operation) isPixel(d *description) bool {
	get := d.Paths[op.path].Get
	if op.method == http.MethodPost || get == nil {
		return false
	}
	_, image := get.Responses["200"].Content["image/gif"]
	return image
}

// codeRow is a row of the table of codes in the document.
var codeRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (\\d+) \\|")

// A refusal with any code is described wherever its status may be answered.
func TestOpenAPICodes(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	table, err := d.compiler.Compile(descriptionURL + "#/components/schemas/Code")
	require.NoError(t, err)
	codes := codeRow.FindAllStringSubmatch(table.Description, -1)
	require.Greater(t, len(codes), 40)
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for method, op := range d.Paths[path].operations() {
			for _, code := range codes {
				w := httptest.NewRecorder()
				target := strings.NewReplacer("{type}", "track", "{key}", "k").Replace(path)
				err := &inlet.Error{Code: inlet.Code(code[1]), Field: "f", Offset: 1, Err: errors.New("private")}
				inlet.WriteError(w, httptest.NewRequest(method, target, nil), err)
				if op.isPixel(d) {
					require.Equal(t, http.StatusOK, w.Code, op.OperationID)
				} else if op.Responses[code[2]] == nil {
					continue // see TestOpenAPIStatuses
				}
				require.NoError(t, d.checkAnswer(op, w.Code, w.Header(), w.Body.Bytes()), "%s: %s", op.OperationID, code[1])
			}
		}
	}
}

// The answers behind all layers, to a page of another origin.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	const shop = "https://shop.example"
	send := func(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Origin", shop)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		if _, set := r.Header["Host"]; set {
			r.Host = r.Header.Get("Host")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		op, _ := d.find(method, r.URL.Path)
		require.NotNil(t, op)
		require.NoError(t, d.checkAnswer(op, w.Code, w.Header(), w.Body.Bytes()), "%s %s: %d", method, path, w.Code)
		require.Equal(t, shop, w.Header().Get("Access-Control-Allow-Origin"))
		require.NotEmpty(t, w.Header().Get("X-Request-Id"))
		return w
	}
	host := func(t *testing.T, sink inlet.Sink, o *middleware.StandardOptions) http.Handler {
		log := slog.New(slog.DiscardHandler)
		h, err := inlet.New(sink, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}, Logger: log})
		require.NoError(t, err)
		o.Origins, o.Logger = []string{shop}, log
		keys := inlet.MustKeys(map[string]inlet.Source{
			writeKey: {ID: "shop"}, "disabled": {ID: "old", Disabled: true}, "bound": {ID: "bank", Origins: []string{"https://bank.example"}},
		})
		return middleware.Standard(keys, o)(h)
	}
	stored := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })
	const track = `{"event":"E","userId":"u"}`
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		h := host(t, stored, &middleware.StandardOptions{})
		for _, tt := range []struct {
			status             int
			method, path, body string
			header             []string
		}{
			{200, "POST", "/v1/track", track, []string{"X-Write-Key", writeKey}},
			{200, "POST", "/v1/batch", `{"batch":[{"type":"page","userId":"u"},7]}`, []string{"X-Write-Key", writeKey}},
			{400, "POST", "/v1/batch", `{"batch":[{"type":"page","userId":"u"},7]}`, []string{"X-Write-Key", writeKey, "X-Strict-Mode", "1"}},
			{400, "POST", "/v1/track", `{"event"`, []string{"X-Write-Key", writeKey}},
			{401, "POST", "/v1/track", track, nil},
			{403, "POST", "/v1/track", track, []string{"X-Write-Key", "disabled"}},
			{403, "POST", "/v1/track", track, []string{"X-Write-Key", "bound"}},
			{415, "POST", "/v1/track", track, []string{"X-Write-Key", writeKey, "Content-Encoding", "br"}},
			{200, "GET", "/v1/pixel/track?writeKey=" + writeKey + "&userId=u&event=E", "", nil},
			{200, "GET", "/v1/pixel/track?userId=u&event=E", "", nil},
			{200, "HEAD", "/v1/pixel/track", "", nil},
			{200, "GET", "/v1/projects/k/settings", "", nil},
			{400, "GET", "/v1/projects/" + strings.Repeat("k", 300) + "/settings", "", nil},
			{200, "GET", "/sourceConfig?writeKey=k", "", nil},
			{200, "POST", "/v1/m", `{}`, nil},
			{204, "POST", "/collect", `{"projectId":"` + writeKey + `","userId":"u","event":{"name":"n"}}`, nil},
			{204, "POST", "/track", `{"userId":"u","event":{"name":"n"}}`, []string{"X-Write-Key", writeKey}},
			{200, "POST", "/track", track, []string{"X-Write-Key", writeKey}},
			{200, "POST", "/events", `{"event_name":1}`, []string{"X-Write-Key", writeKey}},
			{400, "POST", "/events/batch", `{"batch":[{"event_name":"e"},{}]}`, []string{"X-Write-Key", writeKey, "X-Strict-Mode", "1"}},
			{200, "GET", "/openapi.json", "", nil},
			{200, "HEAD", "/openapi.json", "", nil},
			{400, "GET", "/openapi.json", "", []string{"Host", ""}},
			{400, "HEAD", "/openapi.json", "", []string{"Host", ""}},
			{400, "GET", "/v1/projects/k/settings", "", []string{"Host", ""}},
		} {
			w := send(h, tt.method, tt.path, tt.body, tt.header...)
			require.Equal(t, tt.status, w.Code, "%s %s %s", tt.method, tt.path, tt.body)
		}
	})
	t.Run("over the rate", func(t *testing.T) {
		t.Parallel()
		h := host(t, stored, &middleware.StandardOptions{PerSource: middleware.Rate{Requests: 1e-6, Burst: 1}})
		require.Equal(t, 200, send(h, "POST", "/v1/track", track, "X-Write-Key", writeKey).Code)
		w := send(h, "POST", "/v1/track", track, "X-Write-Key", writeKey)
		require.Equal(t, 429, w.Code)
		require.NotEmpty(t, w.Header().Get("RateLimit-Policy"))
	})
	t.Run("the sink fails", func(t *testing.T) {
		t.Parallel()
		h := host(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return errors.New("down") }), &middleware.StandardOptions{})
		require.Equal(t, 503, send(h, "POST", "/v1/track", track, "X-Write-Key", writeKey).Code)
		require.Equal(t, 200, send(h, "GET", "/events?event_name=e&token="+writeKey, "").Code)
	})
	t.Run("a panic", func(t *testing.T) {
		t.Parallel()
		h := host(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic("at the disco") }), &middleware.StandardOptions{})
		require.Contains(t, []int{500, 503}, send(h, "POST", "/v1/track", track, "X-Write-Key", writeKey).Code)
	})
}
