// Package sinks has the small sinks that need no client library, and decorators
// for every sink. All of them keep the contract of [inlet.Sink].
//
// # Which one
//
//   - [Memory] keeps events in this process. For tests and demonstrations.
//   - [Discard] counts events and drops them. For load tests of what stands in
//     front of a sink, and for staging.
//   - [NDJSON] writes one line of JSON an event to an [io.Writer]: a terminal, a
//     pipe, a file. Package journal is the one to use for events that must not
//     be lost.
//   - [Dedupe] passes an event on once, however often a client sends it. For
//     every sink that does not recognise a message ID by itself.
//   - [Fanout] writes every event to several sinks, [Route] each to one of them.
//   - [Filter] passes on only some of the events, [Transform] changes them.
//   - [DeadLetter] puts aside what a sink refuses for good, [Retry] writes again
//     what it fails to store for a moment, [Timeout] bounds how long that takes,
//     [Batch] gathers concurrent writes where a call is dear.
//
// # Writing a sink
//
// One method is enough: [inlet.Sink] is its contract, and [inlet.SinkFunc] makes
// a sink of a function. What it can do beyond Write it says by the optional
// interfaces [inlet.Flusher], [inlet.Closer], [inlet.Checker] and
// [inlet.Durable]; a decorator that neither stores nor acknowledges early
// implements [inlet.Unwrapper] instead. Whatever it is, run package sinktest
// over it: one test checks every clause of the contract, and names the
// one that does not hold.
package sinks
