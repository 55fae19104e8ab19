package inletotel_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	inletotel "github.com/inlet-go/inlet/observers/otel"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

// keys are the write keys of the tests, and of the golden files.
var keys = inlet.MustKeys(map[string]inlet.Source{
	"server": {ID: "server"}, "off": {ID: "off", Disabled: true},
	"web": {ID: "web", Origins: []string{"https://shop.example"}}, "limited": {ID: "limited", Rate: 0.001, Burst: 1},

	"abc123": {ID: "shop"}, "7a1f9c3e-52d4-4f0b-9a58-0b6d2f1c8e47": {ID: "site"}, "NJtcKa+Yu/mGZDxRgMBMUw==": {ID: "odd"},
	"ILoveData123": {ID: "app"}, "id:secret": {ID: "jitsu"},
})

// An sdk is Telemetry, and what it has measured and traced.
type sdk struct {
	*inletotel.Telemetry
	t      testing.TB
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
}

// newSDK returns Telemetry whose spans are sampled, unless a sampler says otherwise.
func newSDK(t testing.TB, o *inletotel.Options, more ...sdktrace.TracerProviderOption) *sdk {
	t.Helper()
	s := &sdk{t: t, reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	s.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader), sdkmetric.WithCardinalityLimit(0))
	s.tracer = sdktrace.NewTracerProvider(append(more, sdktrace.WithSpanProcessor(s.spans))...)
	s.Telemetry = newTelemetry(t, s.meters, s.tracer, o)
	return s
}

func newTelemetry(t testing.TB, meters metric.MeterProvider, tracers trace.TracerProvider, o *inletotel.Options) *inletotel.Telemetry {
	t.Helper()
	telemetry, err := inletotel.New(meters, tracers, o)
	require.NoError(t, err)
	return telemetry
}

// points returns the numbers of an instrument, by their attributes as "name=value,…". A histogram
// has its counts.
func (s *sdk) points(instrument string) map[string]float64 {
	s.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(s.t, s.reader.Collect(context.Background(), &all))
	points := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == instrument {
				addPoints(s.t, points, m.Data)
			}
		}
	}
	return points
}

// counts returns the points of an instrument that are not 0.
func (s *sdk) counts(instrument string) map[string]float64 {
	s.t.Helper()
	points := s.points(instrument)
	maps.DeleteFunc(points, func(_ string, n float64) bool { return n == 0 })
	return points
}

func addPoints(t testing.TB, to map[string]float64, data metricdata.Aggregation) {
	t.Helper()
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		addNumbers(to, data.DataPoints)
	case metricdata.Gauge[int64]:
		addNumbers(to, data.DataPoints)
	case metricdata.Gauge[float64]:
		addNumbers(to, data.DataPoints)
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			to[textOf(p.Attributes)] = float64(p.Count)
		}
	default:
		require.Failf(t, "unknown kind of data", "%T", data)
	}
}

func addNumbers[N int64 | float64](to map[string]float64, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		to[textOf(p.Attributes)] = float64(p.Value)
	}
}

func textOf(set attribute.Set) string { return set.Encoded(attribute.DefaultEncoder()) }

// ended returns the spans of a name that have ended.
func (s *sdk) ended(name string) (spans []sdktrace.ReadOnlySpan) {
	for _, span := range s.spans.Ended() {
		if span.Name() == name {
			spans = append(spans, span)
		}
	}
	return spans
}

// only returns the single span of a name.
func (s *sdk) only(name string) sdktrace.ReadOnlySpan {
	s.t.Helper()
	spans := s.ended(name)
	require.Len(s.t, spans, 1)
	return spans[0]
}

// attributesOf returns the attributes of a span as text.
func attributesOf(span sdktrace.ReadOnlySpan) map[string]string {
	texts := map[string]string{}
	for _, a := range span.Attributes() {
		texts[string(a.Key)] = a.Value.String()
	}
	return texts
}

// linkedTo returns the ids of the spans that a span is linked to.
func linkedTo(span sdktrace.ReadOnlySpan) []trace.SpanID {
	ids := []trace.SpanID{}
	for _, l := range span.Links() {
		ids = append(ids, l.SpanContext.SpanID())
	}
	return ids
}

// post has a handler answer a body.
func post(h http.Handler, path, key, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if key != "" {
		r.SetBasicAuth(key, "")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
