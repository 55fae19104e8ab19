// Package middleware has the layers that a host puts around an ingestion handler, or around any
// other: each constructor returns a plain func(http.Handler) http.Handler.
//
// # Order
//
// The usual order, from the outside in, is
//
//	layers: Observe, Recover, RequestID, AccessLog, ClientIP, CORS, RateLimit by IP, IPPolicy,
//	        Identity, Payload, Auth, RateLimit by source, Migrate
//
// [Standard] puts them in this order. In a [Chain] of your own leave out the layers that you do not
// need. Why each is where it is:
//
//   - Observe notifies an observer of every request, also of those that panic. It is the
//     outermost.
//   - Recover catches the panics of everything inside it.
//   - RequestID gives the log lines and answers of everything inside it the id.
//   - AccessLog logs every request, including those that a layer inside it refuses.
//   - ClientIP precedes everything that uses the address of the client.
//   - CORS precedes everything that refuses, so that a page can read the refusal, and answers
//     preflights, which carry no key.
//   - RateLimit by IP precedes whatever costs memory or a lookup.
//   - IPPolicy follows the limit by IP, which then counts whole addresses. Right inside ClientIP,
//     nothing else sees one; inside Auth, it can tell sources apart.
//   - Identity follows ClientIP, whose address it truncates for visitors who opted out, and the
//     limit by IP, which must not depend on what a client asks for.
//   - Payload precedes everything that reads the body, such as Auth, which may have to find the
//     key in it.
//   - Auth authenticates the request, and refuses it before it costs more.
//   - RateLimit by source follows Auth, which determines the source.
//   - Migrate is next to the handler, so that the other layers see what the client sent.
//
// Any other middleware may be between two of them. It may read, wrap or replace the body, on a
// copy of the request; if Read of its Body returns an *inlet.Error, that is the answer.
//
// A layer that cannot do its work where it is logs a warning with the remedy, on the first request
// that shows it: to the Logger of its options or, if it has none, to [slog.Default] as it was at
// construction.
//
// # Conventions
//
// Layers refuse through [inlet.WriteError], in the form that the client's SDK understands.
//
// A nil pointer to options means all defaults. A constructor panics if its options can never
// work, as [http.ServeMux.Handle] does for a pattern; the value of the panic is an error that
// names every field at fault. What the constructors return may be used concurrently and more than
// once.
package middleware

// must panics if options can never work.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
