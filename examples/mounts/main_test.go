package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

func TestMounts(t *testing.T) {
	t.Parallel()
	for name, mounted := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := inlettest.New(t, nil)
			api, err := inlet.New(srv.Sink(), nil)
			require.NoError(t, err)
			server := httptest.NewServer(mounted(prefix, layered(api)))
			t.Cleanup(server.Close)
			client := server.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			for _, c := range []struct {
				name, method, path, key string
				status                  int
				answer                  string
			}{
				{"a page of the site", "GET", "/", "", 200, "Welcome to the site."},
				{"an event", "POST", "/t/v1/track", writeKey, 200, `{"success":true}`},
				{"a doubled slash, which is not redirected", "POST", "/t//v1/track", writeKey, 200, `{"success":true}`},
				{"a slash at the end", "POST", "/t/v1/track/", writeKey, 200, `{"success":true}`},
				{"a preflight", "OPTIONS", "/t/v1/track", "", 204, ""},
				{"the settings of an SDK", "GET", "/t/v1/projects/k/settings", "", 200, "Segment.io"},
				{"no key", "POST", "/t/v1/track", "", 401, "missing_key"},
				{"an unknown endpoint", "POST", "/t/v1/nothing", writeKey, 404, `"code":"not_found"`},
				{"a method that it does not have", "PUT", "/t/v1/track", writeKey, 405, `"code":"method_not_allowed"`},
			} {
				r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(`{"event":"E","userId":"u"}`))
				require.NoError(t, err)
				r.Header.Set("X-Write-Key", c.key)
				r.Header.Set("Origin", "https://shop.example")
				if c.method == "OPTIONS" {
					r.Header.Set("Access-Control-Request-Method", "POST")
				}
				response, err := client.Do(r)
				require.NoError(t, err)
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, c.status, response.StatusCode, "%s: %s", c.name, body)
				require.Contains(t, string(body), c.answer, c.name)
				if strings.HasPrefix(c.path, prefix) && c.method != "PUT" { // which pages may not use
					require.Equal(t, "https://shop.example", response.Header.Get("Access-Control-Allow-Origin"), c.name)
				}
			}
			require.Len(t, srv.Events(), 3)
		})
	}
}

func TestUnknownRouter(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), config{router: "mux"}, io.Discard), `there is no router "mux"`)
}
