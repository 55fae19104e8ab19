package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
)

// A rig is the routes with a database of their own.
type rig struct {
	t      *testing.T
	keys   *keys
	stored *inlettest.Server
	h      http.Handler
}

func newRig(t *testing.T) *rig {
	t.Helper()
	k, err := openKeys(filepath.Join(t.TempDir(), "keys.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.db.Close() })
	stored := inlettest.New(t, nil)
	api, err := inlet.New(stored.Sink(), nil)
	require.NoError(t, err)
	return &rig{t, k, stored, routes(api, k, "token")}
}

func (r *rig) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, request)
	return w
}

// track sends an event with a key and returns the status.
func (r *rig) track(key string, header ...string) int {
	return r.call("POST", "/t/v1/track", `{"event":"E","userId":"u"}`, append(header, "X-Write-Key", key)...).Code
}

// admin calls the API of the host.
func (r *rig) admin(method, path string) (int, writeKey) {
	w := r.call(method, path, "", "Authorization", "Bearer token")
	var made writeKey
	if w.Code == 200 && method == "POST" {
		require.NoError(r.t, json.Unmarshal(w.Body.Bytes(), &made))
	}
	return w.Code, made
}

func TestKeys(t *testing.T) {
	t.Parallel()
	t.Run("a key works until it is revoked", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		_, made := r.admin("POST", "/admin/keys?source=website")
		_, other := r.admin("POST", "/admin/keys?source=website")
		require.Equal(t, 200, r.track(made.Key))
		require.Equal(t, 200, r.track(made.Key))
		require.Equal(t, 200, r.track(other.Key))
		require.EqualValues(t, 2, r.keys.cache.Stats().Lookups, "the cache keeps the others from the database")
		status, _ := r.admin("DELETE", "/admin/keys/"+strconv.FormatInt(made.ID, 10))
		require.Equal(t, 200, status)
		require.Equal(t, 401, r.track(made.Key))
		require.Equal(t, 200, r.track(other.Key))
		require.Equal(t, "website", r.stored.Wait(t, 4)[3].Source.ID)
	})
	t.Run("a key of pages", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		preflight := func(origin string) string {
			w := r.call("OPTIONS", "/t/v1/track", "", "Origin", origin, "Access-Control-Request-Method", "POST")
			return w.Header().Get("Access-Control-Allow-Origin")
		}
		require.Empty(t, preflight("https://shop.example"), "before there is a key")
		_, made := r.admin("POST", "/admin/keys?source=website&origin=https://shop.example")
		require.Equal(t, 200, r.track(made.Key, "Origin", "https://shop.example"))
		require.Equal(t, 403, r.track(made.Key, "Origin", "https://evil.example"))
		require.Equal(t, 403, r.track(made.Key))
		require.Equal(t, "https://shop.example", preflight("https://shop.example"))
		require.Empty(t, preflight("https://evil.example"))
	})
	t.Run("a page that may use a key may ask before", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		_, made := r.admin("POST", "/admin/keys?source=website&origin=https://*.shop.example&origin=HTTPS://Shop.Example:443/")
		for origin, status := range map[string]int{
			"https://shop.example": 200, "https://www.shop.example": 200, "https://a.b.shop.example": 200,
			"http://shop.example": 403, "https://shop.example.evil.example": 403, "https://evilshop.example": 403, "null": 403,
		} {
			w := r.call("OPTIONS", "/t/v1/track", "", "Origin", origin, "Access-Control-Request-Method", "POST")
			require.Equal(t, status == 200, w.Header().Get("Access-Control-Allow-Origin") == origin, origin)
			require.Equal(t, status, r.track(made.Key, "Origin", origin), origin)
		}
	})
	t.Run("the database has no key", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		_, made := r.admin("POST", "/admin/keys?source=website")
		all, err := r.keys.list(t.Context())
		require.NoError(t, err)
		require.Equal(t, []writeKey{{ID: 1, Source: "website", Origins: []string{}}}, all)
		var n int
		require.NoError(t, r.keys.db.QueryRow(`SELECT count(*) FROM keys WHERE sha256 = ?`, made.Key).Scan(&n))
		require.Zero(t, n)
	})
	t.Run("the database is down", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		_, made := r.admin("POST", "/admin/keys?source=website")
		require.Equal(t, 200, r.track(made.Key))
		require.NoError(t, r.keys.db.Close())
		require.Equal(t, 200, r.track(made.Key), "it is in memory")
		require.Equal(t, 503, r.track("another"), "which may be valid")
	})
	t.Run("keys that are text of SQL", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		_, made := r.admin("POST", "/admin/keys?source="+url.QueryEscape("website'); DROP TABLE keys; --"))
		require.Equal(t, 200, r.track(made.Key))
		require.Equal(t, 401, r.track("' OR 1=1 --"))
		require.Equal(t, 200, r.track(made.Key))
	})
	t.Run("many at the same time", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		var all sync.WaitGroup
		failed := make(chan error, 20)
		for range 20 {
			all.Go(func() {
				_, err := r.keys.add(t.Context(), "website", nil)
				failed <- err
			})
		}
		all.Wait()
		for range 20 {
			require.NoError(t, <-failed)
		}
	})
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.JSONEq(t, "[]", r.call("GET", "/admin/keys", "", "Authorization", "Bearer token").Body.String())
	for _, c := range []struct {
		name, method, path, token string
		status                    int
	}{
		{"no token", "GET", "/admin/keys", "", 401},
		{"a wrong token", "GET", "/admin/keys", "Bearer wrong", 401},
		{"the list", "GET", "/admin/keys", "Bearer token", 200},
		{"no source", "POST", "/admin/keys", "Bearer token", 400},
		{"an origin that no page has", "POST", "/admin/keys?source=s&origin=shop.example", "Bearer token", 400},
		{"no such key", "DELETE", "/admin/keys/7", "Bearer token", 404},
		{"no number", "DELETE", "/admin/keys/x", "Bearer token", 400},
	} {
		require.Equal(t, c.status, r.call(c.method, c.path, "", "Authorization", c.token).Code, c.name)
	}
}
