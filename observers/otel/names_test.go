package inletotel_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/otlptranslator"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/middleware"
	inletotel "github.com/inlet-go/inlet/observers/otel"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// An exporter for Prometheus makes the series of package inletprom of the instruments, with the
// same labels and texts.
func TestNames(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/METRICS.md")
	require.NoError(t, err)
	want := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(inlet_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\| ([^|]*) \\|$").FindAllStringSubmatch(string(document), -1) {
		labels := []string{}
		for _, label := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		want[row[1]] = row[2] + " " + labelText(labels) + " " + row[4]
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, translated(t, everything(t)))
}

// translated returns the kinds, labels and texts of what was measured, by the names for Prometheus.
func translated(t *testing.T, s *sdk) map[string]string {
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	var all metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &all))
	got := map[string]string{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		kind, typ, labels := "gauge", otlptranslator.MetricType(otlptranslator.MetricTypeGauge), []string{}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			require.True(t, data.IsMonotonic, m.Name)
			kind, typ = "counter", otlptranslator.MetricTypeMonotonicCounter
			labels = keysOf(data.DataPoints[0].Attributes)
		case metricdata.Gauge[int64]:
			labels = keysOf(data.DataPoints[0].Attributes)
		case metricdata.Gauge[float64]:
			labels = keysOf(data.DataPoints[0].Attributes)
		case metricdata.Histogram[float64]:
			kind, typ = "histogram", otlptranslator.MetricTypeHistogram
			labels = keysOf(data.DataPoints[0].Attributes)
		}
		name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: typ})
		require.NoError(t, err)
		got[name] = kind + " " + labelText(labels) + " " + m.Description
	}
	return got
}

func labelText(labels []string) string {
	slices.Sort(labels)
	return "[" + strings.Join(labels, " ") + "]"
}

func keysOf(set attribute.Set) (keys []string) {
	for _, a := range set.ToSlice() {
		keys = append(keys, string(a.Key))
	}
	return keys
}

// everything returns Telemetry that has something to show of everything that it measures.
func everything(t *testing.T) *sdk {
	s := newSDK(t, nil)
	api, err := inlet.New(s.Sink("memory", new(sinks.Memory)), &inlet.Options{Observer: s.Telemetry, Logger: quiet})
	require.NoError(t, err)
	require.Equal(t, 401, post(s.Layer(middleware.Auth(keys, &inlet.AuthOptions{Logger: quiet})(api)), "/v1/track", "", "{}").Code)
	require.NoError(t, s.Sink("x", new(sinks.Memory)).Write(t.Context(), sinktest.Events(1)))

	j := openJournal(t, t.TempDir())
	_, err = j.Deliver("warehouse", new(sinks.Memory), nil)
	require.NoError(t, err)
	s.Watch("journal", j)
	for name, chain := range chains(t) {
		s.Watch(name, chain)
	}
	s.WatchHandler("api", api)
	limiter, err := middleware.NewMemoryLimiter(nil)
	require.NoError(t, err)
	s.WatchLimiter("ip", limiter)
	s.WatchSharedLimiter("api", func() inletotel.SharedLimiterStats { return inletotel.SharedLimiterStats{} })
	s.WatchKeys("keys", noKeys{})
	s.WatchPlan("shop", judgeOf(t, "orders", "1").Stats)
	return s
}

// judgeOf returns a judge by a plan that has one event, Order, whose total must be a number. Events
// without it are quarantined, those with another type are rejected, and unplanned ones observed.
func judgeOf(t testing.TB, name, version string) *plan.Judge {
	t.Helper()
	p, err := plan.Load(strings.NewReader(fmt.Sprintf(`{"name": %q, "version": %q,
		"modes": {"required": "quarantine", "type": "reject"}, "rules": [{"type": "track", "event": "Order", "schema": {
			"properties": {"properties": {"required": ["total"], "properties": {"total": {"type": "number"}}}}}}]}`, name, version)), nil)
	require.NoError(t, err)
	return p.Judge(&plan.JudgeOptions{Logger: quiet})
}

// noKeys is a cache of keys that has none.
type noKeys struct{}

func (noKeys) Stats() authcache.Stats { return authcache.Stats{} }

// chains returns a chain with each decorator that counts, by the name of that.
func chains(t testing.TB) map[string]inlet.Sink {
	all := map[string]inlet.Sink{}
	add := func(name string) func(s inlet.Sink, err error) {
		return func(s inlet.Sink, err error) {
			require.NoError(t, err)
			all[name] = s
			t.Cleanup(func() { _ = inlet.Close(context.Background(), s) })
		}
	}
	memory := func() inlet.Sink { return new(sinks.Memory) }
	dedupe, err := sinks.NewDedupe(memory(), nil)
	add("dedupe")(dedupe, err)
	filter, err := sinks.NewFilter(memory(), func(*inlet.Event) bool { return true })
	add("filter")(filter, err)
	retry, err := sinks.NewRetry(memory(), nil)
	add("retry")(retry, err)
	timeout, err := sinks.NewTimeout(memory(), time.Second, nil)
	add("timeout")(timeout, err)
	batch, err := sinks.NewBatch(memory(), nil)
	add("batch")(batch, err)
	letters, err := sinks.NewDeadLetter(memory(), memory(), nil)
	add("letters")(letters, err)
	fanout, err := sinks.NewFanout([]sinks.Leg{{Name: "a", Sink: memory()}, {Name: "b", Sink: memory()}}, nil)
	add("fanout")(fanout, err)
	fallback, err := sinks.NewFallback(memory(), memory(), func(context.Context) error { return nil }, nil)
	add("fallback")(fallback, err)
	return all
}
