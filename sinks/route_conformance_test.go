package sinks_test

import (
	"slices"
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestRouteConformance(t *testing.T) {
	t.Parallel()
	byType := wrap{read: inAny, new: func(t testing.TB, legs []inlet.Sink) ables {
		return newRoute(t, legs[2],
			sinks.Rule{Name: "views", Sink: legs[0], Match: isOf(inlet.TypePage, inlet.TypeScreen)},
			sinks.Rule{Name: "people", Sink: legs[1], Match: isOf(inlet.TypeIdentify, inlet.TypeAlias)},
			sinks.Rule{Name: "acts", Sink: legs[0], Match: isOf(inlet.TypeTrack)},
		)
	}}
	toOne := wrap{read: inAny, new: func(t testing.TB, legs []inlet.Sink) ables {
		return newRoute(t, legs[0], sinks.Rule{Name: "all", Sink: legs[1], Match: func(*inlet.Event) bool { return true }})
	}}
	fails := sinktest.Features{Partial: true, Fails: true}
	stalls := sinktest.Features{Partial: true, Stall: stallLeg}

	t.Run("plain", byType.over(sinktest.Features{}, perfect, perfect, perfect))
	t.Run("with all events for one sink", toOne.over(sinktest.Features{Ordered: true}, perfect, perfect))
	t.Run("over sinks that fail now and then", byType.over(fails, flaky, perfect, flaky))
	t.Run("over a sink that hangs", byType.over(stalls, perfect, hangs, perfect))
}

// isOf matches the events of the types.
func isOf(types ...inlet.Type) func(*inlet.Event) bool {
	return func(e *inlet.Event) bool { return slices.Contains(types, e.Type) }
}

// inAny reads what any leg has stored.
func inAny(t testing.TB, s inlet.Sink) (events []*inlet.Event) {
	for _, leg := range s.(open).legs {
		events = append(events, readMemory(t, leg)...)
	}
	return events
}
