package sinks_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// ables are the abilities of a decorator of several sinks.
type ables interface {
	inlet.Sink
	inlet.Flusher
	inlet.Closer
	inlet.Checker
	inlet.Durable
}

// An open is a decorator of the suite's sink and of others, which the tests can
// read.
type open struct {
	ables
	others []inlet.Sink
}

// perfect is a sink that never fails.
func perfect() inlet.Sink { return new(sinks.Memory) }

// flaky is a sink that fails at times.
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

// hanging is a Memory whose writes are sequential and wait while its token
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

// A wrap makes a decorator of the suite's sink and of others, and reads what is
// stored.
type wrap struct {
	new  func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables
	read func(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event
}

// with runs the suite over the decorator of its sink and of such others.
func (w wrap) with(f sinktest.Features, others ...func() inlet.Sink) func(*testing.T) {
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

// TestConformance runs package sinktest over every sink and decorator of the package.
func TestConformance(t *testing.T) {
	t.Parallel()

	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New:      func(testing.TB) inlet.Sink { return new(sinks.Memory) },
			Read:     readMemory,
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
		})
	})

	t.Run("discard", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{New: func(testing.TB) inlet.Sink { return new(sinks.Discard) }})
	})

	t.Run("ndjson", func(t *testing.T) {
		t.Parallel()

		t.Run("to a writer", func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					p := new(page)
					return written{newNDJSON(t, p, &sinks.NDJSONOptions{Durability: inlet.DurabilityMemory}), p}
				},
				Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(written).page.events(t) },
				Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
			})
		})

		t.Run("to a buffered writer", func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					p := new(page)
					return written{newNDJSON(t, bufio.NewWriter(p), nil), p}
				},
				Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(written).page.events(t) },
				Features: sinktest.Features{Buffers: true, Ordered: true},
			})
		})
	})

	t.Run("batch", func(t *testing.T) {
		t.Parallel()
		decorates := func(o sinks.BatchOptions, f sinktest.Features) func(*testing.T) {
			return func(t *testing.T) {
				t.Parallel()
				f.Durability, f.Gathers, f.Bounds = inlet.DurabilityMemory, true, true
				o.Logger = slog.New(slog.DiscardHandler) // of panics on purpose
				sinktest.RunDecorator(t, sinktest.DecoratorHarness{
					New:      func(t testing.TB, inner inlet.Sink) inlet.Sink { return newBatch(t, inner, &o) },
					Features: f,
				})
			}
		}
		waits := sinktest.Features{Ordered: true, Partial: true}
		t.Run("by default", decorates(sinks.BatchOptions{}, waits))
		t.Run("in small batches", decorates(sinks.BatchOptions{MaxEvents: 5}, waits))
		t.Run("with a delay", decorates(sinks.BatchOptions{MaxEvents: 50, MaxDelay: time.Millisecond}, waits))
		t.Run("asynchronous", decorates(
			sinks.BatchOptions{MaxEvents: 50, Async: true, OnError: func([]*inlet.Event, error) {}},
			sinktest.Features{Ordered: true, Buffers: true},
		))
	})

	t.Run("dead letter", func(t *testing.T) {
		t.Parallel()
		// between makes a decorator between the DeadLetter and the sink of the suite.
		between := func(decorate func(inlet.Sink) inlet.Sink, letters func() inlet.Sink, f sinktest.Features) func(*testing.T) {
			return func(t *testing.T) {
				t.Parallel()
				f.Durability, f.Partial = inlet.DurabilityMemory, true // Close may come between the two sinks
				sinktest.RunDecorator(t, sinktest.DecoratorHarness{
					New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
						d := withLetters{letters: letters()}
						d.DeadLetter = newDeadLetter(t, decorate(inner), d.letters, nil)
						return d
					},
					Read:     withRefused,
					Features: f,
				})
			}
		}
		itself := func(s inlet.Sink) inlet.Sink { return s }
		refusing := func(s inlet.Sink) inlet.Sink { return sinktest.Flaky(s, &sinktest.FlakyOptions{Refuse: 5}) }
		few := func(s inlet.Sink) inlet.Sink { return picky{s} }
		usual := func(s inlet.Sink) inlet.Sink {
			return newRetry(t, newTimeout(t, s, time.Minute, nil), &sinks.RetryOptions{MinDelay: time.Microsecond})
		}
		memory := func() inlet.Sink { return new(sinks.Memory) }

		t.Run("over a plain sink", between(itself, memory, sinktest.Features{Ordered: true}))
		t.Run("over a sink that refuses every fifth event", between(refusing, memory, sinktest.Features{}))
		t.Run("around Retry and Timeout", between(usual, memory, sinktest.Features{Ordered: true}))
		t.Run("over a sink that accepts few events", between(few, memory, sinktest.Features{Ordered: true}))
	})

	// Every event becomes a letter.
	t.Run("dead letter for every event", func(t *testing.T) {
		t.Parallel()
		over := func(letters func() inlet.Sink, f sinktest.Features) func(*testing.T) {
			return func(t *testing.T) {
				t.Parallel()
				f.Durability, f.Ordered, f.Partial = inlet.DurabilityMemory, true, true
				sinktest.Run(t, sinktest.Harness{
					New: func(t testing.TB) inlet.Sink {
						d := withLetters{letters: letters()}
						d.DeadLetter = newDeadLetter(t, refusesAll{}, d.letters, nil)
						return d
					},
					Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return withRefused(t, s, nil) },
					Features: f,
				})
			}
		}
		t.Run("letters are stored", over(func() inlet.Sink { return new(sinks.Memory) }, sinktest.Features{}))
		t.Run("letters fail at times", over(
			func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) }, sinktest.Features{Fails: true},
		))
		t.Run("the sink of the letters hangs", over(
			func() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} },
			sinktest.Features{Stall: func(s inlet.Sink) func() { return s.(withLetters).letters.(*hanging).stall() }},
		))
	})

	t.Run("dedupe", func(t *testing.T) {
		t.Parallel()
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				return newDedupe(t, inner, &sinks.DedupeOptions{MaxIDs: 10_000})
			},
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Dedupes: true, Partial: true},
		})
	})

	t.Run("fallback", func(t *testing.T) {
		t.Parallel()
		drained := func(context.Context) error { return nil }
		t.Run("to its back", func(t *testing.T) {
			t.Parallel()
			sinktest.RunDecorator(t, sinktest.DecoratorHarness{
				New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
					return newFallback(t, downForever{}, inner, drained, nil)
				},
				Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Partial: true},
			})
		})
		t.Run("from a front that fails at times", func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					front := sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Call: 3, Event: 4})
					back := new(sinks.Memory)
					return open{newFallback(t, front, back, drained, nil), []inlet.Sink{front, back}}
				},
				Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return inAny(t, s, nil) },
				Features: sinktest.Features{Durability: inlet.DurabilityMemory, Partial: true},
			})
		})
	})

	t.Run("fanout", func(t *testing.T) {
		t.Parallel()
		required := wrap{read: inBoth, new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
			return newFanout(t, nil, sinks.Leg{Name: "a", Sink: others[0]}, sinks.Leg{Name: "b", Sink: inner})
		}}
		bestEffort := wrap{new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
			return newFanout(t, nil, sinks.Leg{Name: "a", Sink: inner}, sinks.Leg{Name: "b", Sink: others[0], BestEffort: true})
		}}
		plain := sinktest.Features{Ordered: true}
		fails := sinktest.Features{Ordered: true, Partial: true, Fails: true}
		stalls := sinktest.Features{Ordered: true, Stall: stallOther}

		t.Run("plain", required.with(plain, perfect))
		t.Run("a leg fails at times", required.with(fails, flaky))
		t.Run("a leg hangs", required.with(stalls, hangs))
		t.Run("a best-effort leg fails at times", bestEffort.with(plain, flaky))
		t.Run("a best-effort leg hangs", bestEffort.with(stalls, hangs))
	})

	t.Run("filter", func(t *testing.T) {
		t.Parallel()
		const unwanted = "unwanted"
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				return newFilter(t, inner, func(e *inlet.Event) bool { return e.Dialect != unwanted })
			},
			Features: sinktest.Features{
				Durability: inlet.DurabilityMemory,
				Ordered:    true,
				Drop:       func(e *inlet.Event) { e.Dialect = unwanted },
			},
		})
	})

	t.Run("retry", func(t *testing.T) {
		t.Parallel()
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				return newRetry(t, inner, &sinks.RetryOptions{MinDelay: time.Microsecond})
			},
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Partial: true},
		})
	})

	// Over a flaky sink it declares what only a sink that works can declare.
	t.Run("retry hides temporary failures", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New: func(t testing.TB) inlet.Sink {
				flaky := sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Call: 3, Event: 4})
				return newRetry(t, flaky, &sinks.RetryOptions{Attempts: 100, MinDelay: time.Microsecond})
			},
			Read:     readMemory,
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Partial: true},
		})
	})

	t.Run("route", func(t *testing.T) {
		t.Parallel()
		byType := wrap{read: inAny, new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
			return newRoute(t, others[1],
				sinks.Rule{Name: "views", Sink: inner, Match: isOf(inlet.TypePage, inlet.TypeScreen)},
				sinks.Rule{Name: "people", Sink: others[0], Match: isOf(inlet.TypeIdentify, inlet.TypeAlias)},
				sinks.Rule{Name: "acts", Sink: inner, Match: isOf(inlet.TypeTrack)},
			)
		}}
		toOne := wrap{read: inAny, new: func(t testing.TB, inner inlet.Sink, others []inlet.Sink) ables {
			return newRoute(t, others[0], sinks.Rule{Name: "all", Sink: inner, Match: func(*inlet.Event) bool { return true }})
		}}

		t.Run("plain", byType.with(sinktest.Features{Partial: true}, perfect, perfect))
		t.Run("with all events for one sink", toOne.with(sinktest.Features{Ordered: true}, perfect))
		t.Run("a sink fails at times", byType.with(sinktest.Features{Partial: true, Fails: true}, perfect, flaky))
		t.Run("a sink hangs", byType.with(sinktest.Features{Partial: true, Stall: stallOther}, hangs, perfect))
	})

	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				silent := slog.New(slog.DiscardHandler) // of panics on purpose
				return newTimeout(t, inner, time.Minute, &sinks.TimeoutOptions{Logger: silent})
			},
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Bounds: true},
		})
	})

	t.Run("transform", func(t *testing.T) {
		t.Parallel()
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				return newTransform(t, inner, func(_ context.Context, e *inlet.Event) error {
					if e.UserID == refusable {
						return inlet.Permanent(errInner)
					}
					return nil
				})
			},
			Features: sinktest.Features{
				Durability: inlet.DurabilityMemory, Ordered: true, Partial: true,
				Refuse: func(e *inlet.Event) { e.UserID = refusable },
			},
		})
	})

	// Without Read, the clauses about stored events are skipped; that lent events are
	// not modified is checked.
	t.Run("transform that changes events", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{New: func(t testing.TB) inlet.Sink {
			return newTransform(t, new(sinks.Memory), func(_ context.Context, e *inlet.Event) error {
				for i := range e.Properties {
					e.Properties[i] = ' '
				}
				e.Properties = append(e.Properties[:0], "{}"...)
				e.UserID, e.Source = "", &inlet.Source{ID: "another"}
				require.NotEmpty(t, e.MessageID)
				return nil
			})
		}})
	})
}

// withLetters is a DeadLetter and the sink of its letters.
type withLetters struct {
	*sinks.DeadLetter
	letters inlet.Sink
}

// withRefused adds the refused events to those that are stored.
func withRefused(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event {
	for _, letter := range readMemory(t, s.(withLetters).letters) {
		stored = append(stored, sinks.WithoutRefusal(letter))
	}
	return stored
}

// picky refuses every batch of more than 8 events.
type picky struct{ inlet.Sink }

func (s picky) Unwrap() inlet.Sink { return s.Sink }

func (s picky) Write(ctx context.Context, events []*inlet.Event) error {
	if len(events) > 8 {
		return inlet.Permanent(errors.New("too many events"))
	}
	return s.Sink.Write(ctx, events)
}

// refusesAll refuses all events, by name.
type refusesAll struct{}

func (refusesAll) Durability() inlet.Durability { return inlet.DurabilityReplicated }

func (refusesAll) Write(_ context.Context, events []*inlet.Event) error {
	all := make([]int, len(events))
	for i := range all {
		all[i] = i
	}
	return items(inlet.Permanent(errInner), all...)
}

// inBoth reads what both legs have stored, in the order of the suite's.
func inBoth(t testing.TB, s inlet.Sink, stored []*inlet.Event) (events []*inlet.Event) {
	there := make(map[string]bool)
	for _, e := range readMemory(t, s.(open).others[0]) {
		there[e.MessageID] = true
	}
	for _, e := range stored {
		if there[e.MessageID] {
			events = append(events, e)
		}
	}
	return events
}

// readMemory reads the Memory at the end of a chain of decorators.
func readMemory(t testing.TB, s inlet.Sink) []*inlet.Event {
	for {
		switch inner := s.(type) {
		case interface{ Events() []*inlet.Event }:
			return inner.Events()
		case inlet.Unwrapper:
			s = inner.Unwrap()
		default:
			require.FailNow(t, "there is no Memory in the chain")
		}
	}
}

// page is a writer in memory that can be read concurrently.
type page struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

// events reads the lines back.
func (p *page) events(t testing.TB) []*inlet.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	var events []*inlet.Event
	for line := range bytes.Lines(p.buf.Bytes()) {
		e := new(inlet.Event)
		require.NoError(t, e.UnmarshalJSON(line))
		events = append(events, e)
	}
	return events
}

// written is a sink and its page.
type written struct {
	*sinks.NDJSON
	page *page
}

// isOf matches the events of the types.
func isOf(types ...inlet.Type) func(*inlet.Event) bool {
	return func(e *inlet.Event) bool { return slices.Contains(types, e.Type) }
}

// inAny reads what any of the sinks has stored.
func inAny(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event {
	for _, other := range s.(open).others {
		stored = append(stored, readMemory(t, other)...)
	}
	return stored
}

// refusable is the user of the events that are to be refused.
const refusable = "to be refused"
