package inletotel

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/metrics"
	"github.com/inlet-go/inlet/sinks/journal"
)

// maxErrorText is how many bytes of the text of an error a span has.
const maxErrorText = 256

// A decorator is what those of sinks and of destinations have in common.
type decorator struct {
	t      *Telemetry
	inner  inlet.Sink
	name   string // of the spans
	start  []trace.SpanStartOption
	series *sinkSeries
}

// newDecorator returns a decorator whose spans are named for what they do and for the sink. It
// panics if that cannot be.
func (t *Telemetry) newDecorator(function, verb, name string, inner inlet.Sink, kind trace.SpanKind) decorator {
	if err := metrics.CheckSink("inletotel", function, name, inner); err != nil {
		panic(err)
	}
	name = metrics.Label(name)
	return decorator{t: t, inner: inner, name: verb + " " + name, series: t.writes.get(name), start: []trace.SpanStartOption{
		trace.WithSpanKind(kind),
		trace.WithAttributes(
			attribute.String("inlet.sink.name", name),
			attribute.String("inlet.sink.durability", inlet.DurabilityOf(inner).String()),
		),
	}}
}

// A sinkSeries counts and times the writes to the sinks of one name.
type sinkSeries struct {
	timed  [len(metrics.Results)][]metric.RecordOption
	labels [len(metrics.Outcomes)]metric.ObserveOption
	events [len(metrics.Outcomes)]atomic.Int64
}

func newSinkSeries(name string) *sinkSeries {
	s, sink := new(sinkSeries), attribute.String("sink", name)
	for i, result := range metrics.Results {
		s.timed[i] = []metric.RecordOption{with(sink, attribute.String("result", result))}
	}
	for i, outcome := range metrics.Outcomes {
		s.labels[i] = with(sink, attribute.String("outcome", outcome))
	}
	return s
}

// A sinkTable has the series of sinks by name.
type sinkTable struct {
	mu  sync.Mutex
	all map[string]*sinkSeries
}

func (t *sinkTable) get(name string) *sinkSeries {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.all[name]
	if s == nil {
		if t.all == nil {
			t.all = make(map[string]*sinkSeries)
		}
		s = newSinkSeries(name)
		t.all[name] = s
	}
	return s
}

// copied returns all series.
func (t *sinkTable) copied() []*sinkSeries {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.all))
}

// Unwrap returns the inner sink.
func (d *decorator) Unwrap() inlet.Sink { return d.inner }

// write calls the inner sink, measures that, and ends the span, also if the call panics.
func (d *decorator) write(ctx context.Context, span trace.Span, events []*inlet.Event) (err error) {
	began, returned := time.Now(), false
	defer func() {
		took := time.Since(began)
		var w metrics.Written
		if returned {
			w = metrics.Judge(err, len(events))
			describe(span, w, d.errorText(err))
		} else { // the panic goes on
			w = metrics.Panicked(len(events))
			describe(span, w, "the sink panicked")
			span.SetAttributes(attribute.String("error.type", "panic"))
		}
		d.t.write.Record(ctx, took.Seconds(), d.series.timed[w.Result]...)
		for i, n := range w.Events {
			d.series.events[i].Add(int64(n))
		}
		span.End()
	}()
	err = d.inner.Write(ctx, events)
	returned = true
	return err
}

// errorText returns what of an error is shown.
func (d *decorator) errorText(err error) string {
	if err == nil || d.t.opts.HideErrors {
		return ""
	}
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "")
}

// describe gives a span what became of a Write, and the text of its error.
func describe(span trace.Span, w metrics.Written, text string) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("inlet.sink.result", metrics.Results[w.Result]))
	if w.Result == metrics.OK {
		return
	}
	class := "permanent"
	if w.Events[metrics.EventFailed] > 0 {
		class = "temporary"
	}
	span.SetStatus(codes.Error, text)
	span.SetAttributes(attribute.String("error.type", class),
		attribute.Int("inlet.events.failed", w.Events[metrics.EventFailed]), attribute.Int("inlet.events.refused", w.Events[metrics.EventRefused]))
}

// A Sink is a decorator that times each Write and makes it a span, "write NAME", below the span of
// the request. Make one with [Telemetry.Sink].
//
// Spans: they have the number of events, the sink's durability, the result (ok, partial, failed)
// and, after an error, how many events failed and how many were refused, and whether it is
// temporary or permanent, or a panic.
//
// Abilities: those of the inner sink, by Unwrap. A panic of the inner sink goes on.
type Sink struct{ decorator }

// Sink returns a decorator of inner, the sink of a handler. It remembers for each event of a
// sampled request which span it came from: that of the request, or without one its own. name is
// that of the sink in metrics and traces. Sink panics if name is empty or inner is nil.
func (t *Telemetry) Sink(name string, inner inlet.Sink) *Sink {
	return &Sink{t.newDecorator("Telemetry.Sink", "write", name, inner, trace.SpanKindInternal)}
}

// Write writes to the inner sink.
func (s *Sink) Write(ctx context.Context, events []*inlet.Event) error {
	from := trace.SpanContextFromContext(ctx)
	ctx, span := s.t.tracer.Start(ctx, s.name, s.start...)
	if !from.IsValid() {
		from = span.SpanContext()
	}
	if from.IsSampled() {
		s.t.links.add(events, idOf(from))
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("inlet.events", len(events)))
	}
	return s.write(ctx, span, events)
}

// A Delivery is a decorator for the destination of a delivery: it times each Write and makes it a
// span, "deliver NAME", linked to the spans of the requests that its events came from. Make one
// with [Telemetry.Delivery].
//
// Spans: they have what those of [Sink] have, the sequence numbers of the batch (see
// [journal.BatchSeq]), and how many of its events have no link. A batch that fails has a span for
// each attempt.
//
// Links: one to each span, 128 at most. Events of requests that were not sampled, or of which
// nothing is remembered or stored, have none; see [Options].MaxLinked and StoredLinks.
//
// Abilities: those of the inner sink, by Unwrap. A panic of the inner sink goes on.
type Delivery struct{ decorator }

// Delivery returns a decorator of inner, the destination of a delivery. name is that of the
// destination in metrics and traces. Delivery panics if name is empty or inner is nil.
func (t *Telemetry) Delivery(name string, inner inlet.Sink) *Delivery {
	return &Delivery{t.newDecorator("Telemetry.Delivery", "deliver", name, inner, trace.SpanKindConsumer)}
}

// Write writes to the inner sink.
func (d *Delivery) Write(ctx context.Context, events []*inlet.Event) error {
	links, unlinked := d.t.linksOf(events)
	start := append(d.start[:len(d.start):len(d.start)], trace.WithLinks(links...))
	ctx, span := d.t.tracer.Start(ctx, d.name, start...)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("inlet.events", len(events)), attribute.Int("inlet.events.unlinked", unlinked))
		if first, last, ok := journal.BatchSeq(ctx); ok {
			span.SetAttributes(attribute.Int64("inlet.batch.first_seq", int64(first)), attribute.Int64("inlet.batch.last_seq", int64(last)))
		}
	}
	return d.write(ctx, span, events)
}
