package main

import (
	"context"
	"encoding/json"

	"github.com/inlet-go/inlet"
)

// redact is a decorator: a sink around another. It takes a member out of the
// traits of every event, such as an address that must not be stored.
//
// It stores nothing itself and answers what the other answers. Unwrap says so,
// and thereby lends it the other's Flush, Close, Check and Durability.
type redact struct {
	inner  inlet.Sink
	member string
}

var _ inlet.Unwrapper = (*redact)(nil)

// Unwrap returns the sink that stores the events.
func (d *redact) Unwrap() inlet.Sink { return d.inner }

// Write passes on as many events as it was given, in their order, so that the
// indices of a BatchError from the other sink stay right.
func (d *redact) Write(ctx context.Context, events []*inlet.Event) error {
	redacted := make([]*inlet.Event, len(events))
	for i, e := range events {
		redacted[i] = d.redacted(e)
	}
	return d.inner.Write(ctx, redacted)
}

// redacted returns e itself if there is nothing to take out, else a changed
// copy: the events of a sink are read-only.
func (d *redact) redacted(e *inlet.Event) *inlet.Event {
	traits, found := without(e.Traits, d.member)
	if !found {
		return e
	}
	changed := *e // shares the other raw JSON, which is lent until Write returns
	changed.Traits = traits
	return &changed
}

// without returns the object without the member, and whether it had it.
// RawMessage keeps the other values, the text of large numbers included.
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
