package middleware

import (
	"log/slog"
	"net/http"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/order"
)

// placed is a layer around a handler. It gives requests the state that the layers share, and
// notices if it is in the wrong place.
type placed struct {
	place *order.Place
	next  http.Handler
	serve http.HandlerFunc
}

// at returns the layer of a kind around next, which serves by a function.
func at(kind order.Layer, logger *slog.Logger, next http.Handler, serve http.HandlerFunc) *placed {
	return &placed{order.New(kind, next, logger), next, serve}
}

// ServeHTTP serves a request by the function of the layer.
func (l *placed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := order.TrailOf(r.Context())
	if t == nil {
		r = inlet.WithState(r)
		t = order.TrailOf(r.Context())
		t.Begin(l.place)
	}
	l.place.Enter(r.Context(), t)
	l.serve(w, r)
}

// Inside returns the place of the layer and the handler inside.
func (l *placed) Inside() (*order.Place, http.Handler) { return l.place, l.next }

// transparent is a layer that leaves the body alone, so that [Payload] in front of it may
// leave the reading to a layer or handler behind it.
type transparent struct{ *placed }

// Next returns the handler that requests are passed on to.
func (l *transparent) Next() http.Handler { return l.next }

// A shown is a layer without a place, through which those around it see what is inside.
type shown struct {
	http.HandlerFunc

	next http.Handler
}

// Inside returns the handler inside.
func (l *shown) Inside() (*order.Place, http.Handler) { return nil, l.next }
