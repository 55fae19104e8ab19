package inletotel_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	inletotel "github.com/inlet-go/inlet/observers/otel"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

// What the journal and its deliveries count is read at each collection.
func TestWatchJournal(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	j := openJournal(t, t.TempDir())
	dedupe, err := sinks.NewDedupe(j, nil)
	require.NoError(t, err)
	s.Watch("main", dedupe)
	require.Equal(t, map[string]float64{"journal=main": 0}, s.points("inlet.journal.events"))

	events := sinktest.Events(4)
	require.NoError(t, dedupe.Write(t.Context(), events))
	require.NoError(t, dedupe.Write(t.Context(), events[:1]))
	refuse := &testsink.Keeper{Respond: func(context.Context, []*inlet.Event) error {
		return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: inlet.Permanent(errors.New("bad"))}}}
	}}
	d, err := j.Deliver("warehouse", refuse, &journal.DeliverOptions{MinEvents: 4, MaxDelay: time.Hour})
	require.NoError(t, err)
	require.NoError(t, d.Drain(t.Context()))

	for name, want := range map[string]map[string]float64{
		"inlet.journal.events":     {"journal=main": 4},
		"inlet.delivery.behind":    {"destination=warehouse,journal=main": 0},
		"inlet.delivery.age":       {"destination=warehouse,journal=main": 0},
		"inlet.delivery.delivered": {"destination=warehouse,journal=main": 4},
		"inlet.delivery.refused":   {"destination=warehouse,journal=main": 1},
		"inlet.delivery.running":   {"destination=warehouse,journal=main": 1},
		"inlet.dedupe.duplicates":  {"sink=main": 1},
		"inlet.delivery.paused":    {"destination=warehouse,journal=main": 0},
	} {
		require.Equal(t, want, s.points(name), name)
	}
	require.NoError(t, j.Close(t.Context()))
	stats := j.Stats()
	require.Equal(t, map[string]float64{"journal=main": float64(stats.Retained)}, s.points("inlet.journal.retained"))
	require.Equal(t, map[string]float64{"journal=main": float64(stats.DeadLetters)}, s.points("inlet.journal.dead_letter"))
	require.Equal(t, map[string]float64{"journal=main": 4}, s.points("inlet.journal.events"), "after Close")
	require.Equal(t, map[string]float64{"journal=main": 0}, s.points("inlet.journal.busy"))
	require.Equal(t, map[string]float64{"destination=warehouse,journal=main": 0}, s.points("inlet.delivery.running"))

	s.Watch("main", nil)
	require.Empty(t, s.points("inlet.journal.events"))
}

// What other parts count is read, too, under the names that they are watched by.
func TestWatchOthers(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	fanout, err := sinks.NewFanout([]sinks.Leg{{Name: "a", Sink: new(sinks.Memory)}, {Name: "b", Sink: testsink.Failing(errors.New("down")), BestEffort: true}}, nil)
	require.NoError(t, err)
	filter, err := sinks.NewFilter(fanout, func(e *inlet.Event) bool { return e.Type != inlet.TypeTrack })
	require.NoError(t, err)
	events := sinktest.Events(6)
	tracks := 0
	for _, e := range events {
		if e.Type == inlet.TypeTrack {
			tracks++
		}
	}
	s.Watch("out", filter)
	require.NoError(t, filter.Write(t.Context(), events))
	require.Equal(t, map[string]float64{"sink=out": float64(tracks)}, s.points("inlet.filter.dropped_events"))
	require.Equal(t, map[string]float64{"leg=a,sink=out": float64(6 - tracks), "leg=b,sink=out": 0}, s.points("inlet.fanout.stored_events"))
	require.Equal(t, map[string]float64{"leg=a,sink=out": 0, "leg=b,sink=out": float64(6 - tracks)}, s.points("inlet.fanout.failed_events"))

	s.WatchSharedLimiter("api", func() inletotel.SharedLimiterStats {
		return inletotel.SharedLimiterStats{Charges: 7, Exchanges: 3, Failures: 1, Keys: 2}
	})
	require.Equal(t, map[string]float64{"limiter=api": 7}, s.points("inlet.shared_limiter.charges"))
	require.Equal(t, map[string]float64{"limiter=api": 2}, s.points("inlet.shared_limiter.keys"))

	cache, err := authcache.New(keys, nil)
	require.NoError(t, err)
	s.WatchKeys("keys", cache)
	_, err = cache.Authenticate(t.Context(), inlet.Credentials{Key: "server"})
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"cache=keys": 1}, s.points("inlet.key_cache.lookups"))
	require.Equal(t, map[string]float64{"cache=keys": 1}, s.points("inlet.key_cache.known_keys"))

	limiter, err := middleware.NewMemoryLimiter(nil)
	require.NoError(t, err)
	s.WatchLimiter("ip", limiter)
	for range 3 {
		_, err := limiter.Take(t.Context(), middleware.Charge{Name: "a", Requests: middleware.Draw{Rate: 0.001, Burst: 2, Cost: 1}})
		require.NoError(t, err)
	}
	require.Equal(t, map[string]float64{"limiter=ip": 3}, s.points("inlet.limiter.charges"))
	require.Equal(t, map[string]float64{"limiter=ip": 1}, s.points("inlet.limiter.refused"))

	var used float64
	api, err := inlet.New(inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		used = s.points("inlet.memory.used")["handler=api"]
		return nil
	}), &inlet.Options{Logger: quiet})
	require.NoError(t, err)
	s.WatchHandler("api", api)
	require.NoError(t, api.Ingest(t.Context(), &inlet.Source{ID: "jobs"}, inlet.NewTrack("u", "A", nil)))
	require.Positive(t, used)
	require.Equal(t, map[string]float64{"handler=api": 0}, s.points("inlet.memory.used"))
	require.Equal(t, map[string]float64{"handler=api": 256 << 20}, s.points("inlet.memory.limit"))

	s.WatchKeys("keys", (*authcache.Cache)(nil))
	s.WatchHandler("api", nil)
	s.WatchLimiter("ip", nil)
	s.WatchSharedLimiter("api", nil)
	s.Watch("out", (*sinks.Filter)(nil))
	for _, name := range []string{"inlet.key_cache.lookups", "inlet.shared_limiter.keys", "inlet.filter.dropped_events", "inlet.memory.used", "inlet.limiter.charges"} {
		require.Empty(t, s.points(name), name)
	}
}

// A plan is watched with its name, its version, and what violates it by kind and mode: nothing that
// a client has sent is in an attribute.
func TestWatchPlan(t *testing.T) {
	t.Parallel()
	const events, violating, start = "inlet.plan.events", "inlet.plan.violating_events", "inlet.plan.start_time"
	order := func(name, properties string) *inlet.Event {
		return &inlet.Event{Type: inlet.TypeTrack, Name: name, Properties: []byte(properties)}
	}
	t.Run("counts", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, nil)
		judge := judgeOf(t, "orders", "1")
		s.WatchPlan("shop", judge.Stats)
		require.Len(t, s.points(violating), 15, "before the first event")
		send := judge.Validator()
		require.Nil(t, send(order("Order", `{"total":1}`)))
		require.Nil(t, send(order("Order", `{}`)))
		require.NotNil(t, send(order("Order", `{"total":"1"}`)))
		const flood = 2 * plan.MaxCounts
		for i := range flood {
			require.Nil(t, send(order("made up "+strconv.Itoa(i), `{"secret":1}`)))
		}
		require.Equal(t, map[string]float64{
			"name=orders,outcome=clean,plan=shop,version=1": 1, "name=orders,outcome=observed,plan=shop,version=1": flood,
			"name=orders,outcome=quarantined,plan=shop,version=1": 1, "name=orders,outcome=rejected,plan=shop,version=1": 1,
		}, s.points(events))
		require.Equal(t, map[string]float64{
			"kind=required,mode=quarantine,name=orders,plan=shop,version=1":     1,
			"kind=type,mode=reject,name=orders,plan=shop,version=1":             1,
			"kind=unplanned_event,mode=observe,name=orders,plan=shop,version=1": flood,
		}, s.counts(violating))
		require.InDelta(t, float64(judge.Stats().Since.UnixNano())/1e9, s.points(start)["name=orders,plan=shop,version=1"], 1e-3)
	})
	t.Run("another plan", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, nil)
		judge := judgeOf(t, "orders", "1")
		s.WatchPlan("shop", judge.Stats)
		require.Nil(t, judge.Validator()(order("Order", `{}`)))
		require.NotEmpty(t, s.counts(violating))
		require.NoError(t, judge.Swap(judgeOf(t, "orders", strings.Repeat("2", 1000)).Plan()))
		require.Empty(t, s.counts(violating))
		version := "version=" + strings.Repeat("2", 256)
		points := s.points(start)
		require.Len(t, points, 1, "one version, however many there were")
		require.Contains(t, points, "name=orders,plan=shop,"+version)
	})
	t.Run("a panic", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, nil)
		s.WatchPlan("shop", judgeOf(t, "orders", "1").Stats)
		s.WatchPlan("broken", func() plan.Stats { panic("broken") })
		require.Len(t, s.points(start), 1, "the others are collected")
		require.Equal(t, map[string]float64{"": 2}, s.points("inlet.watch.panics"), "the second time")
		s.WatchPlan("broken", nil)
		s.WatchPlan("shop", nil)
		require.Empty(t, s.points(start))
		require.Equal(t, map[string]float64{"": 2}, s.points("inlet.watch.panics"))
	})
}

// A name that is watched again shows what is watched now.
func TestWatchAgain(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	first, second := openJournal(t, t.TempDir()), openJournal(t, t.TempDir())
	require.NoError(t, first.Write(t.Context(), sinktest.Events(3)))
	s.Watch("main", first)
	s.Watch("main", second)
	s.Watch("other", first)
	require.Equal(t, map[string]float64{"journal=main": 0, "journal=other": 3}, s.points("inlet.journal.events"))
}

// A part that panics hides no other, and does not end the process.
func TestWatchPanic(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	j := openJournal(t, t.TempDir())
	s.Watch("main", j)
	s.WatchSharedLimiter("api", func() inletotel.SharedLimiterStats { panic("broken") })
	require.Equal(t, map[string]float64{"journal=main": 0}, s.points("inlet.journal.events"))
	require.Equal(t, map[string]float64{"": 2}, s.points("inlet.watch.panics"))
	s.WatchSharedLimiter("api", nil)
	require.Equal(t, map[string]float64{"": 2}, s.points("inlet.watch.panics"))
}
