package inletotel_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	inletotel "github.com/inlet-go/inlet/observers/otel"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// Every request is counted once, whatever has answered it.
func TestRequests(t *testing.T) {
	t.Parallel()
	const good = `{"userId":"u","event":"E"}`
	panicking := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })
	}
	foreign := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	}
	for _, tt := range []struct {
		name, path, key, body string
		header                []string
		layer                 func(http.Handler) http.Handler
		respond               error // of the sink
		status                int
		labels                string // without the status
		accepted, rejected    int
	}{
		{"accepted", "/v1/track", "server", good, nil, nil, nil, 200, "code=,dialect=segment,path=/v1/track,source=server", 1, 0},
		{"a batch", "/v1/batch", "server", batch, nil, nil, nil, 200, "code=,dialect=segment,path=/v1/batch,source=server", 2, 0},
		{"a part of a batch", "/v1/batch", "server", `{"batch":[{"type":"track","event":"A","userId":"u"},{"type":"track","userId":"u"},7]}`, nil, nil, nil, 200, "code=,dialect=segment,path=/v1/batch,source=server", 1, 2},
		{"nothing of a batch", "/v1/batch", "server", `{"batch":[{"type":"track","userId":"u"},7]}`, nil, nil, nil, 400, "code=all_refused,dialect=segment,path=/v1/batch,source=server", 0, 2},
		{"refused", "/v1/track", "server", `{"userId":"u"}`, nil, nil, nil, 400, "code=event_not_defined,dialect=segment,path=/v1/track,source=server", 0, 1},
		{"strict mode", "/v1/batch", "server", `{"batch":[{"type":"track","event":"A","userId":"u"},7]}`, []string{"X-Strict-Mode", "1"}, nil, nil, 400, "code=strict_mode,dialect=segment,path=/v1/batch,source=server", 0, 1},
		{"no JSON", "/v1/track", "server", `{`, nil, nil, nil, 400, "code=invalid_json,dialect=segment,path=/v1/track,source=server", 0, 0},
		{"no route", "/nothing", "server", good, nil, nil, nil, 404, "code=not_found,dialect=,path=,source=", 0, 0},
		{"unknown key", "/v1/track", "other", good, nil, nil, nil, 401, "code=unknown_key,dialect=segment,path=/v1/track,source=", 0, 0},
		{"no key", "/v1/track", "", good, nil, nil, nil, 401, "code=missing_key,dialect=segment,path=/v1/track,source=", 0, 0},
		{"disabled", "/v1/track", "off", good, nil, nil, nil, 403, "code=source_disabled,dialect=segment,path=/v1/track,source=off", 0, 0},
		{"another origin", "/v1/track", "web", good, nil, nil, nil, 403, "code=origin_not_allowed,dialect=segment,path=/v1/track,source=web", 0, 0},
		{"encoding", "/v1/track", "server", "\x1f\x8b" + good, []string{"Content-Encoding", "br"}, nil, nil, 415, "code=unsupported_encoding,dialect=segment,path=/v1/track,source=server", 0, 0},
		{"the sink has failed", "/v1/track", "server", good, nil, nil, errors.New("down"), 503, "code=sink_unavailable,dialect=segment,path=/v1/track,source=server", 0, 0},
		{"the sink has refused", "/v1/track", "server", good, nil, nil, inlet.Permanent(errors.New("bad")), 400, "code=refused_by_sink,dialect=segment,path=/v1/track,source=server", 0, 1},
		{"a panic", "/v1/track", "server", good, nil, panicking, nil, 500, "code=internal,dialect=segment,path=/v1/track,source=server", 0, 0},
		{"another layer", "/v1/track", "server", good, nil, foreign, nil, 418, "code=,dialect=,path=,source=", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSDK(t, nil)
			api, err := inlet.New(testsink.Failing(tt.respond), &inlet.Options{Observer: s.Telemetry, Logger: quiet})
			require.NoError(t, err)
			h := middleware.Chain(middleware.Observe(s.Telemetry), middleware.Recover(&middleware.RecoverOptions{Logger: quiet}),
				middleware.Observe(s.Telemetry), middleware.Payload(nil), middleware.Auth(keys, &inlet.AuthOptions{Logger: quiet}), tt.layer)(api)
			require.Equal(t, tt.status, post(h, tt.path, tt.key, tt.body, tt.header...).Code)

			require.Equal(t, map[string]float64{fmt.Sprintf("%s,status=%d", tt.labels, tt.status): 1}, s.points("inlet.requests"))
			source := tt.labels[strings.Index(tt.labels, "source="):]
			events := map[string]float64{}
			if tt.accepted > 0 {
				events["dialect=segment,outcome=accepted,"+source] = float64(tt.accepted)
			}
			if tt.rejected > 0 {
				events["dialect=segment,outcome=rejected,"+source] = float64(tt.rejected)
			}
			require.Equal(t, events, s.counts("inlet.events"))
			for labels, n := range s.points("inlet.request.duration") {
				require.Regexp(t, `^dialect=(segment)?,path=[^,]*,status=\d+$`, labels)
				require.Equal(t, 1.0, n)
			}
			for _, bytes := range []string{"inlet.request.wire", "inlet.request.bytes"} {
				for labels, n := range s.counts(bytes) {
					require.Equal(t, "dialect=segment,"+source, labels)
					require.Equal(t, float64(len(tt.body)), n)
				}
			}
		})
	}
}

// Requests that come during and after Shutdown are counted, and so are events of Ingest.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	api, err := inlet.New(s.Sink("memory", new(sinks.Memory)), &inlet.Options{Observer: s.Telemetry, Logger: quiet})
	require.NoError(t, err)
	source := &inlet.Source{ID: "shop"}
	require.NoError(t, api.Ingest(t.Context(), source, inlet.NewTrack("u", "A", nil)))
	require.NoError(t, api.Shutdown(t.Context()))
	require.Error(t, api.Ingest(t.Context(), source, inlet.NewTrack("u", "B", nil)))
	require.Equal(t, 503, post(middleware.Auth(keys, &inlet.AuthOptions{Logger: quiet})(api), "/v1/track", "server", `{"userId":"u","event":"E"}`).Code)
	require.Equal(t, map[string]float64{
		"code=,dialect=inlet,path=,source=shop,status=200":                     1,
		"code=shutting_down,dialect=inlet,path=,source=shop,status=503":        1,
		"code=shutting_down,dialect=segment,path=/v1/track,source=,status=503": 1,
	}, s.points("inlet.requests"))

	require.NoError(t, s.meters.Shutdown(t.Context()))
	require.NoError(t, s.tracer.Shutdown(t.Context()))
	require.NoError(t, s.Sink("late", new(sinks.Memory)).Write(t.Context(), sinktest.Events(1)))
	s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200})
}

// All requests of the golden files are counted, of every dialect.
func TestDialects(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	memory := new(sinks.Memory)
	api, err := inlet.New(s.Sink("memory", memory), &inlet.Options{Observer: s.Telemetry, Logger: quiet})
	require.NoError(t, err)
	h := middleware.Chain(middleware.Observe(s.Telemetry), middleware.Auth(keys, &inlet.AuthOptions{Logger: quiet}))(api)
	files, err := filepath.Glob("../../testdata/*/*.golden")
	require.NoError(t, err)
	sent := 0
	for _, file := range files {
		if strings.Contains(file, "/migrate/") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		h.ServeHTTP(httptest.NewRecorder(), requestIn(t, string(text)))
		sent++
	}
	requests, dialects := 0, map[string]bool{}
	for labels, n := range s.points("inlet.requests") {
		requests += int(n)
		_, rest, _ := strings.Cut(labels, ",dialect=")
		dialect, _, _ := strings.Cut(rest, ",")
		dialects[dialect] = true
	}
	require.Equal(t, sent, requests)
	for _, d := range inlet.Dialects() {
		require.Contains(t, dialects, d.Name())
	}
	accepted := 0
	for labels, n := range s.counts("inlet.events") {
		if strings.Contains(labels, "outcome=accepted") {
			accepted += int(n)
		}
	}
	require.Len(t, memory.Events(), accepted)
	require.Equal(t, map[string]float64{"outcome=stored,sink=memory": float64(accepted)}, s.counts("inlet.sink.events"))
}

// requestIn reads the request of a golden file, whose lines end as in a text file.
func requestIn(t *testing.T, text string) *http.Request {
	t.Helper()
	request, _, _ := strings.Cut(text, "\n--- answer\n")
	head, body, _ := strings.Cut(request, "\n\n")
	line, header, _ := strings.Cut(head, "\n")
	if header != "" {
		header += "\n"
	}
	head = fmt.Sprintf("%s HTTP/1.1\nHost: in.example\n%sContent-Length: %d\n\n", line, header, len(body))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + body)))
	require.NoError(t, err)
	return r
}

// Sources beyond the limit are counted together.
func TestMaxSources(t *testing.T) {
	t.Parallel()
	s := newSDK(t, &inletotel.Options{MaxSources: 2})
	for range 3 {
		for _, id := range []string{"a", "b", "c", "d"} {
			s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200, Source: &inlet.Source{ID: id}})
		}
		s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 401})
	}
	require.Equal(t, map[string]float64{
		"code=,dialect=,path=,source=a,status=200": 3, "code=,dialect=,path=,source=b,status=200": 3,
		"code=,dialect=,path=,source=other,status=200": 6, "code=,dialect=,path=,source=,status=401": 3,
	}, s.points("inlet.requests"))
}

// Combinations beyond the limit are counted together, and none is lost.
func TestMaxSeries(t *testing.T) {
	t.Parallel()
	s := newSDK(t, &inletotel.Options{MaxSeries: 50})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 400 {
				s.ObserveRequest(context.Background(), &inlet.Outcome{Status: 200 + i%2, Path: fmt.Sprint(i % 200)})
			}
		})
	}
	wg.Wait()
	points, sum := s.points("inlet.requests"), 0.0
	for _, n := range points {
		sum += n
	}
	require.Equal(t, 1600.0, sum)
	require.Len(t, points, 52)
	require.Contains(t, points, "code=other,dialect=other,path=other,source=other,status=201")
}

// One source cannot use up the combinations of all, nor can requests without one.
func TestSourceSeries(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]*inlet.Source{"a": {ID: "a"}, "empty": {}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSDK(t, nil)
			for i := range 300 {
				s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200, Path: fmt.Sprint(i), Source: source})
			}
			of := map[string]int{}
			for labels, n := range s.points("inlet.requests") {
				_, rest, _ := strings.Cut(labels, "source=")
				source, _, _ := strings.Cut(rest, ",")
				of[source] += int(n)
			}
			own := ""
			if source != nil {
				own = source.ID
			}
			require.Equal(t, map[string]int{own: 256, "other": 44}, of)
		})
	}
}

// Texts that become one attribute are one series.
func TestOneAttribute(t *testing.T) {
	t.Parallel()
	s := newSDK(t, &inletotel.Options{MaxSeries: 2})
	long := strings.Repeat("a", 300)
	for _, id := range []string{"a\xff", "a\xfe", "a\uFFFD", long, long + "b"} {
		s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200, Source: &inlet.Source{ID: id}})
	}
	require.Equal(t, map[string]float64{
		"code=,dialect=,path=,source=a\uFFFD,status=200": 3, "code=,dialect=,path=,source=" + long[:256] + ",status=200": 2,
	}, s.points("inlet.requests"))
}

// Text that is not UTF-8 would make an exporter fail for everything.
func TestInvalidText(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200, Accepted: 1, Source: &inlet.Source{ID: "a\xff"}})
	require.Contains(t, s.points("inlet.requests"), "code=,dialect=,path=,source=a\uFFFD,status=200")
	require.NoError(t, s.Sink("b\xff", new(sinks.Memory)).Write(t.Context(), sinktest.Events(1)))
	require.Equal(t, "b\uFFFD", attributesOf(s.only("write b\uFFFD"))["inlet.sink.name"])

	s.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200, Accepted: 1, Source: &inlet.Source{ID: "c" + strings.Repeat("é", 200)}})
	require.Contains(t, s.points("inlet.requests"), "code=,dialect=,path=,source=c"+strings.Repeat("é", 127)+",status=200",
		"it is cut as package inletprom does")
}

// A sampled request is the exemplar of its measurements.
func TestExemplars(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	h := handler(t, s, s.Sink("memory", new(sinks.Memory)), nil)
	require.Equal(t, 200, post(h, "/v1/batch", "server", batch).Code)
	trace := s.only("ingest").SpanContext().TraceID()
	var all metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &all))
	found := map[string]bool{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && len(h.DataPoints[0].Exemplars) == 1 {
				found[m.Name] = trace.String() == fmt.Sprintf("%x", h.DataPoints[0].Exemplars[0].TraceID)
			}
		}
	}
	require.True(t, found["inlet.request.duration"])
	require.True(t, found["inlet.sink.write.duration"])
}

func TestNew(t *testing.T) {
	t.Parallel()
	meters := sdkmetric.NewMeterProvider()
	for want, o := range map[string]*inletotel.Options{
		"MaxSources is -1": {MaxSources: -1}, "MaxSeries is -2": {MaxSeries: -2},
		"MaxSources is 1000001": {MaxSources: 1_000_001}, "MaxSeries is 1000001": {MaxSeries: 1_000_001}, "MaxLinked is 1099511627776": {MaxLinked: 1 << 40},
	} {
		_, err := inletotel.New(meters, nil, o)
		require.ErrorContains(t, err, "inletotel: Options: "+want)
	}
	_, err := inletotel.New(nil, nil, nil)
	require.ErrorContains(t, err, "inletotel: New: both meters and tracers is nil")

	s := newSDK(t, nil)
	for _, tt := range []struct {
		providers string
		telemetry func() (*inletotel.Telemetry, error)
	}{
		{"metrics alone", func() (*inletotel.Telemetry, error) { return inletotel.New(s.meters, nil, nil) }},
		{"spans alone", func() (*inletotel.Telemetry, error) { return inletotel.New(nil, s.tracer, nil) }},
	} {
		telemetry, err := tt.telemetry()
		require.NoError(t, err, tt.providers)
		require.NoError(t, telemetry.Sink("x", new(sinks.Memory)).Write(t.Context(), sinktest.Events(1)))
		require.NoError(t, telemetry.Delivery("x", new(sinks.Memory)).Write(t.Context(), sinktest.Events(1)))
		telemetry.ObserveRequest(t.Context(), &inlet.Outcome{Status: 200})
		telemetry.Watch("x", new(sinks.Memory))
	}
	require.PanicsWithError(t, "inletotel: Telemetry.Sink: inner is nil\nname is empty", func() { s.Sink("", nil) })
	require.PanicsWithError(t, "inletotel: Telemetry.Delivery: inner is nil", func() { s.Delivery("x", nil) })
}

// A request that was seen before is counted without an allocation, also if it is traced.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := newSDK(t, nil)
	o := accepted()
	for range 10 {
		s.ObserveRequest(t.Context(), o)
	}
	require.Zero(t, testing.AllocsPerRun(200, func() { s.ObserveRequest(context.Background(), o) }))
}

// accepted is the outcome of a request of 20 events.
func accepted() *inlet.Outcome {
	return &inlet.Outcome{
		Dialect: "segment", Path: "/v1/batch", Source: &inlet.Source{ID: "shop"}, Status: 200, Accepted: 20,
		WireBytes: 4000, Bytes: 20_000, Duration: 300_000, Write: 200_000,
	}
}

// Requests are in flight until they are answered, whatever answers them.
func TestLayer(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	require.Empty(t, s.points("inlet.requests_in_flight"), "without the layer")
	h := s.Layer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		require.Equal(t, map[string]float64{"": 1}, s.points("inlet.requests_in_flight"))
		w.WriteHeader(http.StatusNoContent)
	}))
	require.Equal(t, 204, post(h, "/", "", "").Code)
	require.Panics(t, func() {
		post(s.Layer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })), "/", "", "")
	})
	require.Equal(t, map[string]float64{"": 0}, s.points("inlet.requests_in_flight"))
	require.Equal(t, map[string]float64{
		"code=,dialect=,path=,source=,status=204": 1, "code=internal,dialect=,path=,source=,status=500": 1,
	}, s.points("inlet.requests"))
}

// Nothing is lost or counted twice if everything happens at once.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const clients, each = 6, 25
	s := newSDK(t, &inletotel.Options{MaxSources: 3, MaxLinked: 64})
	j := openJournal(t, t.TempDir())
	s.Watch("main", j)
	h := s.Layer(handler(t, s, s.Sink("journal", j), &inlet.Options{Enrichers: []inlet.Enricher{s.Enrich}}))
	delivered := new(testsink.Keeper)
	d, err := j.Deliver("warehouse", s.Delivery("warehouse", delivered), nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range each {
				post(h, "/v1/batch", []string{"server", "abc123", "ILoveData123", "id:secret"}[i%4], batch)
				_ = s.reader.Collect(context.Background(), new(metricdata.ResourceMetrics))
			}
		})
	}
	wg.Wait()
	require.NoError(t, d.Drain(t.Context()))
	sum := func(name string) (n float64) {
		for _, value := range s.points(name) {
			n += value
		}
		return n
	}
	require.Equal(t, float64(clients*each), sum("inlet.requests"))
	require.Equal(t, float64(2*clients*each), sum("inlet.events"))
	require.Equal(t, float64(2*clients*each), sum("inlet.journal.events"))
	require.Equal(t, float64(2*clients*each), sum("inlet.delivery.delivered"))
	require.Len(t, s.ended("write journal"), clients*each)
	require.Len(t, s.ended("deliver warehouse"), delivered.Calls())
	events := 0
	for _, span := range s.ended("deliver warehouse") {
		n, err := strconv.Atoi(attributesOf(span)["inlet.events"])
		require.NoError(t, err)
		events += n
	}
	require.Equal(t, 2*clients*each, events)
}
