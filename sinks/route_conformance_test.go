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
	byType := wrap{read: inAny, new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
		return newRoute(t, others[1],
			sinks.Rule{Name: "views", Sink: inner, Match: isOf(inlet.TypePage, inlet.TypeScreen)},
			sinks.Rule{Name: "people", Sink: others[0], Match: isOf(inlet.TypeIdentify, inlet.TypeAlias)},
			sinks.Rule{Name: "acts", Sink: inner, Match: isOf(inlet.TypeTrack)},
		)
	}}
	toOne := wrap{read: inAny, new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
		return newRoute(t, others[0], sinks.Rule{Name: "all", Sink: inner, Match: func(*inlet.Event) bool { return true }})
	}}

	t.Run("plain", byType.beside(sinktest.Features{Partial: true}, perfect, perfect))
	t.Run("with all events for one sink", toOne.beside(sinktest.Features{Ordered: true}, perfect))
	t.Run("beside a sink that fails now and then", byType.beside(sinktest.Features{Partial: true, Fails: true}, perfect, flaky))
	t.Run("beside a sink that hangs", byType.beside(sinktest.Features{Partial: true, Stall: stallOther}, hangs, perfect))
}

// isOf matches the events of the types.
func isOf(types ...inlet.Type) func(*inlet.Event) bool {
	return func(e *inlet.Event) bool { return slices.Contains(types, e.Type) }
}

// inAny reads what any of the sinks has stored.
func inAny(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event {
	for _, other := range s.(open).others {
		stored = append(stored, readMemory(t, other)...)
	}
	return stored
}
