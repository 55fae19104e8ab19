package bench

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// newHandler returns the handler as it is shipped: authentication, validation,
// normalisation and metrics, with a sink that counts.
func newHandler() (http.Handler, error) {
	handler, err := newHandlerAlone()
	if err != nil {
		return nil, err
	}
	gate, err := inlet.NewGate(inlet.MustKeys(map[string]inlet.Source{WriteKey: {ID: "bench"}}), nil)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next, payload, err := gate.Admit(w, r)
		if payload != nil {
			defer payload.Release()
		}
		if err != nil {
			inlet.WriteError(w, r, err)
			return
		}
		handler.ServeHTTP(w, next)
	}), nil
}

// newHandlerAlone returns the handler without a chain: it takes what nobody has
// vouched for.
func newHandlerAlone() (http.Handler, error) {
	c := new(counter)
	return inlet.New(c, &inlet.Options{AllowAnonymous: true, Observer: c})
}

// A counter is a sink and an observer that count.
type counter struct{ events, requests atomic.Int64 }

func (c *counter) Write(_ context.Context, events []*inlet.Event) error {
	c.events.Add(int64(len(events)))
	return nil
}

func (c *counter) ObserveRequest(context.Context, *inlet.RequestRecord) { c.requests.Add(1) }

// bareHandler is the floor for a handler: it reads the body into pooled memory
// and answers 200 if it is good, which everything is by default.
func bareHandler(good func(body []byte) bool) http.Handler {
	pool := sync.Pool{New: func() any { return new([]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := pool.Get().(*[]byte)
		defer pool.Put(body)
		if n := int(r.ContentLength); cap(*body) < n {
			*body = make([]byte, n)
		}
		buf := (*body)[:r.ContentLength]
		_, err := io.ReadFull(http.MaxBytesReader(w, r.Body, 512_000), buf)
		if err != nil || good != nil && !good(buf) {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
}
