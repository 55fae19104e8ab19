package sinks_test

import (
	"context"
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

// An open is a decorator of the suite's sink and of others, into which the tests
// can look.
type open struct {
	ables
	others []inlet.Sink
}

// perfect is how a sink conforms that never fails.
func perfect() inlet.Sink { return new(sinks.Memory) }

// flaky is a sink that fails now and then.
func flaky() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) }

// hangs is a sink that [stallOther] makes hang.
func hangs() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} }

// stallOther makes the first of the others that can hang do so.
func stallOther(s inlet.Sink) (release func()) {
	for _, other := range s.(open).others {
		if h, ok := other.(*hanging); ok {
			return h.stall()
		}
	}
	panic("no sink can hang")
}

// hanging is a Memory that takes one write at a time, and none while its token
// is held.
type hanging struct {
	sinks.Memory
	hold chan struct{}
}

func (h *hanging) Write(ctx context.Context, events []*inlet.Event) error {
	select {
	case h.hold <- struct{}{}:
		defer func() { <-h.hold }()
		return h.Memory.Write(ctx, events)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stall makes the sink hang until release is called.
func (h *hanging) stall() (release func()) {
	h.hold <- struct{}{}
	return func() { <-h.hold }
}

// A wrap makes a decorator of the suite's sink and of others, and reads what it
// has stored.
type wrap struct {
	new  func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables
	read func(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event
}

// beside runs the suite over the decorator of its sink and of such others.
func (w wrap) beside(f sinktest.Features, others ...func() inlet.Sink) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		f.Durability = inlet.DurabilityMemory
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{Read: w.read, Features: f, New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
			made := make([]inlet.Sink, len(others))
			for i, newSink := range others {
				made[i] = newSink()
			}
			return open{w.new(t, inner, made), made}
		}})
	}
}
