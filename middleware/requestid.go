package middleware

import (
	"crypto/rand"
	"net/http"

	"github.com/inlet-go/inlet"
)

// RequestIDOptions say where request ids come from. Nil is all defaults.
type RequestIDOptions struct {
	// TrustIncoming takes the id from the request's X-Request-Id, if it is 1 to
	// 128 letters, digits, dots, underscores and hyphens. Only for a proxy in
	// front that sets or removes the header: else clients choose what stands in
	// the logs. Defaults to false, an id of our own.
	TrustIncoming bool
}

// headerRequestID is the canonical form of X-Request-Id.
const headerRequestID = "X-Request-Id"

// RequestID gives each request an id: it stands in the answer's X-Request-Id, in
// logs, in the answer to an unexpected error, and is to be had by
// [inlet.RequestIDFromContext]. An id of our own has 26 random characters.
func RequestID(o *RequestIDOptions) func(http.Handler) http.Handler {
	trust := o != nil && o.TrustIncoming
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get(headerRequestID)
			if !trust || !isRequestID(id) {
				id = rand.Text()
			}
			w.Header()[headerRequestID] = []string{id}
			next.ServeHTTP(w, inlet.WithRequestID(r, id))
		})
	}
}

// isRequestID reports whether id may stand in a header and a log as it is.
func isRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
