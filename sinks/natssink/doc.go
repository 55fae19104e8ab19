// Package natssink stores events in a stream of NATS JetStream, each one once however often it is
// written within the stream's window for duplicates.
//
//	sink, err := natssink.New(ctx, "nats://stream.example:4222",
//		&natssink.Options{Migrate: true, Replicas: 3})
//
// It may be the sink of a handler: then a 200 means that the stream has the events, on several
// machines if it has replicas. Or put the journal before it, so that a 200 does not depend on the
// stream:
//
//	delivery, err := journal.Deliver("stream", sink, &journal.DeliverOptions{MaxEvents: 1000})
//
// [sinks.NewFallback] does both: it writes to the stream, and to the journal while that is down.
//
// # Messages
//
// An event is a message with the event in its canonical form. The subject is PREFIX.SOURCE.TYPE,
// such as inlet.web.track. In SOURCE and TYPE each byte that is not a letter, a digit, "_" or "-"
// is written as % and two hexadecimal digits, and a token that would be longer than 128 bytes as
// %h and a hash; the name of an event is in no subject.
//
// The header Nats-Msg-Id is SOURCE:ID, the key of the event. In both parts "%" and control
// characters, space included, are written as in subjects, and ":" is in SOURCE; one that would
// have more than 512 bytes is %h and a hash. So two events never share an id.
//
// # Once
//
// The server drops a message whose id it has seen within the stream's duplicate window. The event
// is acknowledged then and counted in Stats.Duplicates. An event that is written again after the
// window is stored again: the window has to be longer than an outage after which something is
// repeated. See Options.Window.
//
// # Batches
//
// A Write of up to 1,000 events is one atomic batch: the server stores all of them or none, with
// one commit. It needs NATS 2.12 and allow_atomic of the stream. Without them each event is
// published by itself and answered by itself, which is logged once. A batch with an event that is
// stored already is refused by the server: then halves are written, and small parts event by event.
//
// # Failures
//
// Errors that a server sends have a [*jetstream.APIError] in their chain. Only an event that is too
// large is permanently refused, and only when it is known that it is this one. Everything else is
// temporary: no leader, no quorum, a full or sealed stream, a lost connection. The documents list
// the codes.
//
// Nothing is kept in memory for later while there is no connection: the Write fails.
//
// # Durability
//
// The sink reads the configuration of the stream. It declares [inlet.DurabilityMemory] for memory
// storage, [inlet.DurabilityReplicated] for three replicas or more, and otherwise
// [inlet.DurabilityOSBuffer], or [inlet.DurabilityFsync] with Options.SyncAlways. A stream with
// asynchronous persistence is refused. The configuration is read again every minute and after the
// connection was lost: if it promises less than was declared, Writes fail, temporarily.
//
// Replicated means that the event is in the memory or the page cache of most replicas, not that it
// is on their disks: if all replicas lose power at once, what was acknowledged in the last two
// minutes can be lost, unless the servers have sync_interval: always.
//
// [sinks.NewFallback]: https://pkg.go.dev/github.com/inlet-go/inlet/sinks#NewFallback
package natssink
