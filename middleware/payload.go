package middleware

import (
	"cmp"
	"net/http"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// PayloadOptions configure [Payload]. A nil pointer means all defaults.
type PayloadOptions struct {
	// Protocol bounds the reading of bodies. Defaults to the zero [inlet.Protocol].
	Protocol *inlet.Protocol
	// MaxInFlight bounds the concurrent requests inside this layer, over all
	// handlers that it was put around; the next one is answered 503 before its body is
	// read. Defaults to 4,096.
	MaxInFlight int
}

// Payload reads the body of each request once, bounded and decompressed, for all layers and
// the handler behind it: it is [inlet.ReadPayload] as a layer that also bounds the requests
// in flight, and that panics if an option is out of range.
func Payload(o *PayloadOptions) func(http.Handler) http.Handler {
	var filled PayloadOptions
	if o != nil {
		filled = *o
	}
	filled.MaxInFlight = cmp.Or(filled.MaxInFlight, 4096)
	read, err := inlet.ReadPayload(filled.Protocol)
	must(check.Options("middleware", "PayloadOptions",
		err, check.AtLeast("MaxInFlight", filled.MaxInFlight, 1)))
	var inFlight atomic.Int64
	return func(next http.Handler) http.Handler {
		next = read(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer inFlight.Add(-1)
			if inFlight.Add(1) > int64(filled.MaxInFlight) {
				inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeOverloaded})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
