package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func TestMount(t *testing.T) {
	t.Parallel()
	var stored sinks.Memory
	api, err := inlet.New(&stored, nil)
	require.NoError(t, err)
	mux := site()
	mux.Handle(prefix+"/", ingestion(api))
	const event = `{"event":"Viewed","userId":"u"}`

	for _, c := range []struct {
		name, method, path, key, origin, body string
		status                                int
		answer                                string
	}{
		{"a route of the site", "GET", "/products/7", "", "", "", 200, "product 7"},
		{"an event below the prefix", "POST", "/t/v1/track", "backend-key", "", event, 200, `{"success":true}`},
		{"an event from a page of the site", "POST", "/t/v1/track", "website-key", "https://shop.example", event, 200, `{"success":true}`},
		{"the key of the page from another origin", "POST", "/t/v1/track", "website-key", "https://other.example", event, 403, "origin_not_allowed"},
		{"no key", "POST", "/t/v1/track", "", "", event, 401, "missing_key"},
		{"an unknown endpoint", "POST", "/t/v2/track", "backend-key", "", event, 404, "not_found"},
		{"an event without the prefix", "POST", "/v1/track", "backend-key", "", event, 404, "404 page not found"},
		// SDKs do not follow redirects, so the base URL that they are configured with
		// must not end in a slash, as the documentation states.
		{"a doubled slash, which the mux redirects", "POST", "/t//v1/track", "backend-key", "", event, 307, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("X-Write-Key", c.key)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			w := httptest.NewRecorder()
			secured(mux).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.answer)
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		})
	}
	require.Len(t, stored.Events(), 2)
}
