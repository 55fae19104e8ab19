// Package sinktest checks that a sink keeps the contract of [inlet.Sink]: every clause that is
// observable from outside, one by one, each named by a sentence.
//
// A sink of your own needs one test:
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, sinktest.Harness{
//			New:  func(t testing.TB) inlet.Sink { return mysink.New() },
//			Read: func(t testing.TB, s inlet.Sink) []*inlet.Event {
//				return s.(*mysink.Sink).All()
//			},
//		})
//	}
//
// The name of a failed subtest is the rule that is broken, such as "a Sink must not keep
// events after Write returns"; its text is what was observed and how to fix it. Run it with
// -race too, which detects more than any suite can. [Check] is the same outside of go test.
//
// # Hooks
//
// Only the author of a sink can make the store behind it hang, panic or crash, and knows
// which events it refuses or drops. Each hook in [Features] that you set adds the clauses that
// need it; the others are skipped, with the reason.
//
// # Decorators
//
// A decorator needs only its constructor, since the suite has the inner sink:
//
//	func TestConformance(t *testing.T) {
//		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
//			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
//				return mysink.NewDecorator(inner)
//			},
//		})
//	}
//
// [RunDecorator] checks it as a sink, over an inner sink that works and over one that fails
// at times; both also hang and panic where a clause requires it. Further clauses check what
// a decorator owes to its inner sink, and what it must pass on from it. [CheckDecorator] is
// the same outside of go test, and [Flaky] is a decorator that fails at times, for your own
// tests.
//
// # How the suite treats a sink
//
// The suite lends events as the handler does: their raw JSON is contiguous in one array. The
// clauses about ownership overwrite slice, structs and bytes when Write has returned, and look
// for the overwritten content in the store. The events contain what JSON allows and code often
// breaks: integers beyond 2^53, U+0000, empty names, U+FFFD, deep nesting, line breaks between
// tokens. Stored events may differ from written ones in white space only.
//
// Stores that cannot hold U+0000, or that normalise JSON, declare it: see [Features].NoNUL and
// [Features].Same. Content that a sink does not accept or changes without declaring it is reported
// by one clause, and the clauses after it write other content instead.
//
// Each clause makes a new sink, writes events with ids that never repeat, and ignores other
// events that Read returns, so that sinks may share one store.
package sinktest
