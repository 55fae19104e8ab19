// Package middleware has the layers that a host puts around an ingestion
// handler, or around any other: each constructor returns a plain
// func(http.Handler) http.Handler.
//
// The usual order, from the outside in, is
//
//	Recover, RequestID, AccessLog, CORS, RateLimit by IP,
//	Payload, Auth, RateLimit by source
//
// CORS stands before everything that refuses, so that a page may read the
// refusal and a preflight, which carries no key, is answered. The limit by IP
// stands before whatever costs memory or a look-up, the limit by source behind
// Auth, which names the source. Any other middleware may stand between any two
// of them; it may read, wrap or replace the body.
//
// Layers refuse through [inlet.WriteError], in the form that the client's SDK
// understands.
//
// A constructor panics when its options can never work, as [http.ServeMux.Handle]
// does for a pattern, and names the field. A nil pointer to options is all
// defaults. What the constructors return may be used concurrently and more than
// once.
package middleware

import "fmt"

// must panics for options that can never work.
func must(constructor string, err error) {
	if err != nil {
		panic(fmt.Sprintf("middleware: %s: %v", constructor, err))
	}
}
