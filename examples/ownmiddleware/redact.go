package main

import (
	"context"
	"encoding/json"

	"github.com/inlet-go/inlet"
)

// redact is a decorator: a sink around another one. It removes a member from the traits of every
// event, such as an address that must not be stored.
//
// It stores nothing itself and returns what the inner sink returns. So it has an Unwrap, which
// gives it the Flush, Close, Check and Durability of the inner sink.
type redact struct {
	inner  inlet.Sink
	member string
}

var _ inlet.Unwrapper = (*redact)(nil)

// Unwrap returns the sink that stores the events.
func (d *redact) Unwrap() inlet.Sink { return d.inner }

// Write passes on the same number of events in the same order, so that the indices in a
// BatchError of the inner sink remain correct.
func (d *redact) Write(ctx context.Context, events []*inlet.Event) error {
	redacted := make([]*inlet.Event, len(events))
	for i, e := range events {
		redacted[i] = d.redacted(e)
	}
	return d.inner.Write(ctx, redacted)
}

// redacted returns a copy of e without the member, or e itself if it has none: a sink must not
// change the events that it gets.
func (d *redact) redacted(e *inlet.Event) *inlet.Event {
	traits, found := without(e.Traits, d.member)
	if !found {
		return e
	}
	changed := *e // shares the other raw JSON, which is borrowed until Write returns
	changed.Traits = traits
	return &changed
}

// without returns the object without the member, and whether it had one. RawMessage keeps the
// text of the other values, such as large numbers.
func without(object json.RawMessage, member string) (json.RawMessage, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return object, false
	}
	if _, found := members[member]; !found {
		return object, false
	}
	delete(members, member)
	rest, err := json.Marshal(members)
	return rest, err == nil
}
