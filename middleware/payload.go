package middleware

import (
	"cmp"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// PayloadOptions bound what requests may make the server read and hold. Nil is
// all defaults.
type PayloadOptions struct {
	// PayloadOptions bound one body. Each field has a default of its own.
	inlet.PayloadOptions
	// MaxInFlight bounds the requests that are behind this layer at a time,
	// over all handlers that it was put around; the next one is answered 503
	// before its body is read. Defaults to 4,096.
	MaxInFlight int
}

// Payload reads the body of each request once, bounded and decompressed, and
// passes on a copy of the request whose Body holds what was read, without a
// Content-Encoding. The layers and the handler behind share that memory; other
// code reads r.Body and gets copies.
//
// A body that cannot be had is refused: too large, or expanding too much, 400;
// an encoding that is not taken, 415; too slow, 408; more than all bodies may hold
// together, 503. Payload panics if an option is out of range.
func Payload(o *PayloadOptions) func(http.Handler) http.Handler {
	var filled PayloadOptions
	if o != nil {
		filled = *o
	}
	filled.MaxInFlight = cmp.Or(filled.MaxInFlight, 4096)
	if filled.MaxInFlight < 1 {
		must("Payload", fmt.Errorf("MaxInFlight is %d, must be at least 1", filled.MaxInFlight))
	}
	reader, err := inlet.NewPayloadReader(&filled.PayloadOptions)
	must("Payload", err)
	p := &payloadLayer{reader: reader, most: int64(filled.MaxInFlight)}
	return p.wrap
}

type payloadLayer struct {
	reader *inlet.PayloadReader
	most   int64
	inside atomic.Int64
}

func (p *payloadLayer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer p.inside.Add(-1)
		if p.inside.Add(1) > p.most {
			inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeOverloaded})
			return
		}
		p.serve(w, r, next)
	})
}

// serve does not defer the release: after a panic the memory may still be in
// somebody's hands, and is left to the collector.
func (p *payloadLayer) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Body == nil || r.Body == http.NoBody {
		next.ServeHTTP(w, r)
		return
	}
	read, payload, err := p.reader.Read(w, r)
	if err != nil {
		inlet.WriteError(w, r, err)
		return
	}
	next.ServeHTTP(w, read)
	payload.Release()
}
