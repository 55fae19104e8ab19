package sinks

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/inlet-go/inlet"
)

// A Rule says which events of a [Route] go to a sink.
type Rule struct {
	// Name stands in errors. Not empty, and no other rule's.
	Name string
	// Match reports whether the event goes to Sink. It is called at most once for
	// an event of a Write, by many Writes at a time, must not change or keep the
	// event, and should be quick.
	Match func(*inlet.Event) bool
	// Sink gets the events that match. It may stand in several rules. The Route
	// closes it.
	Sink inlet.Sink
}

// Route is a decorator that writes each event to one of several sinks: to that of
// the first rule that matches. Make one with [NewRoute].
//
// Acknowledgement: an event is stored when its sink has stored it. The sinks are
// written at once, and the failures of each are those of its events alone.
//
// Order: each sink gets its events of a call in one Write and in the client's
// order, also if several rules are for it. Two values of [inlet.Sink] are the
// same sink if they are equal; functions never are.
//
// Errors: each says of which rule it is. If all events of a call are for one
// sink, that gets the very slice, and an error for all of them stays one; every
// other failure is a [*inlet.BatchError].
//
// Waiting: Write returns when all sinks have, since the events are lent to them.
//
// Panics: that of a Match and that of a sink go on in the goroutine that called
// Write; the latter once all sinks have returned and, where several were written,
// as an error with the name of the rule, the cause and the sink's own stack.
//
// Concurrency: one goroutine for each sink that is written but one, for the time
// of the call; none if there is one.
//
// Abilities: its own, made of those of all its sinks; see the methods. It has no
// Unwrap.
type Route struct {
	rules   []Rule
	to      []int // the target of each rule, and last that of all other events
	targets []target
	closing closing
}

// A target is one of the sinks of a Route, which are all different.
type target struct {
	sink  inlet.Sink
	title string // for errors
}

// NewRoute returns a decorator of the sinks of the rules, and of otherwise, to
// which the events go that match none; a [Discard] drops them. An empty name, one
// that two rules have, a nil Match and a nil sink are errors.
func NewRoute(rules []Rule, otherwise inlet.Sink) (*Route, error) {
	if err := checkRules(rules, otherwise); err != nil {
		return nil, err
	}
	r := &Route{rules: slices.Clone(rules), closing: newClosing()}
	for _, rule := range rules {
		r.direct(fmt.Sprintf("rule %q", rule.Name), rule.Sink)
	}
	r.direct("otherwise", otherwise)
	return r, nil
}

func checkRules(rules []Rule, otherwise inlet.Sink) error {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Name
	}
	if err := checkNames("Route: Rule", names); err != nil {
		return err
	}
	for _, r := range rules {
		switch {
		case r.Match == nil:
			return fmt.Errorf("sinks: Route: the Match of the Rule %q is nil", r.Name)
		case r.Sink == nil:
			return fmt.Errorf("sinks: Route: the Sink of the Rule %q is nil", r.Name)
		}
	}
	if otherwise == nil {
		return errors.New("sinks: Route: the sink for all other events is nil")
	}
	return nil
}

// direct makes s the target of the next rule, which errors call name.
func (r *Route) direct(name string, s inlet.Sink) {
	i := slices.IndexFunc(r.targets, func(t target) bool { return sameSink(t.sink, s) })
	if i < 0 {
		i = len(r.targets)
		r.targets = append(r.targets, target{s, "Route: " + name})
	} else {
		r.targets[i].title += ", " + name
	}
	r.to = append(r.to, i)
}

// sameSink reports whether a and b are one sink, so far as Go can compare them.
func sameSink(a, b inlet.Sink) bool {
	return reflect.ValueOf(a).Comparable() && a == b
}

// Write writes each event to the sink of the first rule that matches. After Close
// it fails with [inlet.ErrClosed].
func (r *Route) Write(ctx context.Context, events []*inlet.Event) error {
	if r.closing.begun.Load() {
		return inlet.ErrClosed
	}
	var room [smallCall]int
	to := room[:0]
	for _, e := range events {
		to = append(to, r.targetOf(e))
	}
	if slices.Min(to) == slices.Max(to) {
		t := &r.targets[to[0]]
		return named(t.title, t.sink.Write(ctx, events), len(events))
	}
	return r.writeParts(ctx, events, split(to, len(r.targets)))
}

// targetOf returns the index of the target of e.
func (r *Route) targetOf(e *inlet.Event) int {
	for i := range r.rules {
		if r.rules[i].Match(e) {
			return r.to[i]
		}
	}
	return r.to[len(r.rules)]
}

// A part is the events of a call that are for one target.
type part struct {
	target int
	places []int
	size   int // of places, when they are all there
}

// split returns the part of each of n targets that has one; to is the target of
// each event.
func split(to []int, n int) []part {
	parts := make([]part, n)
	for _, target := range to {
		parts[target].size++
	}
	room := make([]int, len(to))
	for i := range parts {
		p := &parts[i]
		p.target, p.places, room = i, room[:0:p.size], room[p.size:]
	}
	for place, target := range to {
		p := &parts[target]
		p.places = append(p.places, place)
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.size == 0 })
}

// writeParts writes all parts at once and joins what became of the events.
func (r *Route) writeParts(ctx context.Context, events []*inlet.Event, parts []part) error {
	errs := together(len(parts), func(i int) error {
		p := &parts[i]
		return r.targets[p.target].sink.Write(ctx, at(events, p.places))
	})
	o := newOutcome(len(events))
	for i, err := range errs {
		p := &parts[i]
		title := r.targets[p.target].title
		if isPanic(err) {
			panic(prefixed(title, err))
		}
		o.add(p.places, named(title, err, len(p.places)))
	}
	return o.err()
}

// Flush flushes all sinks, at once. It fails if any does.
func (r *Route) Flush(ctx context.Context) error {
	return r.each(func(s inlet.Sink) error { return inlet.Flush(ctx, s) })
}

// Close closes all sinks, at once and each of them once, and makes every later
// Write fail with [inlet.ErrClosed]. It fails if any sink does. A later Close
// closes nothing, waits for the first and returns what that did.
func (r *Route) Close(ctx context.Context) error {
	return r.closing.run(ctx, func() error {
		return r.each(func(s inlet.Sink) error { return inlet.Close(ctx, s) })
	})
}

// Check asks all sinks, at once. It fails if any does, and after Close.
func (r *Route) Check(ctx context.Context) error {
	if r.closing.begun.Load() {
		return inlet.ErrClosed
	}
	return r.each(func(s inlet.Sink) error { return inlet.Check(ctx, s) })
}

// each calls do for all sinks at once and joins their errors.
func (r *Route) each(do func(inlet.Sink) error) error {
	errs := together(len(r.targets), func(i int) error { return do(r.targets[i].sink) })
	for i, err := range errs {
		errs[i] = prefixed(r.targets[i].title, err)
	}
	return errors.Join(errs...)
}

// Durability returns the least that a sink declares. A [Discard] declares
// nothing, and so nor does a Route with one: where durability is required, drop
// events by a [Filter] in front.
func (r *Route) Durability() inlet.Durability {
	least := inlet.DurabilityReplicated
	for _, t := range r.targets {
		least = min(least, inlet.DurabilityOf(t.sink))
	}
	return least
}
