package postgressink

import (
	"context"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// A write is one call: its events, and those that have failed.
type write struct {
	server   *server
	events   []*inlet.Event
	maxBytes int
	insert   func(ctx context.Context, events []*inlet.Event) error // of a part
	done     int                                                    // events whose outcome is known
	failed   sinkkit.Failures
}

// run inserts the events part by part, until one fails temporarily.
func (w *write) run(ctx context.Context) error {
	for from := 0; from < len(w.events); from = w.done {
		if err := w.part(ctx, from, partEnd(w.events, from, w.maxBytes)); err != nil {
			if w.done == 0 {
				return err
			}
			w.failed.AddAll(w.done, len(w.events), err)
			return w.failed.Err()
		}
	}
	return w.failed.Err()
}

// partEnd returns the end of the statement that begins with the event at from.
func partEnd(events []*inlet.Event, from, maxBytes int) int {
	bytes := sizeOf(events[from])
	return sinkkit.PartEnd(from, len(events), len(events), func(_, to int) bool {
		bytes += sizeOf(events[to-1])
		return bytes <= maxBytes
	})
}

// part inserts the events from:to, in halves if the data of one of them is at fault. It returns a
// temporary error.
func (w *write) part(ctx context.Context, from, to int) error {
	err := checkSize(w.events[from:to])
	if err == nil {
		err = w.insert(ctx, w.events[from:to])
	}
	switch {
	case err == nil:
		w.done = to
		return nil
	case !inlet.IsPermanent(err):
		return err
	case to-from == 1:
		w.failed.Add(from, err)
		w.server.stat.refused.Add(1)
		w.done = to
		return nil
	}
	middle := from + (to-from)/2
	if err := w.part(ctx, from, middle); err != nil {
		return err
	}
	return w.part(ctx, middle, to)
}
