package inletotel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

// What the journal and its deliveries count is read at each collection.
func TestWatchJournal(t *testing.T) {
	t.Parallel()
	s := newSDK(t, nil)
	j := openJournal(t, t.TempDir())
	dedupe, err := sinks.NewDedupe(j, nil)
	require.NoError(t, err)
	s.Watch("main", dedupe)
	require.Equal(t, map[string]float64{"journal=main": 0}, s.points("inlet.journal.events"))

	events := sinktest.Events(4)
	require.NoError(t, dedupe.Write(t.Context(), events))
	require.NoError(t, dedupe.Write(t.Context(), events[:1]))
	refuse := &testsink.Keeper{Respond: func(context.Context, []*inlet.Event) error {
		return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: inlet.Permanent(errors.New("bad"))}}}
	}}
	d, err := j.Deliver("warehouse", refuse, &journal.DeliverOptions{MinEvents: 4, MaxDelay: time.Hour})
	require.NoError(t, err)
	require.NoError(t, d.Drain(t.Context()))

	for name, want := range map[string]map[string]float64{
		"inlet.journal.events":      {"journal=main": 4},
		"inlet.journal.retained":    {"journal=main": float64(j.Stats().Retained)},
		"inlet.journal.busy":        {"journal=main": 0},
		"inlet.delivery.behind":     {"destination=warehouse,journal=main": 0},
		"inlet.delivery.age":        {"destination=warehouse,journal=main": 0},
		"inlet.delivery.delivered":  {"destination=warehouse,journal=main": 4},
		"inlet.delivery.refused":    {"destination=warehouse,journal=main": 1},
		"inlet.delivery.running":    {"destination=warehouse,journal=main": 1},
		"inlet.dedupe.duplicates":   {"sink=main": 1},
		"inlet.delivery.paused":     {"destination=warehouse,journal=main": 0},
		"inlet.journal.dead_letter": {"journal=main": float64(j.Stats().DeadLetters)},
	} {
		require.Equal(t, want, s.points(name), name)
	}
	require.NoError(t, j.Close(t.Context()))
	require.Equal(t, map[string]float64{"journal=main": 4}, s.points("inlet.journal.events"), "after Close")
	require.Equal(t, map[string]float64{"destination=warehouse,journal=main": 0}, s.points("inlet.delivery.running"))

	s.Watch("main", nil)
	require.Empty(t, s.points("inlet.journal.events"))
}
