package inletprom

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/metrics"
)

// Sink returns inner with the duration of its writes counted, and what became of their events. The
// name is the label sink; sinks of one name are counted together. Sink panics if name is empty or
// inner is nil.
//
// It is for the sink of a handler, and for those of deliveries, fanouts and fallbacks. It stores
// nothing and has the abilities of inner, by Unwrap.
func (m *Metrics) Sink(name string, inner inlet.Sink) inlet.Sink {
	if err := metrics.CheckSink("inletprom", "Metrics.Sink", name, inner); err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	label := metrics.Label(name)
	s := m.writes[label]
	if s == nil {
		s = &sinkSeries{label: strings.Clone(label)}
		for i := range s.durations {
			s.durations[i] = newHistogram(m.o.Buckets)
		}
		m.writes[label] = s
	}
	return &measured{inner: inner, metrics: m, series: s}
}

// sinkSeries are the series of the sinks of one name.
type sinkSeries struct {
	label     string
	durations [len(metrics.Results)]*histogram
	events    [len(metrics.Outcomes)]atomic.Uint64
}

// A measured sink counts its writes.
type measured struct {
	inner   inlet.Sink
	metrics *Metrics
	series  *sinkSeries
}

// Unwrap returns the inner sink.
func (s *measured) Unwrap() inlet.Sink { return s.inner }

// Write passes the events on. A panic of the inner sink is a failure, and is passed on.
func (s *measured) Write(ctx context.Context, events []*inlet.Event) (err error) {
	began, returned := time.Now(), false
	defer func() {
		took, w := time.Since(began), metrics.Panicked(len(events))
		if returned {
			w = metrics.Judge(err, len(events))
		}
		for i, n := range w.Events {
			s.series.events[i].Add(uint64(n))
		}
		s.metrics.observe(ctx, s.series.durations[w.Result], took)
	}()
	err = s.inner.Write(ctx, events)
	returned = true
	return err
}

var _ inlet.Unwrapper = (*measured)(nil)
