package httpsink

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// limits are what a receiver takes: events of a request, bytes of all of them,
// bytes of one.
type limits struct{ events, bytes, event int }

// A call is one Write: its events, encoded, and what becomes of them. It is
// pooled for the memory of text, items and ids.
type call struct {
	sink   *Sink
	events []*inlet.Event
	text   []byte // the events to send, each with a comma behind it
	items  []item // of the events to send
	ids    []byte // room for an idempotency key

	settled int // how many of the items need not be sent any more
	failed  []inlet.ItemError
}

// An item is an event that is to be sent.
type item struct {
	place int // in the slice that Write was given
	end   int // in the call's text, before the comma
}

// maxPooledText is the largest text that is kept for reuse.
const maxPooledText = 1 << 20

// begin encodes the events, but for those that are too large.
func (s *Sink) begin(events []*inlet.Event) *call {
	c, ok := s.calls.Get().(*call)
	if !ok {
		c = new(call)
	}
	c.sink, c.events = s, events
	for i, e := range events {
		c.add(i, e)
	}
	return c
}

// end keeps the memory of c for another call.
func (s *Sink) end(c *call) {
	if cap(c.text) > maxPooledText {
		return
	}
	*c = call{text: c.text[:0], items: c.items[:0], ids: c.ids[:0]}
	s.calls.Put(c)
}

func (c *call) add(place int, e *inlet.Event) {
	start := len(c.text)
	text := appendEvent(c.text, e)
	if size, most := len(text)-start, c.sink.limits.event; size > most {
		c.text = text[:start]
		c.fail(place, inlet.Permanent(&inlet.Problem{
			Code:    inlet.CodeEventTooLarge,
			Message: fmt.Sprintf("the event has %d bytes, and no more than %d can be forwarded", size, most),
		}))
		return
	}
	c.items = append(c.items, item{place, len(text)})
	c.text = append(text, ',')
}

func (c *call) fail(place int, err error) {
	c.failed = append(c.failed, inlet.ItemError{Index: place, Err: err})
}

// run sends the items, request by request, and returns what Write does.
func (c *call) run(ctx context.Context) error {
	for c.settled < len(c.items) {
		if err := c.send(ctx, c.settled, c.cut(c.settled)); err != nil {
			return c.stop(err)
		}
	}
	return c.outcome()
}

// cut returns the end of the request that begins with the item at from: one at
// least, and as many as the limits let in.
func (c *call) cut(from int) (to int) {
	start, most := c.start(from), c.sink.limits
	for to = from + 1; to < len(c.items) && to-from < most.events && c.items[to].end-start <= most.bytes; {
		to++
	}
	return to
}

// start is where the item at i begins in the text.
func (c *call) start(i int) int {
	if i == 0 {
		return 0
	}
	return c.items[i-1].end + 1
}

// send sends the items from and up to the given places, in halves if the receiver
// says that they are too large together. An error ends the call.
func (c *call) send(ctx context.Context, from, to int) error {
	err := c.post(ctx, from, to)
	switch {
	case !errors.Is(err, errTooLarge):
		return c.settle(from, to, err)
	case to-from == 1:
		return c.settle(from, to, &inlet.BatchError{Items: []inlet.ItemError{{Err: inlet.Permanent(err)}}})
	}
	middle := from + (to-from)/2
	if err := c.send(ctx, from, middle); err != nil {
		return err
	}
	return c.send(ctx, middle, to)
}

// post sends the items in one request.
func (c *call) post(ctx context.Context, from, to int) error {
	text := c.text[c.start(from):c.items[to-1].end]
	return c.sink.exchange(ctx, c.sink.newBody(text), c.key(from, to), to-from)
}

// settle notes the outcome of a request that was sent. An error is returned if
// nothing more is to be sent.
func (c *call) settle(from, to int, err error) error {
	batch, partial := err.(*inlet.BatchError)
	if err != nil && !partial {
		return err
	}
	c.settled = to
	if !partial {
		return nil
	}
	var temporary error
	for _, it := range batch.Items {
		c.fail(c.items[from+it.Index].place, it.Err)
		if temporary == nil && !inlet.IsPermanent(it.Err) {
			temporary = it.Err
		}
	}
	return temporary
}

// stop ends the call with an error: a permanent one stands for the whole call,
// since nobody knows which event it is due to; a temporary one for what is not
// settled.
func (c *call) stop(err error) error {
	if inlet.IsPermanent(err) || c.settled == 0 && len(c.failed) == 0 {
		return err
	}
	for _, it := range c.items[c.settled:] {
		c.fail(it.place, err)
	}
	return c.outcome()
}

// outcome returns the batch error of the events that failed, or nil.
func (c *call) outcome() error {
	if len(c.failed) == 0 {
		return nil
	}
	return &inlet.BatchError{Items: c.failed}
}
