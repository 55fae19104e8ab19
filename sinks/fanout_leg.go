package sinks

import (
	"fmt"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// A fanoutLeg is a leg at work.
type fanoutLeg struct {
	Leg
	stored, failed atomic.Uint64 // events
}

// title is what errors call the leg.
func (l *fanoutLeg) title() string { return fmt.Sprintf("Fanout: leg %q", l.Name) }

// count counts what a Write of n events to the leg has come to, and returns how
// many of them failed.
func (l *fanoutLeg) count(n int, err error) (failed int) {
	for _, err := range inlet.ItemErrors(err, n) {
		if err != nil {
			failed++
		}
	}
	l.failed.Add(uint64(failed))
	l.stored.Add(uint64(n - failed))
	return failed
}

// LegStats counts what has become of the events that a leg of a [Fanout] was
// given, each as often as it came.
type LegStats struct {
	Name   string // of the leg
	Stored uint64 // events that it has stored
	Failed uint64 // events that it has not
}

// Stats returns the counts of all legs, in their order. They are not all of the
// same instant.
func (f *Fanout) Stats() []LegStats {
	stats := make([]LegStats, len(f.legs))
	for i := range f.legs {
		l := &f.legs[i]
		stats[i] = LegStats{Name: l.Name, Stored: l.stored.Load(), Failed: l.failed.Load()}
	}
	return stats
}
