package middleware

import (
	"net/http"

	"github.com/inlet-go/inlet"
)

// Auth passes on requests whose write key a knows, with the source that the key
// belongs to ([inlet.SourceOf]), and refuses the others: 401 without a key that
// is known, 403 for a source that is disabled or not for this origin, 503 while
// keys cannot be checked.
//
// The body is searched for a key only if no header and no query parameter has
// one; what was read for that is shared with the layers behind. Nil options are
// all defaults. Auth panics if a is nil or an option is out of range.
func Auth(a inlet.Authenticator, o *inlet.AuthOptions) func(http.Handler) http.Handler {
	gate, err := inlet.NewGate(a, o)
	must("Auth", err)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			admitted, payload, err := gate.Admit(w, r)
			if err != nil {
				inlet.WriteError(w, r, err)
				return
			}
			next.ServeHTTP(w, admitted)
			payload.Release() // not after a panic: see Payload
		})
	}
}
