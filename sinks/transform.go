package sinks

import (
	"context"
	"errors"

	"github.com/inlet-go/inlet"
)

// Transform is a decorator that changes the events on their way to a sink. Make
// one with [NewTransform].
//
// Ownership: the event that is changed is a clone, and belongs to the change until
// that returns: it may set any field and write into the bytes of a raw one, and
// must not keep the event. The events that were lent stay what they are: the other
// legs of a [Fanout] see them as they came. The Source is shared by all events of
// a client; another one may take its place, but nothing may be written into it.
//
// What must still be there after the change, since every sink relies on it: a
// valid Type and what that requires (the Name of a track call, the GroupID of a
// group call, the PreviousID of an alias call), a MessageID, a ReceivedAt, a
// Timestamp if there was one, and a Source; each raw field that was changed is nil
// or a JSON object in valid UTF-8. An event that lacks it fails permanently, with
// an error that says what. Not looked for are names that stand twice in a raw
// field, and those in Extra that are another field's.
//
// Duplicates are recognised by MessageID and Source: a change that sets one must
// give the same event the same one each time.
//
// Errors: an event whose change failed fails alone, temporarily or, where the
// error is [inlet.Permanent], for good. The others go on; if none is left, the
// inner sink is not called. These failures are items of a [*inlet.BatchError]. If
// all changes succeed, the error of the inner sink is returned as it is.
//
// Context: if it is done before all events are changed, nothing is written, and
// the error is temporary.
//
// Concurrency: the events of a call are changed in their order, those of different
// calls concurrently.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself and
// acknowledges nothing early.
type Transform struct {
	inner  inlet.Sink
	change func(context.Context, *inlet.Event) error
}

// NewTransform returns a decorator of inner that calls change once for each event
// of a Write; a panic in it is one of Write. A nil sink and a nil change are
// errors.
func NewTransform(inner inlet.Sink, change func(context.Context, *inlet.Event) error) (*Transform, error) {
	switch {
	case inner == nil:
		return nil, errors.New("sinks: Transform: the inner sink is nil")
	case change == nil:
		return nil, errors.New("sinks: Transform: change is nil")
	}
	return &Transform{inner: inner, change: change}, nil
}

// Write writes changed clones of the events.
func (t *Transform) Write(ctx context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	o := newOutcome(len(events))
	var room [smallCall]int
	changed := room[:0]
	for i, e := range clones {
		if err := ctx.Err(); err != nil {
			return prefixed("Transform", err)
		}
		if err := t.apply(ctx, e, events[i]); err != nil {
			o.fail(i, prefixed("Transform", err))
		} else {
			changed = append(changed, i)
		}
	}
	return t.pass(ctx, clones, changed, o)
}

// apply changes e, which is a clone of lent.
func (t *Transform) apply(ctx context.Context, e, lent *inlet.Event) error {
	if err := t.change(ctx, e); err != nil {
		return err
	}
	return inlet.Permanent(checkChanged(e, lent))
}

// pass writes those of the clones that were changed; o knows why the others were
// not.
func (t *Transform) pass(ctx context.Context, clones []*inlet.Event, changed []int, o *outcome) error {
	switch len(changed) {
	case 0:
		return o.err()
	case len(clones):
		return t.inner.Write(ctx, clones)
	}
	o.add(changed, t.inner.Write(ctx, at(clones, changed)))
	return o.err()
}

// Unwrap returns the inner sink.
func (t *Transform) Unwrap() inlet.Sink { return t.inner }
