package middleware

import (
	"net/http"
	"slices"
)

// Chain makes one middleware of several. The first is the outermost: it sees the request first
// and the response last. Nil ones are skipped, so that one may depend on a condition.
func Chain(ms ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	ms = slices.Clone(ms)
	return func(next http.Handler) http.Handler {
		for _, m := range slices.Backward(ms) {
			if m != nil {
				next = m(next)
			}
		}
		return next
	}
}

// A place is where a layer belongs in a chain.
type place struct {
	layer  string
	inside []string // the layers that must be outside of it, if they are there at all
	why    string   // the line of it in the package documentation
	rare   bool     // most hosts do not need it
}

// order has the layers from the outside in. A test compares every place that shows the order with
// it: the documentation of this package and of the root, README.md, docs/ and the examples.
var order = []place{
	{layer: "Recover", why: "catches the panics of everything inside it."},
	{
		layer: "RequestID", inside: []string{"Recover"},
		why: "gives the log lines and answers of everything inside it the id.",
	},
	{
		layer: "AccessLog", inside: []string{"Recover", "RequestID"},
		why: "logs every request, including those that a layer inside it refuses.",
	},
	{
		layer: "ClientIP", inside: []string{"Recover"},
		why: "precedes everything that uses the address of the client.",
	},
	{
		layer: "CORS", inside: []string{"Recover", "AccessLog"},
		why: "precedes everything that refuses, so that a page can read the refusal, and answers " +
			"preflights, which carry no key.",
	},
	{
		layer: "RateLimit by IP", inside: []string{"ClientIP", "CORS"},
		why: "precedes whatever costs memory or a lookup.",
	},
	{
		layer: "IPPolicy", inside: []string{"ClientIP"}, rare: true,
		why: "follows the limit by IP, which then counts whole addresses. Right inside ClientIP, " +
			"nothing else sees one; inside Auth, it can tell sources apart.",
	},
	{
		layer: "Identity", inside: []string{"ClientIP", "RateLimit by IP"}, rare: true,
		why: "follows ClientIP, whose address it truncates for visitors who opted out, and the " +
			"limit by IP, which must not depend on what a client asks for.",
	},
	{
		layer: "Payload", inside: []string{"CORS", "RateLimit by IP"},
		why: "precedes everything that reads the body, such as Auth, which may have to find the " +
			"key in it.",
	},
	{
		layer: "Auth", inside: []string{"CORS", "RateLimit by IP", "Payload"},
		why: "authenticates the request, and refuses it before it costs more.",
	},
	{
		layer: "RateLimit by source", inside: []string{"Auth"},
		why: "follows Auth, which determines the source.",
	},
	{
		layer: "Migrate", inside: []string{"Payload", "Auth", "RateLimit by source"},
		why: "is next to the handler, so that the other layers see what the client sent.",
	},
}
