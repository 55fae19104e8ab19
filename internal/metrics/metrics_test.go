package metrics_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/metrics"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// Each metric has a name of its own in both forms, a unit, and a sentence.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	names, forPrometheus := map[string]bool{}, map[string]bool{}
	for m := range metrics.Count {
		require.Regexp(t, `^inlet\.[a-z_.]+$`, m.Name())
		require.Regexp(t, `^(By|s|\{[a-z]+\})$`, m.Unit(), m.Name())
		require.Regexp(t, `^[A-Z1].*\.$`, m.Help(), m.Name())
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(m.Labels()))), len(m.Labels()), m.Name())
		require.False(t, names[m.Name()] || forPrometheus[m.PrometheusName()], m.Name())
		names[m.Name()], forPrometheus[m.PrometheusName()] = true, true
		require.Equal(t, m.Kind() == metrics.Counter, strings.HasSuffix(m.PrometheusName(), "_total"), m.Name())
	}
}

func TestPrometheusName(t *testing.T) {
	t.Parallel()
	for m, want := range map[metrics.Metric]string{
		metrics.Requests:         "inlet_requests_total",
		metrics.RequestWire:      "inlet_request_wire_bytes_total",
		metrics.RequestBytes:     "inlet_request_bytes_total",
		metrics.RequestDuration:  "inlet_request_duration_seconds",
		metrics.RequestsInFlight: "inlet_requests_in_flight",
		metrics.JournalRetained:  "inlet_journal_retained_bytes",
		metrics.DeliveryAge:      "inlet_delivery_age_seconds",
	} {
		require.Equal(t, want, m.PrometheusName())
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for _, c := range [...][2]string{
		{"", ""}, {"a", "a"}, {"a\xff\xfe", "a\uFFFD"}, {"a\uFFFD", "a\uFFFD"}, {"\x00\n", "\x00\n"},
		{strings.Repeat("é", 200), strings.Repeat("é", 128)}, {"a" + strings.Repeat("é", 200), "a" + strings.Repeat("é", 127)},
		{strings.Repeat("\xff", 300), "\uFFFD"},
	} {
		require.Equal(t, c[1], metrics.Label(c[0]))
	}
}

// kept is what was read, by metric and the values of its labels.
type kept map[string]float64

func (k kept) put(m metrics.Metric, value float64, labels []string) {
	key := m.Name() + " " + strings.Join(labels, ",")
	if _, twice := k[key]; twice || len(labels) != len(m.Labels()) {
		panic("wrong series: " + key)
	}
	k[key] = value
}

func (k kept) Set(m metrics.Metric, value int64, labels ...string) { k.put(m, float64(value), labels) }

func (k kept) SetTime(m metrics.Metric, value time.Duration, labels ...string) {
	k.put(m, value.Seconds(), labels)
}

func read(w *metrics.Watched) kept {
	k := kept{}
	w.Read(k)
	return k
}

// keys is a cache of keys with as many hits.
type keys uint64

func (k keys) Stats() authcache.Stats { return authcache.Stats{Hits: uint64(k)} }

// pointedKeys is one behind a pointer.
type pointedKeys struct{ keys }

// Nil, also of a type, ends what is watched.
func TestNil(t *testing.T) {
	t.Parallel()
	api, err := inlet.New(new(sinks.Memory), nil)
	require.NoError(t, err)
	limiter, err := middleware.NewMemoryLimiter(nil)
	require.NoError(t, err)
	filter, err := sinks.NewFilter(new(sinks.Memory), func(*inlet.Event) bool { return true })
	require.NoError(t, err)
	var noFilter *sinks.Filter
	var noKeys *pointedKeys
	for name, part := range map[string]struct{ begin, end func(w *metrics.Watched) }{
		"sink":       {func(w *metrics.Watched) { w.Sink("a", filter) }, func(w *metrics.Watched) { w.Sink("a", nil) }},
		"typed sink": {func(w *metrics.Watched) { w.Sink("a", filter) }, func(w *metrics.Watched) { w.Sink("a", noFilter) }},
		"handler":    {func(w *metrics.Watched) { w.Handler("a", api) }, func(w *metrics.Watched) { w.Handler("a", nil) }},
		"limiter":    {func(w *metrics.Watched) { w.Limiter("a", limiter) }, func(w *metrics.Watched) { w.Limiter("a", nil) }},
		"shared limiter": {
			func(w *metrics.Watched) {
				w.SharedLimiter("a", func() metrics.SharedLimiterStats { return metrics.SharedLimiterStats{} })
			},
			func(w *metrics.Watched) { w.SharedLimiter("a", nil) },
		},
		"keys":       {func(w *metrics.Watched) { w.Keys("a", keys(1)) }, func(w *metrics.Watched) { w.Keys("a", nil) }},
		"typed keys": {func(w *metrics.Watched) { w.Keys("a", keys(1)) }, func(w *metrics.Watched) { w.Keys("a", noKeys) }},
		"plan": {
			func(w *metrics.Watched) { w.Plan("a", func() plan.Stats { return plan.Stats{} }) },
			func(w *metrics.Watched) { w.Plan("a", nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := new(metrics.Watched)
			part.end(w)
			require.Equal(t, kept{"inlet.watch.panics ": 0}, read(w))
			part.begin(w)
			require.Greater(t, len(read(w)), 1)
			part.end(w)
			require.Equal(t, kept{"inlet.watch.panics ": 0}, read(w))
		})
	}
}

// The last of several names that are one label is watched.
func TestOneLabel(t *testing.T) {
	t.Parallel()
	w := new(metrics.Watched)
	for i, name := range []string{"a\xff", "a\xfe", "a\uFFFD", "b"} {
		w.Keys(name, keys(i))
	}
	k := read(w)
	maps.DeleteFunc(k, func(series string, _ float64) bool { return !strings.HasPrefix(series, "inlet.key_cache.hits ") })
	require.Equal(t, kept{"inlet.key_cache.hits a\uFFFD": 2, "inlet.key_cache.hits b": 3}, k)
}

// Two legs of one label are one series, so that libraries that permit no second value accept it.
func TestOneLeg(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 300)
	fanout, err := sinks.NewFanout([]sinks.Leg{{Name: long, Sink: new(sinks.Memory)}, {Name: long + "b", Sink: new(sinks.Memory)}}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = inlet.Close(t.Context(), fanout) })
	w := new(metrics.Watched)
	w.Sink("a", fanout)
	require.Equal(t, kept{
		"inlet.fanout.stored_events a," + long[:256]: 0, "inlet.fanout.failed_events a," + long[:256]: 0, "inlet.watch.panics ": 0,
	}, read(w))
}

// A part that panics is counted each time that it is asked, and hides no other.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := new(metrics.Watched)
	w.Keys("a", keys(1))
	w.SharedLimiter("a", func() metrics.SharedLimiterStats { panic("broken") })
	for n := range 3 {
		k := read(w)
		require.Equal(t, float64(n+1), k["inlet.watch.panics "])
		require.Equal(t, 1.0, k["inlet.key_cache.hits a"])
		require.NotContains(t, k, "inlet.shared_limiter.charges a")
	}
}
