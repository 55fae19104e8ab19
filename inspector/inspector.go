package inspector

import (
	"crypto/rand"
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// An Inspector captures events, and is the page that shows them. Its methods may be called
// concurrently. Make one with [New].
type Inspector struct {
	o       Options
	start   time.Time
	run     string // what ids of rows begin with: they are those of this process
	token   string // that a button sends
	handler http.Handler

	until atomic.Int64 // events are captured until then, in nanoseconds since start

	mu      sync.Mutex
	ring    ring
	sample  sample
	sources sources
	viewers map[*viewer]struct{}
	closed  bool
	done    chan struct{} // closed by Close
}

// New returns an inspector that has captured nothing.
func New(o *Options) (*Inspector, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	i := &Inspector{
		o: filled, start: time.Now(), run: rand.Text()[:8], token: rand.Text(),
		ring:    newRing(filled.MaxRows, filled.MaxBytes),
		sample:  sample{seed: maphash.MakeSeed(), perName: filled.PerName, rows: filled.Rows},
		sources: sources{bySource: make(map[string]*source)},
		viewers: make(map[*viewer]struct{}),
		done:    make(chan struct{}),
	}
	i.handler = i.routes()
	return i, nil
}

// Close disconnects all viewers; further ones are answered 503. What is captured goes on being
// passed through. It is for [http.Server.RegisterOnShutdown]: a server that shuts down waits for
// viewers otherwise. It may be called again.
func (i *Inspector) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.closed {
		i.closed = true
		close(i.done)
	}
}

// watched reports whether rows are captured now.
func (i *Inspector) watched() bool {
	until := i.until.Load()
	if until == 0 {
		return false
	}
	if int64(time.Since(i.start)) < until {
		return true
	}
	i.until.CompareAndSwap(until, 0) // the next call is cheaper
	return false
}

// Layer captures the requests to next, for what they say of events: it is the outermost layer, and
// sees requests that layers inside refuse. The method, the path without write keys, the protocol,
// User-Agent and Origin are shown.
func (i *Inspector) Layer(next http.Handler) http.Handler {
	observed := middleware.Observe(i)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.watched() {
			r = r.WithContext(withRequest(r.Context(), r))
		}
		observed.ServeHTTP(w, r)
	})
}

// add keeps rows.
func (i *Inspector) add(rows ...*row) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range rows {
		if r.Kind == accepted && i.ring.has(r.Source, r.MessageID) {
			r.Kind = duplicate
		}
		i.ring.add(r, i.o.Unmasked)
	}
	for v := range i.viewers {
		v.wake()
	}
}

// Stats are what an inspector holds now.
type Stats struct {
	// Viewers is how many are connected.
	Viewers int
	// Rows and Bytes are what is kept.
	Rows, Bytes int
	// Captured is how many rows were captured since construction.
	Captured uint64
}

// Stats returns what the inspector holds.
func (i *Inspector) Stats() Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	return Stats{Viewers: len(i.viewers), Rows: i.ring.len(), Bytes: i.ring.bytes, Captured: i.ring.last}
}

var _ inlet.Observer = (*Inspector)(nil)
