package inletprom

import (
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/inlet-go/inlet"
)

// outcome returns an ordinary one.
func outcome(source string) *inlet.Outcome {
	return &inlet.Outcome{
		Dialect: "segment", Path: "/v1/batch", Source: &inlet.Source{ID: source}, Status: 200,
		Accepted: 20, WireBytes: 4000, Bytes: 20_000, Duration: 1700 * time.Microsecond,
	}
}

func BenchmarkObserveRequest(b *testing.B) {
	m, err := New(prometheus.NewRegistry(), nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	outcomes := make([]*inlet.Outcome, 64)
	for i := range outcomes {
		outcomes[i] = outcome("source-" + strconv.Itoa(i))
	}
	b.Run("a counter of the client library, to compare", func(b *testing.B) {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "bare"})
		b.ReportAllocs()
		for b.Loop() {
			c.Inc()
		}
	})
	b.Run("one source", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.ObserveRequest(ctx, outcomes[0])
		}
	})
	b.Run("64 sources", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			m.ObserveRequest(ctx, outcomes[i&63])
			i++
		}
	})
	b.Run("a source beyond the most", func(b *testing.B) {
		few, err := New(prometheus.NewRegistry(), &Options{MaxSources: 1})
		if err != nil {
			b.Fatal(err)
		}
		few.ObserveRequest(ctx, outcomes[0])
		b.ReportAllocs()
		for b.Loop() {
			few.ObserveRequest(ctx, outcomes[1])
		}
	})
}

// A scrape with as many sources as there may be, of ten series each.
func BenchmarkScrape(b *testing.B) {
	reg := prometheus.NewRegistry()
	m, err := New(reg, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		for status := range 10 {
			o := outcome("source-" + strconv.Itoa(i))
			o.Status = 200 + status
			m.ObserveRequest(b.Context(), o)
		}
	}
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true})
	size := 0
	for b.Loop() {
		page := httptest.NewRecorder()
		handler.ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
		size = page.Body.Len()
	}
	b.ReportMetric(float64(size)/(1<<20), "MiB")
}
