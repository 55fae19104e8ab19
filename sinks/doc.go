// Package sinks has sinks that need no client library, and decorators for every sink. All
// of them keep the contract of [inlet.Sink].
//
// # Which one
//
//   - [Memory] keeps events in this process. For tests and demonstrations.
//   - [Discard] counts events and drops them. For load tests of what is in front of a sink,
//     and for staging.
//   - [NDJSON] writes one line of JSON per event to an [io.Writer]: a terminal, a pipe, a
//     file. For events that must not be lost use package journal.
//   - [Dedupe] passes an event on once, however often a client sends it. For every sink that
//     does not recognise a message ID by itself.
//   - [Fanout] writes every event to several sinks, [Route] each event to one of them.
//   - [Filter] passes on only some of the events, [Transform] changes them.
//   - [DeadLetter] stores elsewhere what a sink permanently refuses, [Retry] retries
//     temporary failures, [Timeout] bounds the duration of a Write, [Batch] combines
//     concurrent Writes where calls are expensive.
//
// # Statistics
//
// A sink or decorator that counts has a method Stats, which returns a snapshot: a struct
// of its own, such as [RetryStats]. Counters begin at 0 when the sink is made. Stats may be
// called at any time and concurrently with all other methods, also after Close. The fields
// of one snapshot are not read at the same instant.
//
// # Writing a sink
//
// One method is enough: [inlet.Sink] is its contract, and [inlet.SinkFunc] turns a function
// into a sink. Abilities in addition to Write are optional interfaces: [inlet.Flusher],
// [inlet.Closer], [inlet.Checker] and [inlet.Durable]; a decorator that neither stores nor
// acknowledges early implements [inlet.Unwrapper] instead. Test every sink with package
// sinktest: one test checks every clause of the contract and names the one that is broken.
package sinks
