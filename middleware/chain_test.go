package middleware_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/middleware"
)

// named is a foreign middleware that says when it was there.
func named(name string, seen *[]string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*seen = append(*seen, name)
			next.ServeHTTP(w, r)
		})
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	t.Run("the first is the outermost", func(t *testing.T) {
		t.Parallel()
		var seen []string
		call{}.do(middleware.Chain(named("a", &seen), named("b", &seen), named("c", &seen))(status(200)))
		require.Equal(t, []string{"a", "b", "c"}, seen)
	})
	t.Run("nil ones are skipped", func(t *testing.T) {
		t.Parallel()
		var seen []string
		call{}.do(middleware.Chain(nil, named("a", &seen), nil)(status(200)))
		require.Equal(t, []string{"a"}, seen)
	})
	t.Run("an empty chain is the handler", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, http.StatusTeapot, call{}.do(middleware.Chain()(status(http.StatusTeapot))).Code)
	})
	t.Run("a change of the list afterwards changes nothing", func(t *testing.T) {
		t.Parallel()
		var seen []string
		list := []func(http.Handler) http.Handler{named("a", &seen)}
		m := middleware.Chain(list...)
		list[0] = named("b", &seen)
		call{}.do(m(status(200)))
		require.Equal(t, []string{"a"}, seen)
	})
}
