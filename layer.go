package inlet

import (
	"net/http"

	"github.com/inlet-go/inlet/internal/check"
)

// The layers of this module that work on the payload of a request: they share its memory
// with each other and with the handler. Package middleware has them as Auth, Payload and
// Migrate, and all the others.

// step is what a layer does with a request: it returns the request to pass on and the
// payload that it holds until the next handler has returned, nil for none. With an error
// the request carries what is known for the answer.
type step func(w http.ResponseWriter, r *http.Request) (*http.Request, *payload, error)

// layer returns the layer that does a step.
func layer(do step) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			passed, p, err := do(w, r)
			if err != nil {
				p.release()
				WriteError(w, passed, err)
				return
			}
			next.ServeHTTP(w, passed)
			// Not deferred: after a panic the memory may still be in use, and is left to
			// the garbage collector.
			p.release()
		})
	}
}

// Authenticate returns the layer that lets requests pass whose write key a knows, with the
// source that the key belongs to ([SourceFromContext]), and refuses the others: 401 without
// a known key, 403 for a source that is disabled or bound to other origins, 503 while keys
// cannot be checked. Requests for open routes pass as they are.
//
// The body is searched for a key only if no header and no query parameter has one. What was
// read for that is shared with the layers behind.
//
// The error names every field of the options that is out of range.
func Authenticate(a Authenticator, o *AuthOptions) (func(http.Handler) http.Handler, error) {
	var filled AuthOptions
	if o != nil {
		filled = *o
	}
	protocol, protocolErr := filled.Protocol.build()
	err := check.Options("inlet", "AuthOptions", check.NotNil("the authenticator", a == nil), protocolErr)
	if err != nil {
		return nil, err
	}
	return layer(newAuthentication(a, protocol, &filled).step), nil
}

// ReadPayload returns the layer that reads the body of each request once, bounded and
// decompressed, and passes on a copy of the request whose Body holds what was read, without
// a Content-Encoding. The layers and the handler behind share that memory; other code reads
// r.Body and gets copies. A body that cannot be read is refused: too large, or expanding
// too much, 400; an unsupported encoding, 415; too slow, 408; more than all bodies may hold
// together, 503.
//
// The error names every field of the protocol that is out of range.
func ReadPayload(p *Protocol) (func(http.Handler) http.Handler, error) {
	protocol, err := p.build()
	if err := check.Options("inlet", "Protocol", err); err != nil {
		return nil, err
	}
	return layer(func(w http.ResponseWriter, given *http.Request) (*http.Request, *payload, error) {
		if given.Body == nil || given.Body == http.NoBody {
			return given, nil, nil
		}
		r, s := withState(given)
		_, _ = s.match(protocol.routes, r) // so that a refusal has the form of the route
		return readPayload(protocol.bodies, w, given, r, s, protocol.maxBytes)
	}), nil
}

// MigratePayload returns the layer that replaces the payload of a request by its form in
// the newest version of its API, such as [CommandersActV1] does. A request to which the
// migration does not apply passes unread. Events that cannot be migrated pass as they are,
// for the handler to refuse.
//
// The limits of the handler apply to what was received, not to the new form.
//
// The error names every field of the options that is out of range.
func MigratePayload(m Migration, o *MigratePayloadOptions) (func(http.Handler) http.Handler, error) {
	var filled MigratePayloadOptions
	if o != nil {
		filled = *o
	}
	protocol, protocolErr := filled.Protocol.build()
	var shadowErr error
	if filled.Shadow && filled.Report == nil {
		shadowErr = check.Fault("Shadow", "needs a Report")
	}
	err := check.Options("inlet", "MigratePayloadOptions", check.NotNil("the migration", m == nil), shadowErr, protocolErr)
	if err != nil {
		return nil, err
	}
	return layer((&migrator{migration: m, options: filled, protocol: protocol}).step), nil
}
