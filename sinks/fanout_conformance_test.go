package sinks_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestFanoutConformance(t *testing.T) {
	t.Parallel()
	required := wrap{read: inBoth, new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
		return newFanout(t, nil, sinks.Leg{Name: "a", Sink: others[0]}, sinks.Leg{Name: "b", Sink: inner})
	}}
	bestEffort := wrap{new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
		return newFanout(t, nil, sinks.Leg{Name: "a", Sink: inner}, sinks.Leg{Name: "b", Sink: others[0], BestEffort: true})
	}}
	plain := sinktest.Features{Ordered: true}
	fails := sinktest.Features{Ordered: true, Partial: true, Fails: true}
	stalls := sinktest.Features{Ordered: true, Stall: stallOther}

	t.Run("plain", required.beside(plain, perfect))
	t.Run("beside a leg that fails now and then", required.beside(fails, flaky))
	t.Run("beside a leg that hangs", required.beside(stalls, hangs))
	t.Run("beside a best-effort leg that fails now and then", bestEffort.beside(plain, flaky))
	t.Run("beside a best-effort leg that hangs", bestEffort.beside(stalls, hangs))
}

// inBoth reads what both legs have stored, in the order of the suite's.
func inBoth(t testing.TB, s inlet.Sink, stored []*inlet.Event) (events []*inlet.Event) {
	there := make(map[string]bool)
	for _, e := range readMemory(t, s.(open).others[0]) {
		there[e.MessageID] = true
	}
	for _, e := range stored {
		if there[e.MessageID] {
			events = append(events, e)
		}
	}
	return events
}
