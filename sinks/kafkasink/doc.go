// Package kafkasink writes events to topics of Apache Kafka, or of what speaks its protocol: each
// event is a record that all in-sync replicas have acknowledged.
//
//	sink, err := kafkasink.New(ctx, "kafka-1.example:9092,kafka-2.example:9092",
//		&kafkasink.Options{Topic: "events"})
//
// In front, as the sink of the handler, a 200 then means that the event is replicated. Behind the
// journal it does not depend on the brokers, and nothing is lost while they are down:
//
//	delivery, err := journal.Deliver("kafka", sink, &journal.DeliverOptions{
//		MinEvents: 500, MaxDelay: 200 * time.Millisecond,
//	})
//
// # The record
//
// The value is the event in its canonical form. The key is the user ID, or without one the
// anonymous ID, or without both the message ID; the partition is the one that the Java client
// chooses for this key (murmur2). The timestamp is the time at which the event was received, since
// brokers refuse and delete records by it: see Options.EventTime. The headers are inlet-source and
// inlet-message-id, which together identify the event, inlet-type, and inlet-event for the name of
// a track event.
//
// # Durability
//
// The sink always waits for all in-sync replicas (acks=all) and its producer is idempotent: what
// the client sends again by itself is stored once. Options that would break this are refused.
// [New] reads the topics: it declares [inlet.DurabilityReplicated] if each has at least two
// replicas and a min.insync.replicas of at least two, and otherwise [inlet.DurabilityOSBuffer],
// with a log line that says what to change, since brokers acknowledge before they flush. Where the
// brokers do not let it read that setting, Options.Durability declares it.
//
// # More than once
//
// An event that is written again is another record. That happens when a Write fails and its outcome
// is unknown, and when a client or a delivery repeats what it got no answer for. Consumers drop
// repetitions by the headers inlet-source and inlet-message-id.
//
// # Failures
//
// Errors have the broker's [*kerr.Error] in their chain. A broker refuses a whole batch of records
// for one that is too large or invalid. The sink then sends each of them alone, and only what fails
// alone is permanent. Everything else is temporary: missing leaders and replicas, missing
// permissions, topics that somebody deleted. The documents list the codes.
package kafkasink
