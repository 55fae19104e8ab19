package inlet_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// openAPI is what these tests read of the description.
type openAPI struct {
	Servers    []struct{ URL string }
	Tags       []struct{ Name string }
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Parameters map[string]openAPIParameter
	}
}

type openAPIParameter struct {
	Ref    string `json:"$ref"`
	Name   string
	Schema struct{ Enum []string }
}

func readOpenAPI(t *testing.T, text []byte) (d openAPI) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// operations returns the methods and paths that the description has, "POST /v1/track", each with
// its tags. A parameter that lists its values stands for all of them.
func (d *openAPI) operations(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for path, item := range d.Paths {
		paths := []string{path}
		if raw := item["parameters"]; raw != nil {
			var parameters []openAPIParameter
			require.NoError(t, json.Unmarshal(raw, &parameters))
			for _, p := range parameters {
				if p.Ref != "" {
					p = d.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
				}
				if before, after, ok := strings.Cut(path, "{"+p.Name+"}"); ok {
					paths = nil
					for _, value := range p.Schema.Enum {
						paths = append(paths, before+value+after)
					}
				}
			}
		}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var operation struct{ Tags []string }
			require.NoError(t, json.Unmarshal(raw, &operation))
			for _, path := range paths {
				all[strings.ToUpper(method)+" "+path] = operation.Tags
			}
		}
	}
	return all
}

// The description has the routes of the dialects, and no others.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"GET /openapi.json":  {"openapi"},
		"HEAD /openapi.json": {"openapi"},
		"POST /track":        {"segmentstream", "segment"}, // the short path of Segment's /v1/track
	}
	for _, d := range inlet.Dialects() {
		for _, route := range d.Routes() {
			if _, known := want[route.Method+" "+route.Path]; known {
				continue
			}
			want[route.Method+" "+route.Path] = []string{d.Name()}
			if route.Form == inlet.FormPixel {
				want["HEAD "+route.Path] = []string{d.Name()}
			}
		}
	}
	d := readOpenAPI(t, inlet.OpenAPI())
	require.Equal(t, want, d.operations(t))
	require.Len(t, d.Servers, 1)
	require.Equal(t, 1, strings.Count(string(inlet.OpenAPI()), `"`+d.Servers[0].URL+`"`), "it is replaced once")
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	get := func(h http.Handler, path string) *httptest.ResponseRecorder {
		return serve(h, request(http.MethodGet, path, nil))
	}
	served := func(t *testing.T, o *inlet.Options) http.Handler {
		h := mustNew(t, new(testsink.Keeper), o)
		return middleware.Standard(dialectKeys, &middleware.StandardOptions{Prefix: "/t"})(h)
	}
	t.Run("not by default", func(t *testing.T) {
		t.Parallel()
		requireRefused(t, get(served(t, nil), "/t/openapi.json"), 401, inlet.CodeMissingKey)
		requireRefused(t, get(mustNew(t, new(testsink.Keeper), nil), "/openapi.json"), 404, inlet.CodeNotFound)
	})
	t.Run("where the client reaches it", func(t *testing.T) {
		t.Parallel()
		h := served(t, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}})
		for _, path := range []string{"/t/openapi.json", "/t//openapi.json/"} {
			w := get(h, path)
			require.Equal(t, 200, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
			require.Equal(t, "http://example.com/t", readOpenAPI(t, w.Body.Bytes()).Servers[0].URL)
			require.Equal(t, string(inlet.OpenAPI()),
				strings.Replace(w.Body.String(), "http://example.com/t", "http://127.0.0.1:8080", 1))
		}
	})
	t.Run("by a public address it may be cached", func(t *testing.T) {
		t.Parallel()
		w := get(served(t, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}, PublicURL: "https://shop.example/t/"}), "/t/openapi.json")
		require.Equal(t, "max-age=300", w.Header().Get("Cache-Control"))
		require.Equal(t, "https://shop.example/t", readOpenAPI(t, w.Body.Bytes()).Servers[0].URL)
	})
	t.Run("a host that is none", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodGet, "/t/openapi.json", nil)
		r.Host = "a\"},{<script>\x01"
		w := serve(served(t, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}}), r)
		d := readOpenAPI(t, w.Body.Bytes())
		require.Len(t, d.Servers, 1)
		require.Equal(t, "http://a\"%7D,%7B<script>%01/t", d.Servers[0].URL)
	})
	t.Run("methods", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(served(t, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}}))
		defer server.Close()
		head, err := http.Head(server.URL + "/t/openapi.json")
		require.NoError(t, err)
		defer head.Body.Close()
		body, err := io.ReadAll(head.Body)
		require.NoError(t, err)
		require.Empty(t, body)
		require.Equal(t, 200, head.StatusCode)
		require.Equal(t, "application/json", head.Header.Get("Content-Type"))
		require.Equal(t, "no-store", head.Header.Get("Cache-Control"))
		require.Equal(t, int64(len(inlet.OpenAPI())-len("http://127.0.0.1:8080")+len(server.URL+"/t")), head.ContentLength)

		post, err := http.Post(server.URL+"/t/openapi.json", "application/json", nil)
		require.NoError(t, err)
		defer post.Body.Close()
		require.Equal(t, 401, post.StatusCode)
	})
	t.Run("only the dialects of the handler", func(t *testing.T) {
		t.Parallel()
		h := served(t, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true,
			Dialects: []inlet.Dialect{inlet.SegmentStream(), customDialect{}, namesake{}}}})
		w := get(h, "/t/openapi.json")
		d := readOpenAPI(t, w.Body.Bytes())
		require.Equal(t, []string{"GET /openapi.json", "HEAD /openapi.json", "POST /collect", "POST /track"},
			slices.Sorted(maps.Keys(d.operations(t))))
		require.Len(t, d.Tags, 2)
		require.Equal(t, "http://example.com/t", d.Servers[0].URL)
	})
	t.Run("a copy", func(t *testing.T) {
		t.Parallel()
		clear(inlet.OpenAPI())
		require.Equal(t, byte('{'), inlet.OpenAPI()[0])
	})
}

// namesake is a dialect of a host's own with the name of a built-in one.
type namesake struct{ customDialect }

func (namesake) Name() string { return inlet.Segment().Name() }

// slowWriter is a client that makes more requests before it takes an answer.
type slowWriter struct {
	*httptest.ResponseRecorder
	before func()
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.before()
	return w.ResponseRecorder.Write(p)
}

// The answers to many clients that do not take them have a bound.
func TestOpenAPIMemory(t *testing.T) {
	t.Parallel()
	const memory = 16 << 20
	h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{
		OpenAPI: true, Payload: inlet.PayloadLimits{MaxBytesInFlight: memory},
	}})
	most := memory / len(inlet.OpenAPI())
	open, refused := 0, false
	var ask func()
	ask = func() {
		w := &slowWriter{httptest.NewRecorder(), func() {}}
		w.before = func() {
			if w.Code != 200 {
				refused = true
				head := serve(h, request(http.MethodHead, "/openapi.json", nil))
				require.Equal(t, 200, head.Code, "HEAD needs none of it")
				require.Zero(t, head.Body.Len(), "and makes none")
				return
			}
			if open++; open <= most+1 && !refused {
				ask()
			}
		}
		h.ServeHTTP(w, request(http.MethodGet, "/openapi.json", nil))
	}
	ask()
	require.True(t, refused)
	require.LessOrEqual(t, open, most)
	require.Equal(t, 200, serve(h, request(http.MethodGet, "/openapi.json", nil)).Code, "it is free again")
}
