package sinks_test

import (
	"time"

	"github.com/inlet-go/inlet"
)

var web = &inlet.Source{ID: "web"}

// event makes a track call of the source web with the given message ID.
func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Signed Up", MessageID: id, UserID: "u",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Source: web,
	}
}

// events makes one event for each message ID.
func events(ids ...string) []*inlet.Event {
	events := make([]*inlet.Event, len(ids))
	for i, id := range ids {
		events[i] = event(id)
	}
	return events
}

// ids returns the message IDs of events.
func ids(events []*inlet.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.MessageID
	}
	return ids
}
