package inlet

import (
	"net/http/httptest"
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
