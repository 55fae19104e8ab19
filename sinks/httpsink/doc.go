// Package httpsink forwards events to another server that speaks the batch API of
// Segment: another Inlet, Segment itself, RudderStack, Jitsu. It requires only the
// standard library.
//
//	upstream, err := httpsink.New("https://events.example", writeKey, nil)
//
// # Delivery
//
// A Write is one request, or several if it exceeds the limits that [Options] set
// for one:
//
//	POST /v1/batch
//	Authorization: Basic (the write key)
//	Content-Encoding: gzip
//	Idempotency-Key: (a digest of the events' ids)
//
//	{"batch":[...],"sentAt":"2026-01-02T03:04:05.678Z"}
//
// Write blocks until the receiver has answered. Therefore the sink belongs behind a
// component that can afford to wait: the journal, which delivers from the disk and
// retries until the receiver is back. Used directly, a receiver that is down is a
// 503 to the client, and each request of a client is one request to the receiver.
//
// Delivery is at least once. What was in flight when a connection broke or a timeout
// expired is sent again; message IDs stay the same, so the receiver can recognise
// duplicates.
//
// # What arrives
//
// Events are sent in their canonical form ([inlet.Event.AppendJSON]), numbers digit
// by digit, as a client of Segment would send them:
//
//   - receivedAt, sourceId, dialect and warnings are not sent. The receiver sets its
//     own; its source is the one that belongs to the write key.
//   - timestamp is the time of the event, already corrected for the client's clock.
//     The client's originalTimestamp and sentAt are not sent: with them, the receiver
//     would correct the time again.
//   - sentAt of the request is when this attempt began, by the local clock. The
//     receiver can use it to correct the difference between the two servers' clocks.
//   - Members that do not belong to a field are sent unchanged: the reason in a dead
//     letter, and _client, in which Inlet keeps members with reserved names that a
//     client sent.
//
// # Another Inlet
//
// The root of a request has one more member, _inlet, which lists for each event what
// Segment's form cannot represent: its dialect, the times of the client's clock and
// the warnings. Other receivers ignore it; see [Options].Plain. Another Inlet stores
// the events equal to those here, except for ReceivedAt and Source, whatever their
// dialect and size: without a user where the dialect has none, larger or deeper than
// a client may send, and with a timestamp that is not corrected again. It refuses what
// lacks an id, a type or a name, or what its own validators refuse. Its write key is
// in the header of the request, so nothing in an event is taken for a key.
//
// An id that the first Inlet generated stays marked as generated, so a sinks.Dedupe of
// the second does not look for repeats of it. Every client with a write key can send
// such a list, and so set the dialect, the times and the warnings of its own events; it
// can set neither receivedAt nor the source, and no time that is more than a day ahead.
//
// # Responses
//
// An event is permanently rejected only if the receiver names it, or refuses the content of
// an event in a known form of JSON. Everything else is temporary: it may come from a proxy,
// and an error of configuration can be fixed, and must not move a queue into the dead letters.
//
//	2xx                   stored, except for the events that the response lists as
//	                      rejected: those are permanently rejected. Jitsu's "okEvents"
//	                      settles all events, also those that it has set aside. A
//	                      response is a temporary failure of the whole request if it
//	                      reports a failure without a list, if its list or its counts
//	                      are malformed, or if it is a web page.
//	400, 422              permanently rejected: the events that it lists, or the one that
//	                      is alone in the request, if its content is refused by a code
//	                      of Inlet or the like; several events are sent again in halves.
//	                      Temporary without such evidence: a web page, a text, an empty
//	                      body, a wrong write key, a body that was damaged in transfer.
//	413                   too large: sent again in halves. A single event is permanently
//	                      rejected if it exceeds 32,768 bytes, or if the response is
//	                      Inlet's or Segment's. A 400 with the same meaning is handled
//	                      alike.
//	401, 403, 404, 405    temporary, and so are redirects, which are not followed even to
//	                      the same host, and every other status.
//	408, 429, 5xx         temporary.
//	no response           temporary; the events may be stored.
//
// docs/SINKS.md has the answers of common servers and proxies, one by one. RudderStack refuses
// events in plain text, which looks like a proxy's: see DeliverOptions of package journal for
// an event that a destination never accepts.
//
// Temporary failures carry the wait that the receiver asks for (Retry-After, else
// X-RateLimit-Reset), up to Options.MaxRetryAfter. A [StatusError] in the error chain
// has the status.
//
// Segment answers 200 to a write key that it does not know, and drops the events. A
// client cannot notice that: check Segment's debugger once.
//
// # Security
//
// The endpoint must be https, with TLS 1.2 or newer and the system's roots, and its
// address must be on the public internet. The address is checked when the connection
// is made, so a name that later resolves to a private address is refused as well.
// Redirects are not followed and proxies of the environment are not used: both would
// bypass the check. [Options] lift each of these restrictions separately.
//
// At most 64 KiB of a response are read, plus 1 KiB for each event. Errors quote at
// most 200 bytes of it. The write key appears neither in an error nor in any form of the sink
// that fmt prints, even if the receiver echoes it or, of a key of two parts, its secret.
package httpsink
