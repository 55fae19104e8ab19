package middleware

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/order"
)

// PayloadOptions configure [Payload]. A nil pointer means all defaults.
type PayloadOptions struct {
	// Protocol bounds the reading of bodies. Defaults to that of the layer or handler of Inlet
	// right inside, or else to the zero [inlet.Protocol].
	Protocol *inlet.Protocol
	// MaxInFlight bounds the concurrent requests inside this layer, over all handlers that
	// it was put around; the next one is answered 503 before its body is read. Defaults to
	// 4,096.
	MaxInFlight int
	// MaxShare bounds, over all handlers too, how many bodies of one client are being read
	// concurrently; the next one is answered 503. A client is an IPv4 address or an IPv6 network
	// of 64 bits, as [ClientIP] or else the connection has it. Behind a proxy that sends
	// bodies on as they arrive, without [ClientIP], all clients are one. Defaults to one
	// eighth of MaxInFlight.
	MaxShare int
	// MinRate is the slowest that a body may arrive, in bytes per second: on average, at every
	// moment after its first two seconds. A slower one is answered 408. Defaults to 1,024.
	MinRate int64
	// MaxWait is how long a request waits before its body is read, when more arrive than the
	// processors can work on. After that it is answered 503: when they have time for it, or
	// after eight times MaxWait. Requests that are not waiting for the processors, such as
	// slow bodies, do not make others wait. Defaults to 300 milliseconds.
	MaxWait time.Duration
	// Logger receives "inlet: overloaded" when requests are refused with 503, for each limit at
	// most once in 10 seconds, with its name, the reason and the number of refusals. It also
	// receives warnings of writers around the server's own that keep it from ending slow
	// bodies, and of layers in the wrong place. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Payload reads the body of each request once, bounded and decompressed, for all layers and
// the handler behind it: it is [inlet.ReadPayload] as a layer that also bounds the requests
// in flight, and that panics if an option is out of range. In front of [Auth], a key in a
// header or the query is checked before the body is read.
func Payload(o *PayloadOptions) func(http.Handler) http.Handler {
	var filled PayloadOptions
	if o != nil {
		filled = *o
	}
	filled.MaxInFlight = cmp.Or(filled.MaxInFlight, 4096)
	filled.MaxShare = cmp.Or(filled.MaxShare, admission.ShareOf(filled.MaxInFlight))
	filled.MinRate = cmp.Or(filled.MinRate, 1<<10)
	filled.MaxWait = cmp.Or(filled.MaxWait, admission.DefaultMaxWait)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	read, err := inlet.ReadPayload(filled.Protocol)
	must(check.Options("middleware", "PayloadOptions", err,
		check.AtLeast("MaxInFlight", filled.MaxInFlight, 1),
		check.AtLeast("MaxShare", filled.MaxShare, 1),
		check.AtLeast("MinRate", filled.MinRate, 1),
		check.AtLeast("MaxWait", filled.MaxWait, 1)))
	bounds := admission.Bodies{
		MaxInFlight: filled.MaxInFlight, MaxShare: filled.MaxShare, MinRate: filled.MinRate, MaxWait: filled.MaxWait,
		Logger: filled.Logger,
	}
	return func(next http.Handler) http.Handler { return read(&bounded{next, bounds}) }
}

// bounded is a handler with the bounds that only these options have.
type bounded struct {
	http.Handler
	bounds admission.Bodies
}

// BodyBounds returns the bounds, for [inlet.ReadPayload].
func (b *bounded) BodyBounds() admission.Bodies { return b.bounds }

// Next returns the handler.
func (b *bounded) Next() http.Handler { return b.Handler }

// Inside returns the handler.
func (b *bounded) Inside() (*order.Place, http.Handler) { return nil, b.Handler }
