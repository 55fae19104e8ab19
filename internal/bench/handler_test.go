package bench

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// newHandler returns the handler as the goals mean it: with authentication, a
// rate limit by source that is on but never reached, migration of what is of an
// older version, validation, normalisation and metrics, and a sink that counts.
func newHandler() (http.Handler, error) {
	handler, err := newHandlerAlone()
	if err != nil {
		return nil, err
	}
	return middleware.Chain(authLayer(), limitLayer(middleware.BySource), migrateLayer())(handler), nil
}

// newChain returns the handler with every layer of the documented mount around
// it.
func newChain() (http.Handler, error) {
	handler, err := newHandlerAlone()
	if err != nil {
		return nil, err
	}
	return allLayers()(handler), nil
}

// allLayers are those of the documented mount.
func allLayers() func(http.Handler) http.Handler {
	return middleware.Chain(
		middleware.Recover(nil),
		middleware.CORS(nil),
		limitLayer(middleware.ByIP),
		middleware.Payload(nil),
		authLayer(),
		limitLayer(middleware.BySource),
		migrateLayer(),
	)
}

// migrateLayer lets everything but Commanders Act's events pass unread.
func migrateLayer() func(http.Handler) http.Handler {
	return middleware.Migrate(inlet.CommandersActV1(), nil)
}

func authLayer() func(http.Handler) http.Handler {
	return middleware.Auth(inlet.MustKeys(map[string]inlet.Source{WriteKey: {ID: "bench"}}), nil)
}

func limitLayer(key func(*http.Request) (middleware.RateKey, bool)) func(http.Handler) http.Handler {
	const never = 1e8 // requests per second
	return middleware.RateLimit(&middleware.RateLimitOptions{Rate: never, Key: key})
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

func (c *counter) ObserveRequest(context.Context, *inlet.Outcome) { c.requests.Add(1) }

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
