package sinks_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestFanoutConformance(t *testing.T) {
	t.Parallel()
	required := wrap{read: inAll, new: func(t testing.TB, legs []inlet.Sink) ables {
		return newFanout(t, nil, sinks.Leg{Name: "a", Sink: legs[0]}, sinks.Leg{Name: "b", Sink: legs[1]})
	}}
	bestEffort := wrap{read: inFirst, new: func(t testing.TB, legs []inlet.Sink) ables {
		return newFanout(t, nil, sinks.Leg{Name: "a", Sink: legs[0]}, sinks.Leg{Name: "b", Sink: legs[1], BestEffort: true})
	}}
	plain := sinktest.Features{Ordered: true}
	fails := sinktest.Features{Ordered: true, Partial: true, Fails: true}
	stalls := sinktest.Features{Ordered: true, Stall: stallLeg}

	t.Run("plain", required.over(plain, perfect, perfect))
	t.Run("over a leg that fails now and then", required.over(fails, perfect, flaky))
	t.Run("over legs that fail now and then", required.over(fails, flaky, flaky))
	t.Run("over a leg that hangs", required.over(stalls, perfect, hangs))
	t.Run("beside a best-effort leg that fails now and then", bestEffort.over(plain, perfect, flaky))
	t.Run("beside a best-effort leg that hangs", bestEffort.over(stalls, perfect, hangs))
}

// inFirst reads what the first leg has stored.
func inFirst(t testing.TB, s inlet.Sink) []*inlet.Event { return readMemory(t, s.(open).legs[0]) }

// inAll reads what every leg has stored, in the order of the first.
func inAll(t testing.TB, s inlet.Sink) (events []*inlet.Event) {
	events = inFirst(t, s)
	for _, leg := range s.(open).legs[1:] {
		there := make(map[string]bool)
		for _, e := range readMemory(t, leg) {
			there[e.MessageID] = true
		}
		var both []*inlet.Event
		for _, e := range events {
			if there[e.MessageID] {
				both = append(both, e)
			}
		}
		events = both
	}
	return events
}
