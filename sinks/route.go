package sinks

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/guard"
)

// A Rule selects the events of a [Route] that go to a sink.
type Rule struct {
	// Name identifies the rule in errors. Required, and unique in the Route.
	Name string
	// Match reports whether the event goes to Sink. It is called at most once for an event
	// of a Write; calls of different Writes may run concurrently. It must not change or
	// retain the event, and should be fast. Required.
	Match func(*inlet.Event) bool
	// Sink receives the events that match. Several rules may have the same sink. The Route
	// closes it. Required.
	Sink inlet.Sink
}

// Route is a decorator that writes each event to one of several sinks: to that of the first
// rule that matches. Make one with [NewRoute].
//
// Acknowledgement: an event is stored when its sink has stored it. The sinks are written
// concurrently, and the failure of one is a failure of its events alone.
//
// Order: each sink receives its events of a call in one Write and in the client's order,
// also if several rules have it. Two values of [inlet.Sink] are the same sink if they are
// equal; functions never are.
//
// Errors: each names its rule. If all events of a call go to one sink, that gets the
// caller's slice, and an error for the whole batch stays one; every other failure is a
// [*inlet.BatchError].
//
// Waiting: Write returns when all sinks have, since the events are lent to them.
//
// Panics: those of a Match and of a sink continue in the goroutine that called Write; that
// of a sink once all sinks have returned and, if there were several, as an error with the
// name of the rule, the cause and the stack of the sink.
//
// Concurrency: one goroutine for each sink that receives events, except one, for the
// duration of the call.
//
// Abilities: Flush, Close, Check and Durability are its own and combine those of all its
// sinks. It has no Unwrap.
type Route struct {
	rules   []Rule
	to      []int // index of the target of each rule, and last that of all other events
	targets []target
	closing closeOnce
}

// A target is one of the distinct sinks of a Route.
type target struct {
	sink  inlet.Sink
	title string // for errors
}

// NewRoute returns a decorator of the sinks of the rules, and of otherwise, which receives
// the events that no rule matches; a [Discard] drops them. It returns an error if a name is
// empty or used twice, or if a Match or a sink is nil.
func NewRoute(rules []Rule, otherwise inlet.Sink) (*Route, error) {
	if err := checkRules(rules, otherwise); err != nil {
		return nil, err
	}
	r := &Route{rules: slices.Clone(rules), closing: newCloseOnce()}
	for _, rule := range rules {
		r.addTarget(fmt.Sprintf("rule %q", rule.Name), rule.Sink)
	}
	r.addTarget("otherwise", otherwise)
	return r, nil
}

func checkRules(rules []Rule, otherwise inlet.Sink) error {
	var names []string
	var faults []error
	for i, r := range rules {
		names = append(names, r.Name)
		faults = append(faults,
			check.NotNil(fmt.Sprintf("rules[%d].Match", i), r.Match == nil),
			check.NotNil(fmt.Sprintf("rules[%d].Sink", i), r.Sink == nil))
	}
	faults = append(faults, check.NotNil("otherwise", otherwise == nil), checkNames("rules", names))
	return check.Options("sinks", "NewRoute", faults...)
}

// addTarget makes s the target of the next rule, whose name in errors is name.
func (r *Route) addTarget(name string, s inlet.Sink) {
	i := slices.IndexFunc(r.targets, func(t target) bool { return isSameSink(t.sink, s) })
	if i < 0 {
		i = len(r.targets)
		r.targets = append(r.targets, target{s, "Route: " + name})
	} else {
		r.targets[i].title += ", " + name
	}
	r.to = append(r.to, i)
}

// isSameSink reports whether a and b are one sink, as far as Go can compare them.
func isSameSink(a, b inlet.Sink) bool {
	return reflect.ValueOf(a).Comparable() && a == b
}

// Write writes each event to the sink of the first rule that matches. After Close it fails
// with [inlet.ErrClosed].
func (r *Route) Write(ctx context.Context, events []*inlet.Event) error {
	if r.closing.begun.Load() {
		return inlet.ErrClosed
	}
	var buf [smallCall]int
	to := buf[:0]
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

// A part is the events of a call that go to one target.
type part struct {
	target  int
	indices []int // of the events
	size    int   // final length of indices
}

// split returns the parts of a call; to has the target of each event, which is below n.
func split(to []int, n int) []part {
	parts := make([]part, n)
	for _, target := range to {
		parts[target].size++
	}
	rest := make([]int, len(to))
	for i := range parts {
		p := &parts[i]
		p.target, p.indices, rest = i, rest[:0:p.size], rest[p.size:]
	}
	for i, target := range to {
		p := &parts[target]
		p.indices = append(p.indices, i)
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.size == 0 })
}

// writeParts writes all parts concurrently and joins their outcomes.
func (r *Route) writeParts(ctx context.Context, events []*inlet.Event, parts []part) error {
	errs := concurrently(len(parts), func(i int) error {
		p := &parts[i]
		return r.targets[p.target].sink.Write(ctx, pick(events, p.indices))
	})
	o := newOutcome(len(events))
	for i, err := range errs {
		p := &parts[i]
		title := r.targets[p.target].title
		if _, ok := guard.Panicked(err); ok {
			panic(prefixed(title, err))
		}
		o.add(p.indices, named(title, err, len(p.indices)))
	}
	return o.err()
}

// Flush flushes all sinks concurrently. It fails if any of them does.
func (r *Route) Flush(ctx context.Context) error {
	return r.each(func(s inlet.Sink) error { return inlet.Flush(ctx, s) })
}

// Close closes all sinks concurrently, each of them once, and makes every later Write fail
// with [inlet.ErrClosed]. It fails if any sink does. Further calls close nothing; they wait
// for the first and return the same error.
func (r *Route) Close(ctx context.Context) error {
	return r.closing.do(ctx, func() error {
		return r.each(func(s inlet.Sink) error { return inlet.Close(ctx, s) })
	})
}

// Check checks all sinks concurrently. It fails if any of them does, and after Close.
func (r *Route) Check(ctx context.Context) error {
	if r.closing.begun.Load() {
		return inlet.ErrClosed
	}
	return r.each(func(s inlet.Sink) error { return inlet.Check(ctx, s) })
}

// each calls do for all sinks concurrently and joins their errors.
func (r *Route) each(do func(inlet.Sink) error) error {
	errs := concurrently(len(r.targets), func(i int) error { return do(r.targets[i].sink) })
	for i, err := range errs {
		errs[i] = prefixed(r.targets[i].title, err)
	}
	return errors.Join(errs...)
}

// Durability returns the lowest durability of the sinks. A [Discard] declares none, and so
// does a Route with one: where durability is required, drop events by a [Filter] in front.
func (r *Route) Durability() inlet.Durability {
	lowest := inlet.DurabilityReplicated
	for _, t := range r.targets {
		lowest = min(lowest, inlet.DurabilityOf(t.sink))
	}
	return lowest
}
