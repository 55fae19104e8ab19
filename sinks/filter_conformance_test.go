package sinks_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

func TestFilterConformance(t *testing.T) {
	t.Parallel()
	overAll(t, sinktest.Features{}, func(t testing.TB, inner inlet.Sink) inlet.Sink {
		return newFilter(t, inner, func(e *inlet.Event) bool { return e.Dialect != "unwanted" })
	})
}
