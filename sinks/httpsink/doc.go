// Package httpsink forwards events to another server that speaks the batch API of
// Segment: another Inlet, Segment itself, RudderStack, Jitsu. It needs nothing but
// the standard library.
//
//	upstream, err := httpsink.New("https://events.example", writeKey, nil)
//
// # Delivery
//
// A Write is one request, or several if it has more than [Options] let into one:
//
//	POST /v1/batch
//	Authorization: Basic (the write key)
//	Content-Encoding: gzip
//	Idempotency-Key: (a digest of the events' ids)
//
//	{"batch":[...],"sentAt":"2026-01-02T03:04:05.678Z"}
//
// A client waits for it, so the sink belongs behind something that can wait
// instead: behind the journal, which delivers from the disk and tries again until
// the receiver is back. Where it stands alone, a receiver that is down is a 503 to
// the client, and each client's request is one to the receiver.
//
// Delivery is at least once. What was on the way when a connection broke or a
// timeout struck comes again; message IDs stay the same, so that the receiver can
// tell.
//
// # What arrives
//
// Events are sent in their canonical form ([inlet.Event.AppendJSON]), numbers to
// the digit, but for what is not the receiver's business or is its own to say:
//
//   - receivedAt, sourceId, dialect and warnings are not sent. The receiver sets
//     its own; its source is the one of the write key.
//   - timestamp is the time of the event, corrected for the client's clock
//     already. The client's own originalTimestamp and sentAt are not sent: with
//     them the receiver would correct it again.
//   - sentAt of the request is when this attempt began, by our clock. From it the
//     receiver can correct the difference between the two servers' clocks, which
//     Inlet does from 5 seconds on.
//   - Members that no field holds go as they are: the reason in a dead letter, and
//     _client, in which Inlet keeps what a client may not say. A receiving Inlet
//     puts both below a _client of its own.
//
// So another Inlet stores equal events, but for ReceivedAt, SentAt, Source,
// Dialect and Warnings, and with the Timestamp as OriginalTimestamp too.
//
// # Answers
//
//	2xx                   stored, but for the events that it names as rejected: those are
//	                      refused for good. One that says "success":false or "ok":false
//	                      without naming any, whose list cannot be understood, or that is a
//	                      web page, is a temporary failure of the whole request.
//	400, 422              refused for good: the events it names, or all. A 400 that is about
//	                      the write key or a damaged body is temporary.
//	413                   too large: sent again in halves; a single event is refused for good.
//	                      A 400 that says so is the same.
//	401, 403, 404, 405    temporary, and so are redirects and every other status: what is
//	                      wrong in a configuration can be mended, and must not send a queue
//	                      into the dead letters.
//	408, 429, 5xx         temporary.
//	none                  temporary; the events may be stored.
//
// Temporary failures carry the wait that the receiver asks for (Retry-After, else
// X-RateLimit-Reset), up to Options.MaxRetryAfter. A [StatusError] in the error
// has the status.
//
// Segment answers 200 to a write key that it does not know, and drops the events.
// No client can notice that: look into its debugger once.
//
// # Security
//
// The endpoint is https, with TLS 1.2 at least and the system's roots, and its
// address is one of the public internet. That is checked on the connection itself,
// so a name that resolves to a private address a moment later gets nowhere. No
// redirect is followed and no proxy of the environment is used, which would both go
// around the check. [Options] open each of these where they must be open.
//
// Of an answer 64 KiB are read, and 1 KiB for each event. What it says gets into
// errors quoted, and cut after 200 bytes. The write key stands in no error and in
// no form of the sink that fmt prints, even if the receiver echoes it.
package httpsink
