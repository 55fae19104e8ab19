package sinks_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// refusable is what the suite calls the events that are to be refused.
const refusable = "to be refused"

func TestTransformConformance(t *testing.T) {
	t.Parallel()
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{
		New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
			return newTransform(t, inner, func(_ context.Context, e *inlet.Event) error {
				if e.UserID == refusable {
					return inlet.Permanent(errInner)
				}
				return nil
			})
		},
		Features: sinktest.Features{
			Durability: inlet.DurabilityMemory, Ordered: true, Partial: true,
			Refuse: func(e *inlet.Event) { e.UserID = refusable },
		},
	})
}

// TestTransformConformanceOfAChange runs the clauses that do not look at what is
// stored: among them, that what was lent is not modified.
func TestTransformConformanceOfAChange(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{New: func(t testing.TB) inlet.Sink {
		return newTransform(t, new(sinks.Memory), func(_ context.Context, e *inlet.Event) error {
			for i := range e.Properties {
				e.Properties[i] = ' '
			}
			e.Properties = append(e.Properties[:0], "{}"...)
			e.UserID, e.Source = "", &inlet.Source{ID: "another"}
			require.NotEmpty(t, e.MessageID)
			return nil
		})
	}})
}
