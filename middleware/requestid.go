package middleware

import (
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/order"
)

// RequestIDOptions configure [RequestID]. A nil pointer means all defaults.
type RequestIDOptions struct {
	// TrustIncoming uses the id in the request's X-Request-Id if it has 1 to 128 letters,
	// digits, dots, underscores and hyphens. Set it only behind a proxy that sets or removes
	// the header: otherwise clients choose the ids in the logs. Defaults to false: every
	// request gets a new id.
	TrustIncoming bool
}

// headerRequestID is the canonical form of X-Request-Id.
const headerRequestID = "X-Request-Id"

// RequestID gives each request an id. It is in the X-Request-Id of the response, in logs and in
// the answer to an unexpected error, and is available from [inlet.RequestIDFromContext]. A new id
// has 26 random characters. An id that a layer outside has given stays.
func RequestID(o *RequestIDOptions) func(http.Handler) http.Handler {
	trust := o != nil && o.TrustIncoming
	return func(next http.Handler) http.Handler {
		return at(order.RequestID, nil, next, func(w http.ResponseWriter, r *http.Request) {
			id := inlet.RequestIDFromContext(r.Context())
			if id == "" && trust {
				id = incomingID(r)
			}
			if id == "" {
				id = randomID()
			}
			r = inlet.WithRequestID(r, id)
			w.Header()[headerRequestID] = order.TrailOf(r.Context()).IDHeader(id)
			next.ServeHTTP(w, r)
		})
	}
}

// incomingID returns the id that a request came with, "" for none that is safe.
func incomingID(r *http.Request) string {
	if id := r.Header.Get(headerRequestID); isRequestID(id) {
		return id
	}
	return ""
}

// idAlphabet is that of base32.
const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// randomID returns 26 characters with 128 random bits, from the generator of the runtime, which
// costs a fraction of that for secrets. An id has to be unique; its client receives it anyway.
func randomID() string {
	var id [26]byte
	for i := 0; i < len(id); i += 13 {
		bits := rand.Uint64()
		for j := range 13 {
			id[i+j] = idAlphabet[bits%32]
			bits /= 32
		}
	}
	return string(id[:])
}

// isRequestID reports whether id is safe in a header and in a log as it is.
func isRequestID(id string) bool { return len(id) <= 128 && isToken(id, "._-") }

// isToken reports whether text consists of letters, digits and the characters of other, and is
// not empty.
func isToken(text, other string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(other, c) >= 0:
		default:
			return false
		}
	}
	return text != ""
}
