// Package inlet is an event ingestion API to mount into the web server that a program
// already runs: the HTTP tracking APIs of Segment and its relatives, as their published
// SDKs use them. Every accepted event goes to one small interface, [Sink].
//
// It is a library first: it opens no port, starts no goroutine and keeps no global state.
//
// # Overview
//
// [New] returns a [Handler] that writes to a sink. Layers of package middleware around it
// decide who may write ([Authenticator], [Keys]) and how much:
//
//	h, err := inlet.New(sink, nil)
//	keys := inlet.MustKeys(map[string]inlet.Source{"a write key": {ID: "web"}})
//	mux.Handle("/t/", middleware.Standard(keys, &middleware.StandardOptions{Prefix: "/t"})(h))
//
// Standard is made of layers, each a plain func(http.Handler) http.Handler. They may be left
// out, put in another order, or have others between them, by middleware.Chain; one that cannot
// do its work where it is logs a warning. The handler is closed by default:
// unauthenticated requests get 401. To change dialects or limits, give the handler a [Protocol];
// its layers share it.
//
// # Flow
//
// layers: recover, request id, access log, client IP, CORS, limit by IP, payload, auth, limit by
// source, migrate.
//
//	SDK ──HTTP──▶ the host's mux ──▶ the layers ──▶ Handler
//	   1 match     method and path → route of a dialect, once per request
//	   2 reply     to a request for settings; it ends here
//	   3 admit     the request is authenticated, and the sink not too busy
//	   4 read      the payload: once, bounded, decompressed; the route of its shape
//	   5 decode    dialect → events, problems of single events
//	   6 check     required fields, limits, validators
//	   7 charge    layers that limit what a request consumes
//	   8 enrich    ids, times, clock skew, enrichers
//	   9 write     Sink.Write, in a context that outlives the client
//	  10 answer    what happened, in the form of the route
//	     ▼
//	Sink: decorators of package sinks, the journal, yours
//
// # Terminology
//
// An event is one identify, track, page, screen, group or alias call. A dialect is one vendor's
// wire protocol. A source is the owner of a write key. A sink is where accepted events go; a
// decorator wraps a sink. The journal is the embedded durable log. A reject is an event that was
// refused.
//
// # Delivery
//
// A success is answered only after the sink has stored the events, as durably as it declares
// ([Durability]). With the journal of package sinks/journal that is: on stable storage.
// [Options.RequireDurability] makes New refuse a sink that declares less.
//
// Delivery is at least once. If the outcome of a write is unknown, the client gets 503 and sends
// the request again; the message ids identify events that are stored already, and a decorator
// such as sinks.Dedupe drops them. A client that leaves after its request was read does not abort
// the write.
//
// One bad event does not fail its batch: the good ones are stored, and the answer names the
// others by index with a code. If the client sends "X-Strict-Mode: 1", one bad event
// refuses the whole batch.
//
// # Errors
//
// Every refusal is a JSON object with success, code, message and error. Each [Code] has one
// status, from which SDKs decide whether to give up or to retry. The private cause of an
// [Error] is logged and never sent.
//
//	400  the payload is invalid or too large: every SDK gives up
//	401  no key, or an unknown one        403  the source is disabled, or bound to other origins
//	404  no such endpoint                 405  the endpoint does not support the method
//	408  the body did not arrive in time  415  unsupported encoding
//	429  over the rate, with Retry-After  500  unexpected error, with Retry-After
//	503  temporarily unavailable, with Retry-After
//
// # Security
//
// Bodies are bounded as sent and decompressed, in ratio, time, depth, members, events and
// bytes per event, by default, and while they are read. An event with a duplicate member
// name, at any depth, is refused: parsers disagree on which one counts. Invalid text is
// repaired with a warning. Write keys are removed from what is stored, and appear in no
// log, metric or answer. What only the host's own server can bound, such as slow headers,
// is in docs/OPERATIONS.md.
//
// # Writing a sink
//
// Implement [Sink], whose comment is the contract; [SinkFunc] turns a function into one.
// Events are lent until Write returns: [CloneEvents] keeps them. Return a [*BatchError] if
// some of them failed, and mark with [Permanent] what retrying cannot fix. Package sinktest
// checks all of it. Optional abilities are [Flusher], [Closer], [Checker] and [Durable]; a
// decorator passes on those of the sink that it wraps by [Unwrapper].
//
// # Writing a dialect
//
// Implement [Dialect]: its [Route]s decode a payload through an [Input], which returns the members
// of its objects as slices, and receives the events. Put it into [Protocol.Dialects], and give
// that protocol to the handler, whose layers share it: authentication searches the places that
// the dialects name for the key. The file dialect_segmentstream.go is an example: it uses only
// exported names.
package inlet
