package sinks

import (
	"errors"
	"time"

	"github.com/inlet-go/inlet"
)

// A retryCall is the state of one [Retry.Write] that has failed.
type retryCall struct {
	events []*inlet.Event
	open   []int         // the places of the events to write again, in order
	asked  time.Duration // how long their errors ask to wait
	errs   []error       // of events
	last   error         // of the last write, if none was of fewer than all events
}

func newRetryCall(events []*inlet.Event, err error) *retryCall {
	c := &retryCall{events: events, open: make([]int, len(events)), errs: make([]error, len(events))}
	for i := range c.open {
		c.open[i] = i
	}
	c.note(err)
	return c
}

// note takes the error of a write of the open events.
func (c *retryCall) note(err error) {
	c.last = nil
	if len(c.open) == len(c.events) {
		c.last = err
	}
	errs := inlet.ItemErrors(err, len(c.open))
	still := c.open[:0]
	c.asked = 0
	for n, i := range c.open {
		c.errs[i] = nil
		if errs != nil {
			c.errs[i] = errs[n]
		}
		if isPassing(c.errs[i]) {
			still = append(still, i)
			asked, _ := inlet.RetryDelay(c.errs[i])
			c.asked = max(c.asked, asked)
		}
	}
	c.open = still
}

// isPassing reports whether err may be gone when the event is written again.
func isPassing(err error) bool {
	return err != nil && !inlet.IsPermanent(err) && !errors.Is(err, inlet.ErrClosed)
}

// pending returns the open events: the very slice if they are all.
func (c *retryCall) pending() []*inlet.Event {
	if len(c.open) == len(c.events) {
		return c.events
	}
	return at(c.events, c.open)
}

func (c *retryCall) err() error {
	if c.last != nil {
		return c.last
	}
	return batchError(c.errs)
}
