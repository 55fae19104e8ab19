package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/inlet-go/inlet"
)

// A trial is one request, with what each server has stored of it.
type trial struct {
	old, new []record
	reasons  []string // of the new one for refusing something
}

type trialKey struct{}

// trialOf returns the trial of a request, or nil.
func trialOf(ctx context.Context) *trial {
	t, _ := ctx.Value(trialKey{}).(*trial)
	return t
}

// A record is what is compared of an event.
type record struct {
	id, name, user string
	properties     map[string]json.RawMessage
}

// differences names what is different, without the values: they are data of visitors.
func (t *trial) differences() (found []string) {
	stored := map[string]record{}
	for _, r := range t.new {
		stored[r.id] = r
	}
	for _, r := range t.old {
		other, ok := stored[r.id]
		if !ok {
			found = append(found, fmt.Sprintf("event %q is not stored", r.id))
			continue
		}
		delete(stored, r.id)
		for _, field := range r.fieldsThatDiffer(other) {
			found = append(found, fmt.Sprintf("event %q: %s", r.id, field))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(stored)) {
		found = append(found, fmt.Sprintf("event %q is stored by the new server only", id))
	}
	return found
}

func (r record) fieldsThatDiffer(o record) (fields []string) {
	if r.name != o.name {
		fields = append(fields, "name")
	}
	if r.user != o.user {
		fields = append(fields, "user")
	}
	names := maps.Clone(r.properties)
	maps.Copy(names, o.properties)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !bytes.Equal(compact(r.properties[name]), compact(o.properties[name])) {
			fields = append(fields, "properties."+name)
		}
	}
	return fields
}

// compact returns a value without white space.
func compact(value json.RawMessage) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, value) // an absent value stays empty
	return b.Bytes()
}

// noted is a decorator that notes what the new server stores.
type noted struct{ inlet.Sink }

// Unwrap returns the sink, whose durability and other abilities remain.
func (n noted) Unwrap() inlet.Sink { return n.Sink }

// Write notes copies: the events are lent.
func (n noted) Write(ctx context.Context, events []*inlet.Event) error {
	err := n.Sink.Write(ctx, events)
	t := trialOf(ctx)
	if err != nil || t == nil {
		return err
	}
	for _, e := range inlet.CloneEvents(events) {
		r := record{id: e.MessageID, name: e.Name, user: e.UserID}
		if e.GeneratedID() {
			r.id = "" // as the client sent it
		}
		if e.Properties != nil {
			_ = json.Unmarshal(e.Properties, &r.properties) // an object, as in every event that is stored
		}
		t.new = append(t.new, r)
	}
	return nil
}

// reasons is an observer that notes why the new server refused something.
type reasons struct{}

// ObserveRequest notes the codes.
func (reasons) ObserveRequest(ctx context.Context, o *inlet.Outcome) {
	t := trialOf(ctx)
	if t == nil {
		return
	}
	if o.Code != "" {
		t.reasons = append(t.reasons, string(o.Code))
	}
	for _, r := range o.Rejects {
		t.reasons = append(t.reasons, string(r.Code)+" "+r.Field)
	}
}
