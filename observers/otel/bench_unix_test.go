//go:build unix

package inletotel_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// turns is how many calls are made of one kind before the other's turn.
const turns = 500

// compare reports the processor time of two functions for each call, in turns, and how many more
// allocations the second makes.
func compare(b *testing.B, bare, with func()) {
	var times [2]time.Duration
	calls := 0
	for b.Loop() {
		for i, f := range [...]func(){bare, with} {
			began := testkit.ProcessorTime()
			for range turns {
				f()
			}
			times[i] += testkit.ProcessorTime() - began
		}
		calls += turns
	}
	perCall := func(d time.Duration) float64 { return float64(d) / float64(calls) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(perCall(times[0]), "bare-ns")
	b.ReportMetric(perCall(times[1]), "with-ns")
	b.ReportMetric(perCall(times[1]-times[0]), "more-ns")
	b.ReportMetric(testing.AllocsPerRun(turns, with)-testing.AllocsPerRun(turns, bare), "more-allocs")
}

// requests returns a function that has a handler answer a request.
func requests(b *testing.B, h http.Handler, path, body string) func() {
	r := httptest.NewRequest(http.MethodPost, path, nil)
	r.SetBasicAuth("server", "")
	text := []byte(body)
	return func() {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		w := &answer{header: http.Header{}}
		h.ServeHTTP(w, r)
		if w.status != 0 && w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// An answer is a response that is dropped.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

// BenchmarkObserver compares a handler with one that has an observer, whose metrics are those of
// the SDK.
func BenchmarkObserver(b *testing.B) {
	batch := `{"batch":[` + strings.Repeat(`{"type":"track","event":"A","userId":"u","properties":{"a":1}},`, 19) + `{"type":"track","event":"A","userId":"u"}]}`
	for _, tt := range []struct{ name, path, body string }{
		{"one event", "/v1/track", `{"userId":"u","event":"E"}`}, {"20 events", "/v1/batch", batch},
	} {
		b.Run(tt.name, func(b *testing.B) {
			s := newSDK(b, nil)
			layers := middleware.Auth(keys, &inlet.AuthOptions{Logger: quiet})
			bare, err := inlet.New(new(sinks.Discard), &inlet.Options{Logger: quiet, Observer: ignore{}})
			require.NoError(b, err)
			with, err := inlet.New(new(sinks.Discard), &inlet.Options{Logger: quiet, Observer: s.Telemetry})
			require.NoError(b, err)
			compare(b, requests(b, layers(bare), tt.path, tt.body), requests(b, layers(with), tt.path, tt.body))
		})
	}
}

// ignore is an observer that does nothing.
type ignore struct{}

func (ignore) ObserveRequest(context.Context, *inlet.Outcome) {}

// BenchmarkSink compares a sink with one that is decorated, by what becomes of its spans.
func BenchmarkSink(b *testing.B) {
	events := sinktest.Events(20)
	for _, tt := range []struct {
		name    string
		sampler sdktrace.Sampler
	}{{"not sampled", sdktrace.NeverSample()}, {"sampled", sdktrace.AlwaysSample()}} {
		b.Run(tt.name, func(b *testing.B) {
			s := newSDK(b, nil)
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(tt.sampler))
			telemetry := newTelemetry(b, s.meters, tracers, nil)
			ctx, span := tracers.Tracer("x").Start(context.Background(), "request")
			defer span.End()
			bare := new(sinks.Discard)
			with, delivery := telemetry.Sink("x", bare), telemetry.Delivery("x", bare)
			write := func(ctx context.Context, sink inlet.Sink) func() {
				return func() { require.NoError(b, sink.Write(ctx, events)) }
			}
			b.Run("sink", func(b *testing.B) { compare(b, write(ctx, bare), write(ctx, with)) })
			b.Run("delivery", func(b *testing.B) {
				compare(b, write(context.Background(), bare), write(context.Background(), delivery))
			})
		})
	}
}

// BenchmarkObserveRequest compares what a handler calls with an observer that does nothing.
func BenchmarkObserveRequest(b *testing.B) {
	s, o := newSDK(b, nil), accepted()
	observe := func(observer inlet.Observer) func() {
		return func() { observer.ObserveRequest(context.Background(), o) }
	}
	compare(b, observe(ignore{}), observe(s.Telemetry))
}
