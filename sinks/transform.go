package sinks

import (
	"context"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Transform is a decorator that changes the events on their way to a sink. Make one with
// [NewTransform].
//
// Ownership: the event that is changed is a clone, which the change owns until it returns:
// it may set any field and overwrite the bytes of a raw one, and must not retain the event.
// The events that were lent do not change: the other legs of a [Fanout] see them as they
// came. The Source is shared by all events of a client; a change may replace it, but must
// not write into it.
//
// Every sink relies on these fields, which must be there after the change: a valid Type and
// what that requires (the Name of a track call, the GroupID of a group call, the PreviousID
// of an alias call), a MessageID, a ReceivedAt, a Timestamp if there was one, and a Source;
// each raw field that was changed is nil or a JSON object in valid UTF-8. An event without
// them fails permanently, with an error that names the field, unless it came without. Duplicate
// names in a raw field are not detected, nor members of Extra with the name of another field.
//
// Duplicates are recognised by MessageID and Source: a change that sets one of them must set
// the same value each time for the same event.
//
// Errors: an event whose change failed fails alone, temporarily or, where the error is
// [inlet.Permanent], permanently. The others are written; if none is left, the inner sink is
// not called. These failures are items of a [*inlet.BatchError]. If all changes succeed, the
// error of the inner sink is returned unchanged.
//
// Context: if it is done before all events are changed, nothing is written, and the error is
// temporary.
//
// Concurrency: the events of a call are changed in their order, those of different calls
// concurrently.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself and acknowledges
// nothing early.
type Transform struct {
	inner  inlet.Sink
	change func(context.Context, *inlet.Event) error
}

// NewTransform returns a decorator of inner that calls change once for each event of a
// Write; a panic in it is a panic of Write. It returns an error if inner or change is nil.
func NewTransform(inner inlet.Sink, change func(context.Context, *inlet.Event) error) (*Transform, error) {
	if err := check.Options("sinks", "NewTransform",
		check.NotNil("inner", inner == nil),
		check.NotNil("change", change == nil),
	); err != nil {
		return nil, err
	}
	return &Transform{inner: inner, change: change}, nil
}

// Write writes changed clones of the events.
func (t *Transform) Write(ctx context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	o := newOutcome(len(events))
	var buf [smallCall]int
	changed := buf[:0]
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
	switch len(changed) {
	case 0:
		return o.err()
	case len(clones):
		return t.inner.Write(ctx, clones)
	}
	o.add(changed, t.inner.Write(ctx, pick(clones, changed)))
	return o.err()
}

// apply changes e, which is a clone of lent.
func (t *Transform) apply(ctx context.Context, e, lent *inlet.Event) error {
	if err := t.change(ctx, e); err != nil {
		return err
	}
	return inlet.Permanent(checkChanged(e, lent))
}

// Unwrap returns the inner sink.
func (t *Transform) Unwrap() inlet.Sink { return t.inner }
