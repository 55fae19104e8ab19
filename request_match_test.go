package inlet

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first layer that knows the dialects finds the route; the later ones use it.
func TestMatch(t *testing.T) {
	t.Parallel()
	limits, err := Limits{}.withDefaults()
	require.NoError(t, err)
	own := newRoutes(Dialects(), nil, &limits)
	r, s := withState(httptest.NewRequest("POST", "/v1/track", nil))

	first, err := s.match(own, r)
	require.NoError(t, err)
	delete(own.byPath, "/v1/track")
	again, err := s.match(own, r)
	require.NoError(t, err, "it was found a second time")
	require.Same(t, first, again)
	require.Same(t, first, s.route())

	t.Run("another table", func(t *testing.T) {
		other, err := s.match(builtinRoutes(), r)
		require.NoError(t, err)
		require.NotSame(t, first, other)
	})
	t.Run("another path", func(t *testing.T) {
		r.URL.Path = "/v1/page"
		page, err := s.match(builtinRoutes(), r)
		require.NoError(t, err)
		require.Equal(t, "/v1/page", page.Path)
	})
	t.Run("a path without a route does not hide the one that was found", func(t *testing.T) {
		before := s.route()
		r.URL.Path = "/outside/v1/page"
		_, err := s.match(builtinRoutes(), r)
		require.Error(t, err)
		require.Same(t, before, s.route())
	})
	t.Run("a wildcard is set in every request", func(t *testing.T) {
		r, s := withState(httptest.NewRequest("GET", "/v1/projects/K/settings", nil))
		_, err := s.match(builtinRoutes(), r)
		require.NoError(t, err)
		copied := httptest.NewRequest("GET", "/v1/projects/K/settings", nil)
		_, err = s.match(builtinRoutes(), copied)
		require.NoError(t, err)
		require.Equal(t, "K", copied.PathValue("key"))
	})
}

// The usual text of an address is read as package netip reads it, whatever is wrong with it.
func TestParseIPv4(t *testing.T) {
	t.Parallel()
	check := func(text string) {
		got, ok := parseIPv4(text)
		if !ok {
			return
		}
		host, _, err := net.SplitHostPort(text)
		require.NoError(t, err, text)
		want, err := netip.ParseAddr(host)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"192.0.2.7:43210", "0.0.0.0:0", "255.255.255.255:65535", "10.20.30.40:1", "1.2.3.4:"} {
		_, ok := parseIPv4(text)
		require.True(t, ok, text)
		for i := range text {
			for c := range 256 {
				check(text[:i] + string([]byte{byte(c)}) + text[i+1:])
				check(text[:i] + string([]byte{byte(c)}) + text[i:])
			}
			check(text[:i] + text[i+1:])
			check(text[:i])
		}
	}
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), connectionIP(&http.Request{RemoteAddr: "192.0.2.7"}))
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), connectionIP(&http.Request{RemoteAddr: "[::ffff:192.0.2.7]:1"}))
	require.False(t, connectionIP(&http.Request{RemoteAddr: "01.0.2.7:1"}).IsValid())
}
