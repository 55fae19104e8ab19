package inletprom

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/metrics"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

// values returns the values of a family by its labels, those of a histogram as the count.
func values(t testing.TB, reg prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for _, m := range gather(t, reg)[name].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		all[strings.Join(labels, " ")] = value
	}
	return all
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    *Options
		err  string
	}{
		{"numbers out of range", &Options{MaxSources: -1, MaxSeries: -1},
			"inletprom: Options: MaxSources is -1, must be at least 1\nMaxSeries is -1, must be at least 1"},
		{"too much", &Options{MaxSources: 1_000_001, MaxSeries: 1_000_001},
			"inletprom: Options: MaxSources is 1000001, must be at most 1000000\nMaxSeries is 1000001, must be at most 1000000"},
		{"no bounds", &Options{Buckets: []float64{}}, "inletprom: Options: len(Buckets) is 0, must be at least 1"},
		{"a bound that does not ascend", &Options{Buckets: []float64{1, 1}},
			"inletprom: Options: Buckets has 1 at index 1: must ascend, from above 0 to at most a day"},
		{"a bound that is not a number", &Options{Buckets: []float64{math.NaN()}},
			"inletprom: Options: Buckets has NaN at index 0: must ascend, from above 0 to at most a day"},
		{"a bound that is infinite", &Options{Buckets: []float64{1, math.Inf(1)}},
			"inletprom: Options: Buckets has +Inf at index 1: must ascend, from above 0 to at most a day"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(prometheus.NewRegistry(), tt.o)
			require.EqualError(t, err, tt.err)
		})
	}
	t.Run("no registry", func(t *testing.T) {
		t.Parallel()
		_, err := New(nil, nil)
		require.EqualError(t, err, "inletprom: New: reg is nil")
	})
	t.Run("a second time", func(t *testing.T) {
		t.Parallel()
		reg := prometheus.NewRegistry()
		first := must[*Metrics](t)(New(reg, nil))
		require.Same(t, first, must[*Metrics](t)(New(reg, &Options{MaxSources: 1})))
	})
	t.Run("two servers", func(t *testing.T) {
		t.Parallel()
		reg := prometheus.NewRegistry()
		server := func(name string) *Metrics {
			return must[*Metrics](t)(New(prometheus.WrapRegistererWith(prometheus.Labels{"server": name}, reg), nil))
		}
		a, b := server("a"), server("b")
		require.NotSame(t, a, b)
		require.Same(t, b, server("b"))
		a.ObserveRequest(t.Context(), outcome("shop"))
		b.ObserveRequest(t.Context(), outcome("shop"))
		require.Equal(t, map[string]float64{
			"code= dialect=segment path=/v1/batch server=a source=shop status=200": 1,
			"code= dialect=segment path=/v1/batch server=b source=shop status=200": 1,
		}, values(t, reg, "inlet_requests_total"))
	})
	t.Run("a registry that has one of the names", func(t *testing.T) {
		t.Parallel()
		reg := prometheus.NewRegistry()
		reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "inlet_requests_total", Help: "Another."}))
		_, err := New(reg, nil)
		require.ErrorContains(t, err, "inlet_requests_total")
	})
}

func TestObserveRequest(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t, nil)
	for range 3 {
		m.ObserveRequest(t.Context(), outcome("shop"))
	}
	m.ObserveRequest(t.Context(), &inlet.Outcome{
		Dialect: "segment", Path: "/v1/batch", Source: &inlet.Source{ID: "shop"}, Status: 400, Code: inlet.CodeAllRefused,
		Rejected: 7, Unrecorded: 2, WireBytes: 10, Bytes: 20, Duration: 3 * time.Millisecond,
	})
	m.ObserveRequest(t.Context(), &inlet.Outcome{Status: 404, Code: inlet.CodeNotFound})
	for name, want := range map[string]map[string]float64{
		"inlet_requests_total": {
			"code= dialect=segment path=/v1/batch source=shop status=200":            3,
			"code=all_refused dialect=segment path=/v1/batch source=shop status=400": 1,
			"code=not_found dialect= path= source= status=404":                       1,
		},
		"inlet_events_total": {
			"dialect=segment outcome=accepted source=shop": 60, "dialect=segment outcome=rejected source=shop": 7,
			"dialect= outcome=accepted source=": 0, "dialect= outcome=rejected source=": 0,
		},
		"inlet_unrecorded_events_total":  {"": 2},
		"inlet_request_wire_bytes_total": {"dialect=segment source=shop": 12_010, "dialect= source=": 0},
		"inlet_request_bytes_total":      {"dialect=segment source=shop": 60_020, "dialect= source=": 0},
		"inlet_request_duration_seconds": {
			"dialect=segment path=/v1/batch status=200": 3, "dialect=segment path=/v1/batch status=400": 1,
			"dialect= path= status=404": 1,
		},
		"inlet_requests_in_flight": {},
	} {
		require.Equal(t, want, values(t, reg, name), name)
	}
}

// Whatever comes, there are not more series than the options say, and every request is counted.
func TestBounds(t *testing.T) {
	t.Parallel()
	total := func(t *testing.T, reg prometheus.Gatherer) (sum float64) {
		t.Helper()
		for _, v := range values(t, reg, "inlet_requests_total") {
			sum += v
		}
		return sum
	}
	t.Run("50,000 sources", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		for i := range 50_000 {
			m.ObserveRequest(t.Context(), outcome(strconv.Itoa(i)))
			m.ObserveRequest(t.Context(), outcome(strconv.Itoa(i/2)))
		}
		all := values(t, reg, "inlet_requests_total")
		require.Len(t, all, 1001)
		require.EqualValues(t, 3, all["code= dialect=segment path=/v1/batch source=999 status=200"])
		require.EqualValues(t, 100_000, total(t, reg))
	})
	many := func(t *testing.T, source string) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		for i := range 2000 {
			o := outcome(source)
			o.Code, o.Path = inlet.Code("code"+strconv.Itoa(i%47)), "/p"+strconv.Itoa(i%40)
			m.ObserveRequest(t.Context(), o)
		}
		m.ObserveRequest(t.Context(), outcome("quiet"))
		own := 0
		all := values(t, reg, "inlet_requests_total")
		for labels := range all {
			if strings.Contains(labels, "source="+source+" ") {
				own++
			}
		}
		require.Equal(t, metrics.SourceSeries, own)
		require.EqualValues(t, 1, all["code= dialect=segment path=/v1/batch source=quiet status=200"])
		require.EqualValues(t, 2001, total(t, reg))
	}
	t.Run("a source with many codes and paths", func(t *testing.T) { many(t, "shop") })
	t.Run("many codes and paths without a source", func(t *testing.T) { many(t, "") })
	t.Run("codes, paths, dialects and statuses without end", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, &Options{MaxSeries: 100})
		for i := range 20_000 {
			o := outcome("s" + strconv.Itoa(i%30))
			o.Code, o.Path, o.Dialect, o.Status = inlet.Code(strconv.Itoa(i)), strconv.Itoa(i), strconv.Itoa(i), i-1000
			m.ObserveRequest(t.Context(), o)
		}
		require.LessOrEqual(t, len(values(t, reg, "inlet_requests_total")), 100+500+1)
		require.EqualValues(t, 20_000, total(t, reg))
	})
	t.Run("texts that are no labels", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		long := strings.Repeat("é", 1000)
		for _, text := range []string{"a\xff", "a\xfe", "a\uFFFD", long, long + "2", "\x00", "\n\"\\", metrics.Other} {
			o := outcome(text)
			o.Dialect, o.Path, o.Code = text, text, inlet.Code(text)
			m.ObserveRequest(t.Context(), o)
			m.Sink(text, new(sinks.Memory))
			m.Watch(text, must[*sinks.Filter](t)(sinks.NewFilter(new(sinks.Memory), func(*inlet.Event) bool { return true })))
		}
		require.EqualValues(t, 8, total(t, reg))
		require.Len(t, values(t, reg, "inlet_requests_total"), 5)
		require.Len(t, values(t, reg, "inlet_filter_dropped_events_total"), 5)
		require.Len(t, values(t, reg, "inlet_sink_events_total"), 5*len(metrics.Outcomes))
	})
}

// What a request costs.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	m, _ := newMetrics(t, &Options{MaxSources: 2, TraceID: func(context.Context) string { return "0af7651916cd43dd8448eb211c80319c" }})
	_ = m.Layer(http.NotFoundHandler())
	known, beyond := outcome("a"), outcome("c")
	refused := &inlet.Outcome{Status: 401, Code: inlet.CodeMissingKey}
	m.ObserveRequest(t.Context(), outcome("b"))
	sink := m.Sink("sink", inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }))
	ctx, events := t.Context(), []*inlet.Event{{}}
	for name, call := range map[string]func(){
		"a source":                 func() { m.ObserveRequest(ctx, known) },
		"a source beyond the most": func() { m.ObserveRequest(ctx, beyond) },
		"no source":                func() { m.ObserveRequest(ctx, refused) },
		"a write":                  func() { require.NoError(t, sink.Write(ctx, events)) },
	} {
		call()
		// An exemplar is allocated at most once a second, so that most of many calls have none.
		require.Less(t, testing.AllocsPerRun(1000, call), 1.0, name)
	}
}

// A histogram is that of the client library.
func TestHistogram(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "a", Help: "b", Buckets: metrics.Buckets(), NativeHistogramBucketFactor: 1.1,
		NativeHistogramZeroThreshold: math.Ldexp(1, lowestPower),
	})
	ours := newHistogram(metrics.Buckets())
	observe := func(d time.Duration) {
		ours.observe(d)
		theirs.Observe(d.Seconds())
	}
	for _, bound := range metrics.Buckets() {
		for _, off := range []time.Duration{-1, 0, 1} {
			observe(time.Duration(math.Round(bound*1e9)) + off)
		}
	}
	for power := lowestPower + 1; power < highestPower; power++ {
		observe(time.Duration(math.Round(math.Ldexp(1e9, power))))
	}
	for range 20_000 {
		observe(time.Duration(math.Exp(random.Float64() * 29))) // to an hour
	}
	observe(0)
	var want, got dto.Metric
	require.NoError(t, theirs.Write(&want))
	require.NoError(t, (&collected{histogram: ours}).Write(&got))
	require.Equal(t, want.Histogram.GetSchema(), got.Histogram.GetSchema())
	require.Equal(t, want.Histogram.GetSampleCount(), got.Histogram.GetSampleCount())
	require.InEpsilon(t, want.Histogram.GetSampleSum(), got.Histogram.GetSampleSum(), 1e-9)
	require.Equal(t, want.Histogram.GetZeroCount(), got.Histogram.GetZeroCount())
	require.Equal(t, fmt.Sprint(want.Histogram.GetBucket()), fmt.Sprint(got.Histogram.GetBucket()))
	require.Equal(t, nativeBuckets(want.Histogram), nativeBuckets(got.Histogram))

	t.Run("longer than all buckets, or before it began", func(t *testing.T) {
		h := newHistogram(metrics.Buckets())
		h.observe(math.MaxInt64)
		h.observe(math.MinInt64)
		var m dto.Metric
		require.NoError(t, (&collected{histogram: h}).Write(&m))
		require.EqualValues(t, 2, m.Histogram.GetSampleCount())
		require.EqualValues(t, 1, m.Histogram.GetZeroCount())
	})
}

// nativeBuckets returns the counts of the native buckets by number.
func nativeBuckets(h *dto.Histogram) map[int32]int64 {
	all := make(map[int32]int64)
	var key int32
	var count int64
	deltas := h.GetPositiveDelta()
	for _, span := range h.GetPositiveSpan() {
		key += span.GetOffset()
		for range span.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count != 0 { // they fill small gaps
				all[key] = count
			}
			key++
		}
	}
	return all
}

func TestExemplars(t *testing.T) {
	t.Parallel()
	t.Run("one a second for each bucket", func(t *testing.T) {
		t.Parallel()
		h := newHistogram([]float64{1})
		at := func(bucket int) string {
			if e := h.exemplars[bucket].Load(); e != nil {
				return e.trace
			}
			return ""
		}
		h.keepExemplar(0, time.Millisecond, "a", 0)
		h.keepExemplar(0, time.Millisecond, "b", exemplarEvery-1)
		require.Equal(t, "a", at(0))
		h.keepExemplar(0, time.Millisecond, "c", exemplarEvery)
		h.keepExemplar(1, time.Minute, "d", exemplarEvery)
		h.keepExemplar(0, time.Millisecond, "no\xff", 5*exemplarEvery)
		h.keepExemplar(0, time.Millisecond, strings.Repeat("1", maxTrace+1), 5*exemplarEvery)
		require.Equal(t, "c", at(0))
		require.Equal(t, "d", at(1))
	})
	const header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct {
		name, header string
		own          func(context.Context) string
		want         string
	}{
		{"of the header", header, nil, "0af7651916cd43dd8448eb211c80319c"},
		{"of the context and not of the header", header, func(context.Context) string { return "0123" }, "0123"},
		{"not recorded, whatever the client sends", header, func(context.Context) string { return "" }, ""},
		{"of none", "", nil, ""},
		{"not recorded", header[:len(header)-1] + "0", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, reg := newMetrics(t, &Options{TraceID: tt.own})
			api := must[*inlet.Handler](t)(inlet.New(m.Sink("sink", new(sinks.Memory)), &inlet.Options{AllowAnonymous: true}))
			r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"userId":"u","event":"E"}`))
			if tt.header != "" {
				r.Header.Set("Traceparent", tt.header)
			}
			m.Layer(api).ServeHTTP(httptest.NewRecorder(), r)
			server := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
			defer server.Close()
			page := scraped(t, server.URL, "application/openmetrics-text; version=1.0.0")
			require.Equal(t, tt.want != "", strings.Contains(page, "trace_id"), page)
			if tt.want != "" { // of the request and of its write
				require.Equal(t, 2, strings.Count(page, `# {trace_id="`+tt.want+`"}`), page)
			}
		})
	}
}

func TestTraceparent(t *testing.T) {
	t.Parallel()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for header, want := range map[string]string{
		"00-" + trace + "-b7ad6b7169203331-01":                        trace,
		"00-" + trace + "-b7ad6b7169203331-ff":                        trace,
		"01-" + trace + "-b7ad6b7169203331-01":                        trace,
		"01-" + trace + "-b7ad6b7169203331-01-more":                   trace,
		"00-" + trace + "-b7ad6b7169203331-01-more":                   "",
		"01-" + trace + "-b7ad6b7169203331-01more":                    "",
		"00-" + trace + "-b7ad6b7169203331-00":                        "",
		"00-" + trace + "-0000000000000000-01":                        "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":     "",
		"ff-" + trace + "-b7ad6b7169203331-01":                        "",
		"00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-01":       "",
		"00_" + trace + "_b7ad6b7169203331_01":                        "",
		"00-\"af7651916cd43dd8448eb211c80319\xff-b7ad6b7169203331-01": "",
		"00-": "", "": "",
	} {
		require.Equal(t, want, traceIn(http.Header{"Traceparent": {header}}), header)
	}
	require.Empty(t, traceIn(http.Header{"Traceparent": {"00-" + trace + "-b7ad6b7169203331-01", "x"}}), "two")
}

func TestLayer(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t, nil)
	api := must[*inlet.Handler](t)(inlet.New(new(sinks.Memory), &inlet.Options{Observer: m, AllowAnonymous: true}))
	var during map[string]float64
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		during = values(t, reg, "inlet_requests_in_flight")
		if r.URL.Path == "/panic" {
			panic("broken")
		}
		api.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.Handle("/a/", http.StripPrefix("/a", m.Layer(inside)))
	mux.Handle("/b/", http.StripPrefix("/b", m.Layer(m.Layer(middleware.Observe(m)(inside)))))
	send := func(path string) {
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", path, strings.NewReader(`{"userId":"u","event":"E"}`)))
	}
	send("/a/v1/track")
	require.Equal(t, map[string]float64{"": 1}, during)
	send("/b/v1/track")
	require.Panics(t, func() { send("/a/panic") })
	require.Equal(t, map[string]float64{
		"code= dialect=segment path=/v1/track source=anonymous status=200": 2,
		"code=internal dialect= path= source= status=500":                  1,
	}, values(t, reg, "inlet_requests_total"))
	require.Equal(t, map[string]float64{"": 0}, values(t, reg, "inlet_requests_in_flight"))
	require.NoError(t, api.Ingest(t.Context(), &inlet.Source{ID: "own"}, &inlet.Event{Type: inlet.TypeTrack, Name: "E", UserID: "u"}))
	require.EqualValues(t, 1, values(t, reg, "inlet_requests_total")["code= dialect=inlet path= source=own status=200"])
}

func TestSink(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t, nil)
	var result error
	sink := m.Sink("warehouse", inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		if result == nil {
			return nil
		}
		if result.Error() == "panic" {
			panic("broken")
		}
		return result
	}))
	broken := errors.New("broken")
	events := []*inlet.Event{{}, {}, {}}
	for _, err := range []error{nil, broken, inlet.Permanent(broken), &inlet.BatchError{Items: []inlet.ItemError{
		{Index: 0, Err: broken}, {Index: 2, Err: inlet.Permanent(broken)},
	}}} {
		result = err
		require.Equal(t, err, sink.Write(t.Context(), events))
	}
	result = errors.New("panic")
	require.Panics(t, func() { _ = sink.Write(t.Context(), events) })
	require.Equal(t, map[string]float64{
		"outcome=stored sink=warehouse": 4, "outcome=failed sink=warehouse": 7, "outcome=refused sink=warehouse": 4,
	}, values(t, reg, "inlet_sink_events_total"))
	require.Equal(t, map[string]float64{
		"result=ok sink=warehouse": 1, "result=partial sink=warehouse": 1, "result=failed sink=warehouse": 3,
	}, values(t, reg, "inlet_sink_write_duration_seconds"))
	require.PanicsWithError(t, "inletprom: Metrics.Sink: inner is nil", func() { m.Sink("none", nil) })
	require.PanicsWithError(t, "inletprom: Metrics.Sink: name is empty", func() { m.Sink("", new(sinks.Memory)) })
}

// A decorator has the abilities of its sink.
func TestConformance(t *testing.T) {
	t.Parallel()
	m, _ := newMetrics(t, nil)
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{New: func(_ testing.TB, inner inlet.Sink) inlet.Sink {
		return m.Sink("sink", inner)
	}})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t, nil)
	open := func() *journal.Journal {
		return must[*journal.Journal](t)(journal.Open(t.TempDir(), &journal.Options{Logger: new(testkit.Log).Logger()}))
	}
	first, second := open(), open()
	defer second.Close(t.Context())
	m.Watch("main", first)
	event := &inlet.Event{Type: inlet.TypeTrack, Name: "E", UserID: "u", MessageID: "m", Source: &inlet.Source{ID: "s"}, ReceivedAt: time.Now()}
	require.NoError(t, first.Write(t.Context(), []*inlet.Event{event}))
	require.NoError(t, first.Close(t.Context()))
	require.Equal(t, map[string]float64{"journal=main": 1}, values(t, reg, "inlet_journal_events_total"), "what is closed stays")
	m.Watch("main", m.Sink("main", second))
	require.Equal(t, map[string]float64{"journal=main": 0}, values(t, reg, "inlet_journal_events_total"), "another of the name")
	m.Watch("main", nil)
	require.Empty(t, values(t, reg, "inlet_journal_events_total"))
	require.Equal(t, map[string]float64{"": 0}, values(t, reg, "inlet_watch_panics_total"))
	m.WatchSharedLimiter("broken", func() SharedLimiterStats { panic("broken") })
	require.Equal(t, map[string]float64{"": 1}, values(t, reg, "inlet_watch_panics_total"))
	m.WatchSharedLimiter("broken", nil)
	var noLimiter *middleware.MemoryLimiter
	var noJournal *journal.Journal
	m.WatchLimiter("none", noLimiter)
	m.Watch("none", noJournal)
	m.WatchHandler("none", nil)
	m.WatchSharedLimiter("none", nil)
	m.WatchKeys("none", nil)
	m.WatchPlan("none", nil)
	gather(t, reg)
}

// A plan is watched with its name, its version, and what violates it by kind and mode: nothing that
// a client has sent is in a label.
func TestWatchPlan(t *testing.T) {
	t.Parallel()
	const events, violating, start = "inlet_plan_events_total", "inlet_plan_violating_events_total", "inlet_plan_start_time_seconds"
	some := func(reg *prometheus.Registry, name string) map[string]float64 {
		all := values(t, reg, name)
		maps.DeleteFunc(all, func(_ string, n float64) bool { return n == 0 })
		return all
	}
	t.Run("counts", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		judge := judgeOf(t, "orders", "1")
		m.WatchPlan("shop", judge.Stats)
		require.Len(t, values(t, reg, events), 4, "before the first event")
		require.Len(t, values(t, reg, violating), 15, "before the first event")
		send := judge.Validator()
		for range 3 {
			require.Nil(t, send(order("Order", `{"total":1}`)))
		}
		require.Nil(t, send(order("Order", `{}`)))
		require.NotNil(t, send(order("Order", `{"total":"1"}`)))
		require.Nil(t, send(order("Ordre", `{}`)))
		const of = "name=orders outcome="
		require.Equal(t, map[string]float64{
			of + "clean plan=shop version=1": 3, of + "observed plan=shop version=1": 1,
			of + "quarantined plan=shop version=1": 1, of + "rejected plan=shop version=1": 1,
		}, values(t, reg, events))
		require.Equal(t, map[string]float64{
			"kind=required mode=quarantine name=orders plan=shop version=1":     1,
			"kind=type mode=reject name=orders plan=shop version=1":             1,
			"kind=unplanned_event mode=observe name=orders plan=shop version=1": 1,
		}, some(reg, violating))
		require.InDelta(t, float64(judge.Stats().Since.UnixNano())/1e9, values(t, reg, start)["name=orders plan=shop version=1"], 1e-3)
	})
	t.Run("a flood of names", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		judge := judgeOf(t, "orders", "1")
		m.WatchPlan("shop", judge.Stats)
		send := judge.Validator()
		const flood = 2 * plan.MaxCounts
		for i := range flood {
			require.Nil(t, send(order("made up "+strconv.Itoa(i), `{"secret":1}`)))
		}
		require.Nil(t, send(order("Order", `{}`)))
		require.Len(t, values(t, reg, violating), 15)
		require.Equal(t, map[string]float64{
			"kind=required mode=quarantine name=orders plan=shop version=1":     1,
			"kind=unplanned_event mode=observe name=orders plan=shop version=1": flood,
		}, some(reg, violating), "also what is beyond the most frequent violations")
	})
	t.Run("another plan", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		judge := judgeOf(t, "orders", "1")
		m.WatchPlan("shop", judge.Stats)
		require.Nil(t, judge.Validator()(order("Order", `{}`)))
		require.NoError(t, judge.Swap(judgeOf(t, "orders", "2").Plan()))
		require.Nil(t, judge.Validator()(order("Order", `{"total":1}`)))
		require.Equal(t, map[string]float64{"name=orders outcome=clean plan=shop version=2": 1}, some(reg, events))
		require.Empty(t, some(reg, violating))
		require.Len(t, values(t, reg, start), 1, "one version, however many there were")
	})
	t.Run("texts that are no labels", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		long := strings.Repeat("é", 1000)
		for _, text := range []string{"a\xff", "a\uFFFD", long, long + "2", "\x00", "\n\"\\"} {
			m.WatchPlan(text, func() plan.Stats { return plan.Stats{Name: text, Version: text} })
		}
		all := slices.Collect(maps.Keys(values(t, reg, start)))
		require.Len(t, all, 4)
		for _, labels := range all {
			require.Less(t, len(labels), 3*metrics.MaxLabel+len("name= plan= version=")+1)
		}
	})
	t.Run("a panic", func(t *testing.T) {
		t.Parallel()
		m, reg := newMetrics(t, nil)
		m.WatchPlan("shop", judgeOf(t, "orders", "1").Stats)
		m.WatchPlan("broken", func() plan.Stats { panic("broken") })
		require.Len(t, values(t, reg, start), 1, "the others are collected")
		require.Equal(t, map[string]float64{"": 2}, values(t, reg, "inlet_watch_panics_total"), "the second time")
		m.WatchPlan("broken", nil)
		m.WatchPlan("shop", nil)
		require.Empty(t, values(t, reg, start))
		require.Equal(t, map[string]float64{"": 2}, values(t, reg, "inlet_watch_panics_total"))
	})
}

// order returns a track event.
func order(name, properties string) *inlet.Event {
	return &inlet.Event{Type: inlet.TypeTrack, Name: name, Properties: []byte(properties)}
}

// Requests, writes, scrapes, what is watched and the end of a journal do not disturb each other.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t, &Options{MaxSources: 10, MaxSeries: 60, TraceID: func(context.Context) string { return "1" }})
	store := must[*journal.Journal](t)(journal.Open(t.TempDir(), &journal.Options{Logger: new(testkit.Log).Logger()}))
	memory := new(sinks.Memory)
	_ = must[*journal.Delivery](t)(store.Deliver("memory", m.Sink("memory", memory), nil))
	m.Watch("journal", store)
	const callers, calls = 4, 500
	var working sync.WaitGroup
	for caller := range callers {
		working.Go(func() {
			sink := m.Sink("journal", store)
			for i := range calls {
				o := outcome(strconv.Itoa((i + caller) % 20))
				o.Status = 200 + i%7
				m.ObserveRequest(t.Context(), o)
				e := &inlet.Event{
					Type: inlet.TypeTrack, Name: "E", UserID: "u", MessageID: fmt.Sprint(caller, "-", i),
					Source: &inlet.Source{ID: "s"}, ReceivedAt: time.Now(),
				}
				_ = sink.Write(t.Context(), []*inlet.Event{e}) // fails after the end
				m.Watch("journal-"+strconv.Itoa(caller), store)
				if i == calls/2 && caller == 0 {
					_ = store.Close(t.Context())
				}
			}
		})
	}
	done := make(chan struct{})
	scraping := make(chan error, 1)
	go func() {
		for {
			if err := consistent(reg); err != nil {
				scraping <- err
				return
			}
			select {
			case <-done:
				scraping <- nil
				return
			default:
			}
		}
	}()
	working.Wait()
	close(done)
	require.NoError(t, <-scraping)
	require.NoError(t, store.Close(t.Context()))
	sum := 0.0
	for _, v := range values(t, reg, "inlet_request_duration_seconds") {
		sum += v
	}
	require.EqualValues(t, callers*calls, sum)
	require.NoError(t, consistent(reg))
}

// consistent scrapes, and returns an error if a histogram is not one.
func consistent(reg prometheus.Gatherer) error {
	families, err := reg.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			h := m.GetHistogram()
			if h == nil {
				continue
			}
			sum := h.GetZeroCount()
			for _, n := range nativeBuckets(h) {
				sum += uint64(n)
			}
			if sum != h.GetSampleCount() {
				return fmt.Errorf("%s has %d in native buckets, and counts %d", f.GetName(), sum, h.GetSampleCount())
			}
			last := uint64(0)
			for _, b := range h.GetBucket() {
				if b.GetCumulativeCount() < last || b.GetCumulativeCount() > h.GetSampleCount() {
					return fmt.Errorf("%s has %d up to %v", f.GetName(), b.GetCumulativeCount(), b.GetUpperBound())
				}
				last = b.GetCumulativeCount()
			}
		}
	}
	return nil
}

// The dashboard is JSON, and its queries are ones of Prometheus.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	count := 0
	for _, expr := range dashboardQueries(t) {
		count++
		expr = strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*").Replace(expr)
		fmt.Fprintf(&rules, "      - record: dashboard:query:%d\n        expr: %q\n", count, expr)
	}
	require.Greater(t, count, 30)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	require.Contains(t, promtool(t, "", "check", "rules", file), "SUCCESS")
}
