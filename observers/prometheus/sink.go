package inletprom

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// Sink returns inner with the duration of its writes counted, and what became of their events. The
// name is the label sink; sinks of one name are counted together. Sink returns nil if inner is nil.
//
// It is for the sink of a handler, and for those of deliveries, fanouts and fallbacks. It stores
// nothing and has the abilities of inner, by Unwrap.
func (m *Metrics) Sink(name string, inner inlet.Sink) inlet.Sink {
	if inner == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	label := labelOf(name)
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

// Values of the label result: what a Write returned.
const (
	resultOK = iota
	resultPartial
	resultFailed
	results
)

// resultLabels are the results as labels.
var resultLabels = [results]string{"ok", "partial", "failed"}

// Values of the label outcome: what became of an event in a Write.
const (
	outcomeStored = iota
	outcomeFailed
	outcomeRefused
	outcomes
)

// outcomeLabels are the outcomes as labels.
var outcomeLabels = [outcomes]string{"stored", "failed", "refused"}

// sinkSeries are the series of the sinks of one name.
type sinkSeries struct {
	label     string
	durations [results]*histogram
	events    [outcomes]atomic.Uint64
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
		took := time.Since(began)
		if !returned {
			s.series.events[outcomeFailed].Add(uint64(len(events)))
			s.metrics.observe(ctx, s.series.durations[resultFailed], took)
			return
		}
		s.metrics.observe(ctx, s.series.durations[s.series.count(len(events), err)], took)
	}()
	err = s.inner.Write(ctx, events)
	returned = true
	return err
}

// count counts the events of a Write that returned err, and returns its result.
func (s *sinkSeries) count(n int, err error) (result int) {
	if err == nil {
		s.events[outcomeStored].Add(uint64(n))
		return resultOK
	}
	var counts [outcomes]uint64
	for _, err := range inlet.ItemErrors(err, n) {
		switch {
		case err == nil:
			counts[outcomeStored]++
		case inlet.IsPermanent(err):
			counts[outcomeRefused]++
		default:
			counts[outcomeFailed]++
		}
	}
	for i, n := range counts {
		s.events[i].Add(n)
	}
	if counts[outcomeStored] > 0 {
		return resultPartial
	}
	return resultFailed
}

var _ inlet.Unwrapper = (*measured)(nil)
