// Package sinktest checks that a sink keeps the contract of [inlet.Sink]: every
// clause that can be seen from outside, one by one, each named by a sentence.
//
// A sink of your own needs one test:
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, sinktest.Harness{
//			New:  func(t testing.TB) inlet.Sink { return mysink.New() },
//			Read: func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(*mysink.Sink).All() },
//		})
//	}
//
// and a failure reads like "a Sink must not keep the batch after Write returns".
// Run it with -race too, which sees more than any suite can. [Check] is the same
// outside of go test.
//
// # Hooks
//
// What happens when the store behind a sink hangs, panics or crashes, and what
// becomes of events that it does not want, only its author can bring about. Each
// hook in [Features] that you set adds the clauses that need it; the others are
// skipped, and say so.
//
// # Decorators
//
// A decorator needs only its constructor, since the suite brings the sink that it
// wraps:
//
//	func TestConformance(t *testing.T) {
//		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
//			New: func(t testing.TB, inner inlet.Sink) inlet.Sink { return mysink.NewDecorator(inner) },
//		})
//	}
//
// [RunDecorator] checks it as a sink, over one that works and over one that fails
// now and then, which also hang and panic where a clause is about that. Further
// clauses say what a decorator owes to the sink that it wraps, and what it must
// hand on from it. [CheckDecorator] is the same outside of go test, and [Flaky]
// makes of any sink one that fails, for tests of your own.
//
// # What it does to a sink
//
// The suite lends events as the handler does: their raw JSON lies side by side in
// one array. The clauses about that overwrite slice, structs and bytes when Write
// has returned, and look for what they have written in the store. The events hold
// what JSON allows and code often breaks: integers beyond 2^53, U+0000, empty
// names, U+FFFD, deep nesting, line breaks between tokens. What is stored may
// differ from what was written in white space only.
//
// Each clause makes a sink of its own, writes events with ids that never repeat,
// and ignores what else Read returns, so that sinks may share one store.
package sinktest
