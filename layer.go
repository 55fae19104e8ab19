package inlet

import (
	"cmp"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/order"
)

// The layers of this module that work on the payload of a request: they share its memory
// with each other and with the handler. Package middleware has them as Auth, Payload and
// Migrate, and all the others.

// step is what a layer does with a request, given as it came and with its state: it returns
// the request to pass on and the payload that it holds until the next handler has returned,
// nil for none. With an error the request carries what is known for the answer.
type step func(w http.ResponseWriter, given, r *http.Request, s *state) (*http.Request, *payload, error)

// layer returns the layer of a kind that does a step with the requests that it applies to.
// Their accounts are settled on every way out. The logger receives warnings of layers in the
// wrong place.
func layer(kind order.Layer, logger *slog.Logger, p *protocol, applies func(*http.Request) bool, do step) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return &stepLayer{p, applies, do, next, acceptsPending(next), order.New(kind, next, logger), logger, clash(p, next)}
	}
}

// protocolInside returns the protocol of the first layer or handler of this module in a chain, and
// the handler at its end; nil for what a foreign layer hides.
func protocolInside(next http.Handler) (first *protocol, end *Handler) {
	for next != nil {
		var p *protocol
		switch t := next.(type) {
		case *Handler:
			p, end, next = t.protocol, t, nil
		case *stepLayer:
			p, next = t.protocol, t.next
		case *payloadLayer:
			p, next = t.protocol, t.next
		case interface {
			Inside() (*order.Place, http.Handler)
		}:
			_, next = t.Inside()
		default:
			next = nil
		}
		first = cmp.Or(first, p)
	}
	return first, end
}

// around returns the protocol of a layer around next: p if the layer was given one, or else that
// of what is inside, so that all of a chain have the same.
func (p *protocol) around(given *Protocol, next http.Handler) *protocol {
	if inside, _ := protocolInside(next); given == nil && inside != nil {
		return inside
	}
	return p
}

// clash returns the handler at the end of a chain if what p says is not what holds there, nil if
// it is, or if the end cannot be seen.
func clash(p *protocol, next http.Handler) *Handler {
	if _, end := protocolInside(next); end != nil && !p.equal(end.protocol) {
		return end
	}
	return nil
}

// stepLayer is a layer around a handler.
type stepLayer struct {
	protocol *protocol
	applies  func(*http.Request) bool
	do       step
	next     http.Handler
	pending  bool // next accepts requests whose payload is yet to be read
	place    *order.Place
	logger   *slog.Logger
	clash    *Handler // to warn of the protocol, nil if it is right
}

// Inside returns the place of the layer and the handler inside.
func (l *stepLayer) Inside() (*order.Place, http.Handler) { return l.place, l.next }

// ServeHTTP does the step, if it applies, and passes the request on.
func (l *stepLayer) ServeHTTP(w http.ResponseWriter, given *http.Request) {
	r, s := withState(given) // also of a step that has nothing to do, so that the arrival is noted
	l.place.Enter(s, s.trail())
	applies := l.applies(given)
	if !applies && (l.pending || !pending(given)) {
		l.next.ServeHTTP(w, r)
		return
	}
	l.clash.warnProtocol(s)
	l.protocol.enter(s)
	defer s.account.Leave()
	passed, p, err := r, (*payload)(nil), error(nil)
	if applies {
		passed, p, err = l.do(w, given, r, s)
	}
	if err == nil && p == nil && !l.pending {
		p, err = complete(passed)
	}
	if err != nil {
		p.release()
		logOverload(r, err)
		l.checkPreflight(passed)
		writeError(w, passed, err, l.protocol.bodies)
		return
	}
	p.keep()
	l.next.ServeHTTP(w, passed)
	// Not deferred: after a panic the memory may still be in use, and is left to
	// the garbage collector.
	p.unkeep()
}

// checkPreflight warns, once, if a request that the layer refuses is one that a layer for CORS
// would have answered, had there been one outside.
func (l *stepLayer) checkPreflight(r *http.Request) {
	isPreflight := r.Method == http.MethodOptions && len(r.Header["Access-Control-Request-Method"]) > 0
	if isPreflight && l.place.Lacks(r.Context(), order.CORS) {
		l.logger.WarnContext(r.Context(), "inlet: preflight refused, since no layer for CORS is outside of Auth; "+
			"put middleware.CORS there if pages of other origins are to send events",
			"origin", clipped(firstValue(r.Header[headerOrigin])))
	}
}

// acceptsPending reports whether a handler knows what to do with a request whose payload is
// yet to be read: it is the ingestion handler, or a layer of ours in front of any other.
func acceptsPending(h http.Handler) bool {
	for {
		switch t := h.(type) {
		case *Handler, *stepLayer, *payloadLayer:
			return true
		case admission.Transparent:
			h = t.Next()
		default:
			return false
		}
	}
}

// complete reads the payload of a request, if a layer in front has left that to those
// behind, for a handler that does not know about it. The payload is used by the caller. The
// request is the copy that the layer in front has made, and only layers of ours have seen.
func complete(r *http.Request) (*payload, error) {
	if !pending(r) {
		return nil, nil
	}
	p := r.Body.(*payloadBody).payload
	if !p.acquire() {
		return nil, nil // reading it fails
	}
	if err := p.load(math.MaxInt64, time.Now()); err != nil {
		return p, err
	}
	r.ContentLength = int64(len(p.bytes()))
	return p, nil
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
	every := func(*http.Request) bool { return true }
	return func(next http.Handler) http.Handler {
		authentication := newAuthentication(a, protocol.around(filled.Protocol, next), &filled)
		return layer(order.Auth, authentication.logger, authentication.protocol, every, authentication.step)(next)
	}, nil
}

// ReadPayload returns the layer that reads the body of each request once, bounded and
// decompressed, and passes on a copy of the request whose Body holds what was read, without
// a Content-Encoding. The first bytes of a body decide how it is decompressed, if it is for a
// route or of a content type of text, and its header otherwise. The layers and the handler
// behind share that memory; other code reads r.Body and gets copies.
//
// A layer in front may have put a Body of its own there, such as one that decrypts. Its length
// need not be known (ContentLength -1). If its Read returns an [*Error], that is the answer.
//
// A body that cannot be read is refused: too large, or expanding too much, 400; an
// unsupported encoding, 415; too slow, 408; more than all bodies may hold together, or more
// from one client than its share, 503.
//
// In front of a layer or handler of this module, the body is read when the first of those
// behind needs it, so that they can refuse a request first: a key in a header or the query
// is checked before a byte of the body is read.
//
// A body has to arrive within [PayloadLimits.ReadTimeout] and, after its first two seconds,
// at 1 KiB per second on average. One client address, or IPv6 network of 64 bits, may have
// 512 bodies read concurrently.
//
// Without a protocol, the layer has that of the layer or handler of this module which is right
// inside of it; if it cannot see one, all defaults.
//
// The error names every field of the protocol that is out of range.
func ReadPayload(p *Protocol) (func(http.Handler) http.Handler, error) {
	protocol, err := p.build()
	if err := check.Options("inlet", "Protocol", err); err != nil {
		return nil, err
	}
	own := newPayloadBounds(protocol.bodies, math.MaxInt64)
	var given *payloadBounds
	var once sync.Once
	return func(next http.Handler) http.Handler {
		bounds := own
		if b, ok := next.(admission.Bounded); ok {
			once.Do(func() { given = boundsOf(protocol, b.BodyBounds()) })
			bounds = given
		}
		around := protocol.around(p, next)
		return &payloadLayer{
			bounds, around, bounds.bodies.reading(around.bodies), next, acceptsPending(next),
			order.New(order.Payload, next, bounds.bodies.logger), clash(around, next),
		}
	}, nil
}

// payloadBounds are those of a payload layer, over all handlers that it was put around.
type payloadBounds struct {
	bodies   *bodies // has what bounds them
	inFlight lanes.Credits
}

func boundsOf(p *protocol, b admission.Bodies) *payloadBounds {
	return newPayloadBounds(p.bodies.within(b), int64(b.MaxInFlight))
}

func newPayloadBounds(b *bodies, most int64) *payloadBounds {
	bounds := &payloadBounds{bodies: b}
	bounds.inFlight.Init(most)
	return bounds
}

// payloadLayer is the layer of [ReadPayload] around a handler.
type payloadLayer struct {
	*payloadBounds
	protocol *protocol
	bodies   *bodies // within the bounds
	next     http.Handler
	pending  bool // next accepts requests whose payload is yet to be read
	place    *order.Place
	clash    *Handler // as that of stepLayer
}

// Inside returns the place of the layer and the handler inside.
func (l *payloadLayer) Inside() (*order.Place, http.Handler) { return l.place, l.next }

// ServeHTTP passes a request on, with its payload or with what reads it.
func (l *payloadLayer) ServeHTTP(w http.ResponseWriter, given *http.Request) {
	r, s := withState(given)
	if !l.inFlight.Take(s.lane, 1) {
		l.refuse(w, given, overloaded(&tooManyInFlight))
		return
	}
	l.place.Enter(s, s.trail())
	if !hasBody(given) {
		defer l.inFlight.Give(s.lane, 1)
		l.next.ServeHTTP(w, r)
		return
	}
	encoded := isEncoded(given)
	given = s.unshared(given, encoded, l.place)
	l.clash.warnProtocol(s)
	l.protocol.enter(s)
	defer s.account.Leave()
	_, _ = s.match(l.protocol.routes, r) // so that a refusal has the form of the route
	p := s.deferPayload(l.bodies, w, given, l.protocol.maxBytes)
	p.slot.Store(&l.inFlight)
	p.lane = s.lane
	defer p.leaveSlot()
	defer s.turn.End()
	defer p.deferred.w.end()
	if l.pending {
		r = withBody(given, r, p, announced(given, encoded), encoded)
	} else if err := p.load(math.MaxInt64, time.Now()); err != nil {
		p.release()
		p.leaveSlot()
		l.refuse(w, r, err)
		return
	} else {
		r = withPayload(given, r, p)
	}
	p.keep()
	l.next.ServeHTTP(w, r)
	p.unkeep() // not deferred, as in layer
}

// hasBody reports whether a request has a body to read.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// refuse answers a request that is not passed on.
func (l *payloadLayer) refuse(w http.ResponseWriter, r *http.Request, err error) {
	l.bodies.logOverload(r.Context(), err)
	writeError(w, r, err, l.bodies)
}

// announced returns the length of the decoded body of r, -1 if its header does not say.
func announced(r *http.Request, encoded bool) int64 {
	if encoded {
		return -1
	}
	return r.ContentLength
}

// MigratePayload returns the layer that replaces the payload of a request by its form in
// the newest version of its API, such as [CommandersActV1] does. A request to which the
// migration does not apply passes unread. Events that cannot be migrated pass as they are,
// for the handler to refuse with the reason that the report has.
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
	logger := slog.Default()
	return func(next http.Handler) http.Handler {
		g := &migrator{migration: m, options: filled, protocol: protocol.around(filled.Protocol, next)}
		return layer(order.Migrate, logger, g.protocol, g.applies, g.step)(next)
	}, nil
}
