package middleware

import (
	"net/http"
	"slices"
)

// Chain makes one middleware of several. The first is the outermost: it sees the request first
// and the response last. Nil ones are skipped, so that one may depend on a condition.
func Chain(ms ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	ms = slices.Clone(ms)
	return func(next http.Handler) http.Handler {
		for _, m := range slices.Backward(ms) {
			if m != nil {
				next = m(next)
			}
		}
		return next
	}
}
