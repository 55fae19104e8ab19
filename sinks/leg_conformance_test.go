package sinks_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// ables is what a decorator of several sinks can do.
type ables interface {
	inlet.Sink
	inlet.Flusher
	inlet.Closer
	inlet.Checker
	inlet.Durable
}

// An open is a decorator of several sinks that the tests can look into.
type open struct {
	ables
	legs []inlet.Sink
}

// perfect is how a sink conforms that never fails.
func perfect() inlet.Sink { return new(sinks.Memory) }

// flaky is a sink that fails now and then.
func flaky() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) }

// hangs is a sink that [stallLeg] makes hang.
func hangs() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} }

// stallLeg makes the first leg that can hang do so.
func stallLeg(s inlet.Sink) (release func()) {
	for _, leg := range s.(open).legs {
		if h, ok := leg.(*hanging); ok {
			h.hold <- struct{}{}
			return func() { <-h.hold }
		}
	}
	panic("no leg can hang")
}

// A wrap makes a decorator of legs, and reads what it has stored.
type wrap struct {
	new  func(testing.TB, []inlet.Sink) ables
	read func(testing.TB, inlet.Sink) []*inlet.Event
}

// over runs the suite over the decorator of such legs.
func (w wrap) over(f sinktest.Features, legs ...func() inlet.Sink) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		f.Durability = inlet.DurabilityMemory
		sinktest.Run(t, sinktest.Harness{Read: w.read, Features: f, New: func(t testing.TB) inlet.Sink {
			made := make([]inlet.Sink, len(legs))
			for i, newLeg := range legs {
				made[i] = newLeg()
			}
			return open{w.new(t, made), made}
		}})
	}
}

// overAll runs the suite over a decorator that has the abilities of its sink:
// over one that works, one that fails now and then, and one that hangs.
func overAll(t *testing.T, f sinktest.Features, wrap func(testing.TB, inlet.Sink) inlet.Sink) {
	over := func(inner func() inlet.Sink, change func(*sinktest.Features)) func(*testing.T) {
		f := f
		f.Ordered, f.Durability = true, inlet.DurabilityMemory
		change(&f)
		return func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, sinktest.Harness{Read: readMemory, Features: f, New: func(t testing.TB) inlet.Sink { return wrap(t, inner()) }})
		}
	}
	t.Run("plain", over(perfect, func(*sinktest.Features) {}))
	t.Run("over a sink that fails now and then", over(flaky, func(f *sinktest.Features) { f.Partial, f.Fails = true, true }))
	t.Run("over a sink that hangs", over(hangs, func(f *sinktest.Features) {
		f.Stall = func(s inlet.Sink) func() { return stallLeg(open{legs: []inlet.Sink{s.(inlet.Unwrapper).Unwrap()}}) }
	}))
}
