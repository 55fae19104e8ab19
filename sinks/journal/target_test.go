package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

var errDown = errors.New("the destination is down")

// A target is a destination that remembers what it took, and answers as it is told.
type target struct {
	mu     sync.Mutex
	answer func(ids []string) error // of a Write; nil takes everything
	taken  []string
	calls  []call
}

type call struct {
	ids []string
	at  time.Time
}

func (d *target) Write(_ context.Context, events []*inlet.Event) error {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.MessageID
	}
	d.mu.Lock()
	d.calls = append(d.calls, call{ids, time.Now()})
	answer := d.answer
	d.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ids)
	}
	errs := inlet.ItemErrors(err, len(ids))
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, id := range ids {
		if errs == nil || errs[i] == nil {
			d.taken = append(d.taken, id)
		}
	}
	return err
}

// ids returns what the target took.
func (d *target) ids() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.taken)
}

// writes returns what was written to it, and when.
func (d *target) writes() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// answers changes the answer.
func (d *target) answers(answer func(ids []string) error) {
	d.mu.Lock()
	d.answer = answer
	d.mu.Unlock()
}

// refuses makes an answer that refuses some events, with the given error.
func refuses(err error, refused ...string) func([]string) error {
	return func(ids []string) error {
		var items []inlet.ItemError
		for i, id := range ids {
			if slices.Contains(refused, id) {
				items = append(items, inlet.ItemError{Index: i, Err: err})
			}
		}
		if items == nil {
			return nil
		}
		return &inlet.BatchError{Items: items}
	}
}

func down([]string) error { return errDown }

// deliver begins to deliver to sink under the name "d".
func deliver(t testing.TB, j *Journal, sink inlet.Sink, o *DeliverOptions) *Delivery {
	t.Helper()
	d, err := j.Deliver("d", sink, o)
	require.NoError(t, err)
	return d
}

// drain waits until d has delivered everything.
func drain(t testing.TB, d *Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	require.NoError(t, d.Drain(ctx))
}

// closeNow closes a journal that the test will open again.
func closeNow(t testing.TB, j *Journal) {
	t.Helper()
	require.NoError(t, j.Close(context.Background()))
}

// writeAt writes an event that was received at that time.
func writeAt(t testing.TB, j *Journal, id string, at time.Time) {
	t.Helper()
	e := event(id)
	e.ReceivedAt = at
	require.NoError(t, j.Write(t.Context(), []*inlet.Event{e}))
}
