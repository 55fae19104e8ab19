package httpsink

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// limits are the limits of a request: on the number of events, the bytes of all of
// them, and the bytes of one.
type limits struct{ maxEvents, maxBytes, maxEventBytes int }

// A call is one Write: its events, encoded, and their outcome.
//
// The events are encoded once, one behind the other with a comma after each, so that
// the events of any request, also of one that is split in halves, are a slice of the
// text. Requests are sent in order; finished is how far the call has come.
//
// Calls are pooled for the memory of text, items and ids.
type call struct {
	sink   *Sink
	events []*inlet.Event
	text   []byte // the JSON of the events to send
	about  []byte // what is said about them
	items  []item // the events to send
	ids    []byte // buffer for an idempotency key

	finished int  // the number of items whose outcome is known
	accepted bool // the receiver has accepted a batch
	failed   sinkkit.Failures
}

// An item is an event to send.
type item struct {
	index int // in the slice that Write was given
	end   int // in the call's text, before the comma
	about int // its end in the call's about, before the comma
}

// maxPooledText is the largest text in bytes that is kept for reuse.
const maxPooledText = 1 << 20

// newCall encodes the events, except for those that are too large, which fail.
func (s *Sink) newCall(events []*inlet.Event) *call {
	c, ok := s.calls.Get().(*call)
	if !ok {
		c = new(call)
	}
	c.sink, c.events = s, events
	for i, e := range events {
		c.encode(i, e)
	}
	return c
}

// release keeps the memory of c for another call.
func (s *Sink) release(c *call) {
	if cap(c.text) > maxPooledText {
		return
	}
	*c = call{text: c.text[:0], about: c.about[:0], items: c.items[:0], ids: c.ids[:0]}
	s.calls.Put(c)
}

func (c *call) encode(index int, e *inlet.Event) {
	start, startAbout := len(c.text), len(c.about)
	text, about := appendEvent(c.text, e), c.about
	if !c.sink.plain {
		about = appendAbout(about, e)
	}
	size, limit := len(text)-start, c.sink.limits.maxEventBytes
	if c.sink.imports == "" {
		limit = min(limit, c.sink.limits.maxBytes-(len(about)-startAbout))
	}
	if size > limit {
		c.text, c.about = text[:start], about[:startAbout]
		c.failed.Add(index, inlet.Permanent(&inlet.Problem{
			Code:    inlet.CodeEventTooLarge,
			Message: fmt.Sprintf("event has %d bytes; at most %d can be forwarded", size, limit),
		}))
		return
	}
	c.items = append(c.items, item{index, len(text), len(about)})
	c.text, c.about = append(text, ','), append(about, ',')
}

// run sends the items, request by request, and returns the result of Write.
func (c *call) run(ctx context.Context) error {
	for c.finished < len(c.items) {
		if err := c.deliver(ctx, c.finished, c.requestEnd(c.finished)); err != nil {
			return c.stop(err)
		}
	}
	return c.failed.Err()
}

// requestEnd returns the end of the request that begins with the item at from: at least
// one item, and as many as the limits permit. A large event has a request of its own.
func (c *call) requestEnd(from int) (to int) {
	l := c.sink.limits
	if c.isLarge(from) {
		return from + 1
	}
	return sinkkit.PartEnd(from, len(c.items), l.maxEvents, func(from, to int) bool {
		return !c.isLarge(to-1) && c.size(from, to) <= l.maxBytes
	})
}

// start returns where the i-th item begins in the text, and in what is said about the events.
func (c *call) start(i int) (text, about int) {
	if i == 0 {
		return 0, 0
	}
	it := c.items[i-1]
	return it.end + 1, it.about + 1
}

// size returns how many bytes the items from:to have in a request.
func (c *call) size(from, to int) int {
	text, about := c.start(from)
	return c.items[to-1].end - text + c.items[to-1].about - about
}

// largeEvent is the size in bytes that Segment and others document as the limit of an event.
// Some refuse the whole request for one that is larger.
const largeEvent = 32_768

// smallEvent is the size in bytes up to which no receiver refuses an event for it: the
// request has another fault.
const smallEvent = 4096

func (c *call) isLarge(i int) bool {
	text, _ := c.start(i)
	return c.items[i].end-text > largeEvent
}

// A parcel is what a request sends: the items from:to of a call.
type parcel struct {
	call     *call
	from, to int
}

func (p parcel) len() int { return p.to - p.from }

// halves returns the two halves of a parcel of several events.
func (p parcel) halves() [2]parcel {
	middle := p.from + p.len()/2
	return [2]parcel{{p.call, p.from, middle}, {p.call, middle, p.to}}
}

// all returns the error of a request of which every event has failed with err.
func (p parcel) all(err error) error {
	var batch sinkkit.Failures
	batch.AddAll(0, p.len(), err)
	return batch.Err()
}

// id returns the message ID of the i-th event.
func (p parcel) id(i int) string { return p.call.events[p.call.items[p.from+i].index].MessageID }

// isAnother reports whether a message ID is not that of the i-th event, but of another one.
func (p parcel) isAnother(i int, id string) bool {
	if id == "" || id == p.id(i) {
		return false
	}
	for other := range p.len() {
		if p.id(other) == id {
			return true
		}
	}
	return false
}

// isLarge reports whether the parcel is one event that is larger than receivers document.
func (p parcel) isLarge() bool { return p.len() == 1 && p.call.isLarge(p.from) }

// deliver sends the items from:to in one request, and in halves if the receiver finds that
// too large, or does not name every event that it rejects. An error ends the call.
func (c *call) deliver(ctx context.Context, from, to int) error {
	return c.resolve(ctx, parcel{c, from, to}, c.send(ctx, parcel{c, from, to}))
}

// resolve records the result of a request, or sends its halves.
func (c *call) resolve(ctx context.Context, p parcel, err error) error {
	switch {
	case isPartial(err):
		return c.record(p.from, p.to, err)
	case p.len() == 1 && inlet.IsPermanent(err):
		return c.record(p.from, p.to, p.all(err))
	case p.len() == 1, err != errUnnamed && err != errUnlisted && err != errTooLarge:
		return c.record(p.from, p.to, err)
	}
	for _, half := range p.halves() {
		halfErr := c.send(ctx, half)
		if err == errUnnamed && halfErr != nil && halfErr != errUnnamed && !isPartial(halfErr) {
			halfErr = half.all(inlet.Permanent(fmt.Errorf("%w: %w", errUnnamed, halfErr))) // it is settled, whatever is answered now
		}
		if err := c.resolve(ctx, half, halfErr); err != nil {
			return err
		}
	}
	return nil
}

// send sends a parcel in one request. One event that is too large for that goes to the
// endpoint for imports, if the receiver has one: that of another Inlet accepts 4 MiB.
func (c *call) send(ctx context.Context, p parcel) (err error) {
	text, about := c.start(p.from)
	last := c.items[p.to-1]
	body := c.sink.newBody(c.text[text:last.end], c.about[about:last.about])
	key := c.idempotencyKey(p.from, p.to)
	fits := c.size(p.from, p.to) <= c.sink.limits.maxBytes
	if fits {
		err = c.sink.send(ctx, c.sink.endpoint, body, key, p)
		c.accepted = c.accepted || err == nil
	}
	switch {
	case p.len() > 1 || c.sink.imports == "":
		return err
	case fits && (!errors.Is(err, errTooLarge) || last.end-text <= smallEvent):
		return err
	}
	imported := c.sink.send(ctx, c.sink.imports, body, key, p)
	status, answered := errors.AsType[*StatusError](imported)
	switch {
	case !answered || status.Status != http.StatusNotFound && status.Status != http.StatusMethodNotAllowed:
		return imported
	case fits:
		return err // the receiver has no imports
	case c.accepted: // its other path works
		return inlet.Permanent(fmt.Errorf("%w: %w", errTooLarge, imported))
	}
	return c.sink.send(ctx, c.sink.endpoint, body, key, p) // which tells a wrong path from a receiver without imports
}

// isPartial reports whether err is about single events.
func isPartial(err error) bool {
	_, partial := errors.AsType[*inlet.BatchError](err)
	return partial
}

// record records the outcome of a request. It returns an error if the call must end:
// the error of the whole request, or a temporary one of an event.
func (c *call) record(from, to int, err error) error {
	batch, partial := err.(*inlet.BatchError)
	if err != nil && !partial {
		return err
	}
	c.finished = to
	if !partial {
		return nil
	}
	var temporary error
	for _, it := range batch.Items {
		c.failed.Add(c.items[from+it.Index].index, it.Err)
		if temporary == nil && !inlet.IsPermanent(it.Err) {
			temporary = it.Err
		}
	}
	return temporary
}

// stop ends the call with a temporary error, which applies to the items that are not finished.
func (c *call) stop(err error) error {
	if c.finished == 0 && c.failed.Len() == 0 {
		return err
	}
	for _, it := range c.items[c.finished:] {
		c.failed.Add(it.index, err)
	}
	return c.failed.Err()
}

// idempotencyKey returns the idempotency key of a request: a digest of its events'
// sources and message IDs, in order. A message ID is unique within its source only.
func (c *call) idempotencyKey(from, to int) string {
	c.ids = c.ids[:0]
	for _, it := range c.items[from:to] {
		e := c.events[it.index]
		c.appendID(e.Source.ID)
		c.appendID(e.MessageID)
	}
	digest := sha256.Sum256(c.ids)
	return hex.EncodeToString(digest[:16])
}

// appendID appends an id after its length, so that different lists of ids differ.
func (c *call) appendID(id string) {
	c.ids = append(binary.AppendUvarint(c.ids, uint64(len(id))), id...)
}
