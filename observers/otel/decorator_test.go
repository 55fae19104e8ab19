package inletotel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	inletotel "github.com/inlet-go/inlet/observers/otel"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*sdk, inlet.Sink) inlet.Sink{
		"sink":     func(s *sdk, inner inlet.Sink) inlet.Sink { return s.Sink("x", inner) },
		"delivery": func(s *sdk, inner inlet.Sink) inlet.Sink { return s.Delivery("x", inner) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinktest.RunDecorator(t, sinktest.DecoratorHarness{New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				return wrap(newSDK(t, nil), inner)
			}})
		})
	}
}

// What a Write returned is in its span, and in the metrics.
func TestSinkResults(t *testing.T) {
	t.Parallel()
	temporary, permanent := errors.New("the store is gone"), inlet.Permanent(errors.New("no such column"))
	item := func(i int, err error) error { return &inlet.BatchError{Items: []inlet.ItemError{{Index: i, Err: err}}} }
	for _, tt := range []struct {
		name                    string
		err                     error
		result, class           string
		stored, failed, refused int
	}{
		{"ok", nil, "ok", "", 3, 0, 0},
		{"failed", temporary, "failed", "temporary", 0, 3, 0},
		{"refused", permanent, "failed", "permanent", 0, 0, 3},
		{"one failed", item(1, temporary), "partial", "temporary", 2, 1, 0},
		{"one refused", item(1, permanent), "partial", "permanent", 2, 0, 1},
		{"a malformed error", item(7, permanent), "failed", "temporary", 0, 3, 0},
		{"both", &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: permanent}, {Index: 1, Err: permanent}, {Index: 2, Err: temporary}}}, "failed", "temporary", 0, 1, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSDK(t, nil)
			err := s.Sink("db", testsink.Failing(tt.err)).Write(t.Context(), sinktest.Events(3))
			require.Equal(t, tt.err, err)

			span := s.only("write db")
			want := map[string]string{
				"inlet.sink.name": "db", "inlet.sink.durability": "unknown", "inlet.events": "3", "inlet.sink.result": tt.result,
			}
			if tt.err != nil {
				want["error.type"] = tt.class
				want["inlet.events.failed"], want["inlet.events.refused"] = fmt.Sprint(tt.failed), fmt.Sprint(tt.refused)
				require.Equal(t, sdktrace.Status{Code: codes.Error, Description: tt.err.Error()}, span.Status())
			}
			require.Equal(t, want, attributesOf(span))

			require.Equal(t, map[string]float64{"result=" + tt.result + ",sink=db": 1}, s.points("inlet.sink.write.duration"))
			events := map[string]float64{}
			for outcome, n := range map[string]int{"stored": tt.stored, "failed": tt.failed, "refused": tt.refused} {
				if n > 0 {
					events["outcome="+outcome+",sink=db"] = float64(n)
				}
			}
			require.Equal(t, events, s.counts("inlet.sink.events"))
		})
	}
}

// A sink that panics, or ends its goroutine, leaves no span open.
func TestSinkPanics(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("broken") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSDK(t, nil)
			sink := s.Sink("db", inlet.SinkFunc(func(context.Context, []*inlet.Event) error { end(); return nil }))
			done := make(chan any, 1)
			go func() {
				defer func() { done <- recover() }()
				_ = sink.Write(context.Background(), sinktest.Events(2))
			}()
			if cause := <-done; name == "panic" {
				require.Equal(t, "broken", cause)
			}
			span := s.only("write db")
			require.Equal(t, codes.Error, span.Status().Code)
			require.Equal(t, "panic", attributesOf(span)["error.type"])
			require.Equal(t, map[string]float64{"outcome=failed,sink=db": 2}, s.counts("inlet.sink.events"))
		})
	}
}

// The text of an error is cut, and may be left out.
func TestErrorText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 255) + "é" + strings.Repeat("y", 1<<16)
	for _, tt := range []struct {
		hide bool
		want string
	}{{false, strings.Repeat("x", 255)}, {true, ""}} {
		s := newSDK(t, &inletotel.Options{HideErrors: tt.hide})
		require.Error(t, s.Sink("db", testsink.Failing(errors.New(long))).Write(t.Context(), sinktest.Events(1)))
		span := s.only("write db")
		require.Equal(t, tt.want, span.Status().Description)
		require.Equal(t, "temporary", attributesOf(span)["error.type"])
	}
}

// handler returns a handler with layers and the spans of otelhttp, whose endpoint is public.
func handler(t testing.TB, s *sdk, sink inlet.Sink, o *inlet.Options) http.Handler {
	t.Helper()
	if o == nil {
		o = new(inlet.Options)
	}
	o.Observer, o.Logger = s.Telemetry, quiet
	api, err := inlet.New(sink, o)
	require.NoError(t, err)
	return otelhttp.NewHandler(middleware.Auth(keys, &inlet.AuthOptions{Logger: quiet})(api), "ingest",
		otelhttp.WithTracerProvider(s.tracer), otelhttp.WithMeterProvider(s.meters),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(operation string, _ *http.Request) string { return operation }),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }))
}

const batch = `{"batch":[{"type":"track","event":"A","userId":"u","messageId":"a"},{"type":"track","event":"B","userId":"u","messageId":"b"}]}`

// The span of a Write is below that of its request.
func TestSinkSpan(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	h := handler(t, s, s.Sink("memory", new(sinks.Memory)), nil)
	require.Equal(t, 200, post(h, "/v1/batch", "server", batch).Code)

	request, write := s.only("ingest"), s.only("write memory")
	require.Equal(t, request.SpanContext().SpanID(), write.Parent().SpanID())
	require.Equal(t, request.SpanContext().TraceID(), write.SpanContext().TraceID())
	require.Equal(t, trace.SpanKindInternal, write.SpanKind())
	require.Equal(t, "2", attributesOf(write)["inlet.events"])
	require.Equal(t, "memory", attributesOf(write)["inlet.sink.durability"])
}

// Whatever a client sends as traceparent, its request is served, and its trace is its own.
func TestHostileTraceparent(t *testing.T) {
	t.Parallel()
	const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for i, sent := range []string{
		valid, "", "00", strings.Repeat("0", 55), strings.ToUpper(valid), valid + "-extra", "ff" + valid[2:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-\x00\xff7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", strings.Repeat("00-0af7", 1<<12),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := newSDK(t, nil)
			h := handler(t, s, s.Sink("memory", new(sinks.Memory)), nil)
			require.Equal(t, 200, post(h, "/v1/batch", "server", batch, "Traceparent", sent, "Tracestate", sent).Code)
			require.NotContains(t, valid, s.only("write memory").SpanContext().TraceID().String())
		})
	}
}

// openJournal opens a journal in dir, which is closed with the test.
func openJournal(t testing.TB, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, &journal.Options{Logger: quiet, Sync: journal.SyncNever})
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	return j
}

// deliver delivers everything of a journal to a destination, and returns the spans of that.
func deliver(t testing.TB, s *sdk, j *journal.Journal, destination inlet.Sink) []sdktrace.ReadOnlySpan {
	t.Helper()
	d, err := j.Deliver("warehouse", s.Delivery("warehouse", destination), &journal.DeliverOptions{
		MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, MinEvents: 500, MaxDelay: time.Hour, // Drain ends that
	})
	require.NoError(t, err)
	require.NoError(t, d.Drain(t.Context()))
	require.NoError(t, d.Stop(t.Context()))
	return s.ended("deliver warehouse")
}

// requestSpans returns the ids of the spans of requests.
func requestSpans(s *sdk) (ids []trace.SpanID) {
	for _, span := range s.ended("ingest") {
		ids = append(ids, span.SpanContext().SpanID())
	}
	return ids
}

// A batch is linked once to each request that its events came from.
func TestDeliveryLinks(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	j := openJournal(t, t.TempDir())
	h := handler(t, s, s.Sink("journal", j), nil)
	require.Equal(t, 200, post(h, "/v1/batch", "server", batch).Code)
	require.Equal(t, 200, post(h, "/v1/track", "server", `{"userId":"u","event":"C","messageId":"c"}`).Code)
	require.NoError(t, j.Write(t.Context(), sinktest.Events(1))) // of no request

	spans := deliver(t, s, j, new(sinks.Memory))
	require.Len(t, spans, 1)
	require.Equal(t, requestSpans(s), linkedTo(spans[0]))
	require.False(t, spans[0].Parent().IsValid())
	require.Equal(t, trace.SpanKindConsumer, spans[0].SpanKind())
	require.Equal(t, map[string]string{
		"inlet.sink.name": "warehouse", "inlet.sink.durability": "memory", "inlet.sink.result": "ok",
		"inlet.events": "4", "inlet.events.unlinked": "1", "inlet.batch.first_seq": "1", "inlet.batch.last_seq": "4",
	}, attributesOf(spans[0]))
}

// Each attempt has a span, with the links of the events that it is made with.
func TestDeliveryAgain(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	j := openJournal(t, t.TempDir())
	h := handler(t, s, s.Sink("journal", j), nil)
	require.Equal(t, 200, post(h, "/v1/track", "server", `{"userId":"u","event":"A","messageId":"a"}`).Code)
	require.Equal(t, 200, post(h, "/v1/track", "server", `{"userId":"u","event":"B","messageId":"b"}`).Code)

	calls := 0
	spans := deliver(t, s, j, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		switch calls++; calls {
		case 1:
			return errors.New("down")
		case 2:
			return &inlet.BatchError{Items: []inlet.ItemError{{Index: 1, Err: errors.New("busy")}}}
		}
		return nil
	}))
	requests := requestSpans(s)
	require.Len(t, spans, 3)
	var results []string
	for i, span := range spans {
		results = append(results, attributesOf(span)["inlet.sink.result"])
		require.Equal(t, requests[i/2:], linkedTo(span), "attempt %d", i)
	}
	require.Equal(t, []string{"failed", "partial", "ok"}, results)
}

// After a restart nothing is remembered: the links are those that the events have.
func TestStoredLinks(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint(stored), func(t *testing.T) {
			t.Parallel()
			before, dir := newSDK(t, nil), filepath.Join(t.TempDir(), "journal")
			j := openJournal(t, dir)
			h := handler(t, before, before.Sink("journal", j), &inlet.Options{Enrichers: []inlet.Enricher{before.Enrich}})
			require.Equal(t, 200, post(h, "/v1/batch", "server", batch).Code)
			require.NoError(t, j.Close(t.Context()))

			s := newSDK(t, &inletotel.Options{StoredLinks: stored})
			spans := deliver(t, s, openJournal(t, dir), new(sinks.Memory))
			require.Len(t, spans, 1)
			if !stored {
				require.Empty(t, spans[0].Links())
				return
			}
			require.Equal(t, requestSpans(before), linkedTo(spans[0]))
			require.Equal(t, before.only("ingest").SpanContext().TraceID(), spans[0].Links()[0].SpanContext.TraceID())
		})
	}
}

// Enrich stores the span of a sampled request, and nothing that a client has sent.
func TestEnrich(t *testing.T) {
	t.Parallel()
	const forged = `{"userId":"u","event":"A","context":{"page":{"path":"/"},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}`
	for _, tt := range []struct {
		name    string
		sampler sdktrace.Sampler
		body    string
		context string
	}{
		{"sampled", sdktrace.AlwaysSample(), `{"userId":"u","event":"A"}`, `{"traceparent":"00-%s-%s-01"}`},
		{"sampled and forged", sdktrace.AlwaysSample(), forged, `{"page":{"path":"/"},"traceparent":"00-%s-%s-01"}`},
		{"not sampled", sdktrace.NeverSample(), `{"userId":"u","event":"A"}`, ``},
		{"not sampled and forged", sdktrace.NeverSample(), forged, `{"page":{"path":"/"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, memory := newSDK(t, &inletotel.Options{StoredLinks: true}, sdktrace.WithSampler(tt.sampler)), new(sinks.Memory)
			h := handler(t, s, s.Sink("memory", memory), &inlet.Options{Enrichers: []inlet.Enricher{s.Enrich}})
			require.Equal(t, 200, post(h, "/v1/track", "server", tt.body).Code)
			want := tt.context
			if strings.Contains(want, "%s") {
				c := s.only("ingest").SpanContext()
				want = fmt.Sprintf(want, c.TraceID(), c.SpanID())
			}
			require.Equal(t, want, string(memory.Events()[0].Context))
		})
	}
}

// Text that is no traceparent is no link.
func TestStoredNonsense(t *testing.T) {
	t.Parallel()
	const id = `0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331`
	events := sinktest.Events(12)
	for i, text := range []string{
		`"00-` + id + `-01"`, `"00-` + id + `-00"`, `"01-` + id + `-01"`, `"00-` + id + `-01`, `7`, `null`, `{}`, `""`, `"00"`,
		`"00-00000000000000000000000000000000-b7ad6b7169203331-01"`, `"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"`,
		`"00-xyz7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`,
	} {
		events[i] = events[i].Clone()
		events[i].Context = []byte(`{"traceparent":` + text + `}`)
	}
	s := newSDK(t, &inletotel.Options{StoredLinks: true})
	require.NoError(t, s.Delivery("x", new(sinks.Memory)).Write(t.Context(), events))
	require.Len(t, s.only("deliver x").Links(), 1)
	require.Equal(t, "11", attributesOf(s.only("deliver x"))["inlet.events.unlinked"])
}

// What is remembered, and the links of a span, have a limit.
func TestLinkLimits(t *testing.T) {
	t.Parallel()
	write := func(sink inlet.Sink, events []*inlet.Event) {
		for _, e := range events { // of a request each
			require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		}
	}
	events := sinktest.Events(300)
	for i, e := range events {
		events[i] = e.Clone()
		events[i].MessageID = fmt.Sprint(i)
	}
	t.Run("links", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, nil)
		write(s.Sink("x", new(sinks.Discard)), events)
		require.NoError(t, s.Delivery("x", new(sinks.Discard)).Write(t.Context(), events))
		require.Len(t, s.only("deliver x").Links(), 128)
		require.Equal(t, "172", attributesOf(s.only("deliver x"))["inlet.events.unlinked"])
	})
	t.Run("remembered", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, &inletotel.Options{MaxLinked: 10})
		write(s.Sink("x", new(sinks.Discard)), events)
		write(s.Sink("x", new(sinks.Discard)), events[295:])
		require.NoError(t, s.Delivery("old", new(sinks.Discard)).Write(t.Context(), events[:290]))
		require.NoError(t, s.Delivery("new", new(sinks.Discard)).Write(t.Context(), events[290:]))
		require.Empty(t, s.only("deliver old").Links())
		require.Len(t, s.only("deliver new").Links(), 10)
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, &inletotel.Options{MaxLinked: -1})
		write(s.Sink("x", new(sinks.Discard)), events)
		require.NoError(t, s.Delivery("x", new(sinks.Discard)).Write(t.Context(), events))
		require.Empty(t, s.only("deliver x").Links())
	})
	t.Run("not sampled", func(t *testing.T) {
		t.Parallel()
		s := newSDK(t, nil)
		unsampled := newSDK(t, nil, sdktrace.WithSampler(sdktrace.NeverSample()))
		ctx, span := unsampled.tracer.Tracer("x").Start(t.Context(), "request")
		defer span.End()
		require.NoError(t, s.Sink("x", new(sinks.Discard)).Write(ctx, events))
		require.NoError(t, s.Delivery("x", new(sinks.Discard)).Write(t.Context(), events))
		require.Empty(t, s.only("deliver x").Links())
	})
}
