package metrics

import (
	"maps"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
)

// Watched is the parts of a server that are asked, whenever metrics are collected, for what they
// have counted themselves. Each has a name, which is the value of a label. A part whose name is
// watched already replaces the earlier one of its type; nil ends that. The zero value watches
// nothing. Its methods may be called concurrently.
type Watched struct {
	panics atomic.Int64 // of parts that were asked

	mu    sync.Mutex
	parts map[part]func(*collection)
}

// A part is something that is watched. Those of one type have different labels.
type part struct{ kind, label string }

// SharedLimiterStats is what a limiter has counted that several servers share.
type SharedLimiterStats struct {
	Charges             uint64
	Exchanges, Failures uint64
	Keys                int
}

// A KeyCache counts how often keys were looked up.
type KeyCache interface{ Stats() authcache.Stats }

// Sink watches the sinks of a chain: of each type the outermost.
func (w *Watched) Sink(name string, s inlet.Sink) { watch(w, "sink", name, s, (*collection).sink) }

// Handler watches the memory of a handler.
func (w *Watched) Handler(name string, h *inlet.Handler) {
	watch(w, "handler", name, h, (*collection).handler)
}

// Limiter watches a limiter in memory.
func (w *Watched) Limiter(name string, l *middleware.MemoryLimiter) {
	watch(w, "limiter", name, l, (*collection).limiter)
}

// SharedLimiter watches a limiter that several servers share.
func (w *Watched) SharedLimiter(name string, stats func() SharedLimiterStats) {
	watch(w, "shared limiter", name, stats, (*collection).sharedLimiter)
}

// Keys watches a cache of keys.
func (w *Watched) Keys(name string, c KeyCache) { watch(w, "keys", name, c, (*collection).keys) }

// Plan watches the tracking plan in use.
func (w *Watched) Plan(name string, stats func() plan.Stats) {
	watch(w, "plan", name, stats, (*collection).plan)
}

// watch sets what is watched under a name, nothing if it is nil.
func watch[T any](w *Watched, kind, name string, value T, read func(c *collection, label string, value T)) {
	p := part{kind, Label(name)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if isNil(reflect.ValueOf(value)) {
		delete(w.parts, p)
		return
	}
	if w.parts == nil {
		w.parts = make(map[part]func(*collection))
	}
	w.parts[p] = func(c *collection) { read(c, p.label, value) }
}

// isNil reports whether there is nothing in an interface, pointer or function.
func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Func, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Chan:
		return v.IsNil()
	}
	return false
}

// copied returns a copy, so that no lock is held while others are asked.
func (w *Watched) copied() map[part]func(*collection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.parts)
}

// Read asks the parts, and gives to what they have counted. A part that panics is counted, and the
// others are read: metrics are collected in goroutines of the libraries, where a panic would end
// the process.
func (w *Watched) Read(to Values) {
	c := collection{to: to, sent: make(map[series]bool)}
	for _, read := range w.copied() {
		var err error
		guard.Call(&err, func() error {
			read(&c)
			return nil
		})
		if err != nil {
			w.panics.Add(1)
		}
	}
	set(&c, WatchPanics, w.panics.Load())
}
