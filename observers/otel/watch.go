package inletotel

import (
	"maps"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
)

// watched is what is asked, whenever the SDK collects, for what it has counted itself, by name.
type watched struct {
	panics atomic.Int64 // of parts that were asked

	mu    sync.Mutex
	parts map[part]func(*collection)
}

// A part is something that is watched. Those of one type have different names.
type part struct{ kind, name string }

// Watch exposes what a sink counts: a Journal with its deliveries, and a Dedupe, Filter,
// Retry, Timeout, Batch, DeadLetter, Fanout and Fallback of package sinks. Of each kind it is the
// outermost in the chain of decorators. Fanout, Fallback, Batch and DeadLetter end the chain: watch
// the sinks within by themselves.
//
// The name is an attribute: journal of the journal, sink of the others. A name that is watched
// already is replaced; nil ends it. A sink may be closed while it is watched: what it has counted
// stays.
func (t *Telemetry) Watch(name string, s inlet.Sink) {
	watch(&t.watched, part{"sink", name}, s, (*collection).sink)
}

// WatchHandler exposes how much memory the requests of a handler use. The name is the attribute
// handler; see [Telemetry.Watch].
func (t *Telemetry) WatchHandler(name string, h *inlet.Handler) {
	watch(&t.watched, part{"handler", name}, h, (*collection).handler)
}

// WatchLimiter exposes what a limiter in memory counts. The name is the attribute limiter; see
// [Telemetry.Watch].
func (t *Telemetry) WatchLimiter(name string, l *middleware.MemoryLimiter) {
	watch(&t.watched, part{"limiter", name}, l, (*collection).limiter)
}

// SharedLimiterStats are the Stats of a limiter of package redislimit, which is a module of its
// own.
type SharedLimiterStats struct {
	// Charges is how often the limiter was asked.
	Charges uint64
	// Exchanges is how often it asked its store, and Failures how often that failed.
	Exchanges, Failures uint64
	// Keys is how many keys are remembered now.
	Keys int
}

// WatchSharedLimiter exposes what a limiter counts that several servers share, such as one of
// package redislimit:
//
//	telemetry.WatchSharedLimiter("api", func() inletotel.SharedLimiterStats {
//		return inletotel.SharedLimiterStats(limiter.Stats())
//	})
//
// The name is the attribute limiter; see [Telemetry.Watch].
func (t *Telemetry) WatchSharedLimiter(name string, stats func() SharedLimiterStats) {
	watch(&t.watched, part{"shared limiter", name}, stats, (*collection).sharedLimiter)
}

// A KeyCache counts how often keys were looked up: an [authcache.Cache], or the Keys of package
// pgkeys.
type KeyCache interface {
	// Stats returns the current counters.
	Stats() authcache.Stats
}

// WatchKeys exposes what a cache of write keys counts. The name is the attribute cache; see
// [Telemetry.Watch].
func (t *Telemetry) WatchKeys(name string, c KeyCache) {
	watch(&t.watched, part{"keys", name}, c, (*collection).keys)
}

// WatchPlan exposes what is counted of a tracking plan, by the Stats of a [plan.Judge] or
// [plan.File]:
//
//	telemetry.WatchPlan("shop", file.Stats)
//
// The name is the attribute plan; see [Telemetry.Watch]. The attributes name and version are those
// of the plan in use, at most 256 bytes of each; its counters begin at 0 when the plan is replaced.
// Names and fields of events are in no attribute.
func (t *Telemetry) WatchPlan(name string, stats func() plan.Stats) {
	watch(&t.watched, part{"plan", name}, stats, (*collection).plan)
}

// watch sets what is watched as p, nothing if it is nil.
func watch[T any](w *watched, p part, value T, read func(c *collection, name string, value T)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if isNil(reflect.ValueOf(value)) {
		delete(w.parts, p)
		return
	}
	if w.parts == nil {
		w.parts = make(map[part]func(*collection))
	}
	w.parts[p] = func(c *collection) { read(c, valid(p.name), value) }
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
func (w *watched) copied() map[part]func(*collection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.parts)
}
