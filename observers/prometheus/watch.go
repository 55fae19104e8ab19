package inletprom

import (
	"maps"
	"reflect"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
)

// watched is what is asked at each scrape for what it has counted itself, by name.
type watched struct {
	sinks    map[string]inlet.Sink
	handlers map[string]*inlet.Handler
	limiters map[string]*middleware.MemoryLimiter
	shared   map[string]func() SharedLimiterStats
	keys     map[string]KeyCache
	plans    map[string]func() plan.Stats
}

func newWatched() watched {
	return watched{
		sinks:    make(map[string]inlet.Sink),
		handlers: make(map[string]*inlet.Handler),
		limiters: make(map[string]*middleware.MemoryLimiter),
		shared:   make(map[string]func() SharedLimiterStats),
		keys:     make(map[string]KeyCache),
		plans:    make(map[string]func() plan.Stats),
	}
}

// copied returns a copy, so that no lock is held while others are asked.
func (w *watched) copied() watched {
	return watched{
		maps.Clone(w.sinks), maps.Clone(w.handlers), maps.Clone(w.limiters), maps.Clone(w.shared), maps.Clone(w.keys),
		maps.Clone(w.plans),
	}
}

// Watch exposes what a sink counts: a [journal.Journal] with its deliveries, and a Dedupe, Filter,
// Retry, Timeout, Batch, DeadLetter, Fanout and Fallback of package sinks. Of each kind it is the
// outermost in the chain of decorators. Fanout, Fallback, Batch and DeadLetter end the chain: watch
// the sinks within by themselves.
//
// The name is a label. A name that is watched already is replaced; nil ends it. A sink may be
// closed while it is watched: what it has counted stays.
func (m *Metrics) Watch(name string, s inlet.Sink) { watch(m, m.watched.sinks, name, s) }

// WatchHandler exposes how much memory the requests of a handler use. See [Metrics.Watch] about the
// name.
func (m *Metrics) WatchHandler(name string, h *inlet.Handler) {
	watch(m, m.watched.handlers, name, h)
}

// WatchLimiter exposes what a limiter in memory counts. See [Metrics.Watch] about the name.
func (m *Metrics) WatchLimiter(name string, l *middleware.MemoryLimiter) {
	watch(m, m.watched.limiters, name, l)
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
//	metrics.WatchSharedLimiter("api", func() inletprom.SharedLimiterStats {
//		return inletprom.SharedLimiterStats(limiter.Stats())
//	})
//
// See [Metrics.Watch] about the name.
func (m *Metrics) WatchSharedLimiter(name string, stats func() SharedLimiterStats) {
	watch(m, m.watched.shared, name, stats)
}

// A KeyCache counts how often keys were looked up: an [authcache.Cache], or the Keys of package
// pgkeys.
type KeyCache interface {
	// Stats returns the current counters.
	Stats() authcache.Stats
}

// WatchKeys exposes what a cache of write keys counts. See [Metrics.Watch] about the name.
func (m *Metrics) WatchKeys(name string, c KeyCache) { watch(m, m.watched.keys, name, c) }

// WatchPlan exposes what is counted of a tracking plan, by the Stats of a [plan.Judge] or
// [plan.File]:
//
//	metrics.WatchPlan("shop", file.Stats)
//
// The labels name and version are those of the plan in use, at most 256 bytes of each; its counters
// begin at 0 when the plan is replaced. Names and fields of events are in no label. See
// [Metrics.Watch] about the name, which is the label plan.
func (m *Metrics) WatchPlan(name string, stats func() plan.Stats) {
	watch(m, m.watched.plans, name, stats)
}

// watch sets what is watched under a name, nothing if it is nil.
func watch[T any](m *Metrics, all map[string]T, name string, value T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := reflect.ValueOf(value); !v.IsValid() || isNil(v) {
		delete(all, name)
		return
	}
	all[name] = value
}

// isNil reports whether a value of a kind that has nil is nil.
func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Func, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Chan:
		return v.IsNil()
	}
	return false
}
