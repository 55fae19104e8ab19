package inletotel

import (
	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/metrics"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
)

// Watch exposes what a sink counts: a Journal with its deliveries, and a Dedupe, Filter,
// Retry, Timeout, Batch, DeadLetter, Fanout and Fallback of package sinks. Of each kind it is the
// outermost in the chain of decorators. Fanout, Fallback, Batch and DeadLetter end the chain: watch
// the sinks within by themselves.
//
// The name is an attribute: journal of the journal, sink of the others. A name that is watched
// already is replaced; nil ends it. A sink may be closed while it is watched: what it has counted
// stays.
func (t *Telemetry) Watch(name string, s inlet.Sink) {
	t.watched.Sink(name, s)
}

// WatchHandler exposes how much memory the requests of a handler use. The name is the attribute
// handler; see [Telemetry.Watch].
func (t *Telemetry) WatchHandler(name string, h *inlet.Handler) {
	t.watched.Handler(name, h)
}

// WatchLimiter exposes what a limiter in memory counts. The name is the attribute limiter; see
// [Telemetry.Watch].
func (t *Telemetry) WatchLimiter(name string, l *middleware.MemoryLimiter) {
	t.watched.Limiter(name, l)
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
	var read func() metrics.SharedLimiterStats
	if stats != nil {
		read = func() metrics.SharedLimiterStats { return metrics.SharedLimiterStats(stats()) }
	}
	t.watched.SharedLimiter(name, read)
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
	t.watched.Keys(name, c)
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
	t.watched.Plan(name, stats)
}
