package inlet

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/body"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/order"
	"github.com/inlet-go/inlet/internal/verified"
	"github.com/inlet-go/inlet/internal/wire"
)

// Names of headers in the canonical form in which net/http keeps them, for lookups without
// a conversion.
const (
	headerAuthorization  = "Authorization"
	headerAuthentication = "Authentication"
	headerOrigin         = "Origin"
	headerWriteKey       = "X-Write-Key"
)

// firstValue returns the first of a header's values, or "".
func firstValue(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// authorization splits credentials into their scheme and what follows it.
func authorization(value string) (scheme, rest string) {
	scheme, rest, _ = strings.Cut(strings.TrimSpace(value), " ")
	return scheme, strings.TrimSpace(rest)
}

// keyInHeaders returns the key in X-Write-Key or else in Basic credentials, or "".
func keyInHeaders(header http.Header) string {
	key := strings.TrimSpace(firstValue(header[headerWriteKey]))
	if scheme, rest := authorization(firstValue(header[headerAuthorization])); key == "" && strings.EqualFold(scheme, "Basic") {
		key = basicKey(rest)
	}
	return key
}

// basicKey decodes the user name of Basic credentials, which is the write key. net/http
// insists on a colon and on padding, which published examples lack. Text that cannot be
// decoded has no key.
func basicKey(encoded string) string {
	encoded = strings.TrimRight(encoded, "=")
	var buf [128]byte // of most keys; the others grow it
	alphabet := base64.RawStdEncoding
	if strings.IndexByte(encoded, '-') >= 0 || strings.IndexByte(encoded, '_') >= 0 {
		alphabet = base64.RawURLEncoding
	}
	key, err := alphabet.AppendDecode(buf[:0], []byte(encoded))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSuffix(key, []byte{':'}))
}

// clipped bounds a text that a client sent, for a log.
func clipped(text string) string { return text[:min(len(text), 256)] }

// state is what the layers of this module know about one request. The first of them puts
// it into the context, the later ones fill it in: one allocation and one copy of the
// request, however many layers there are. It is itself a context, so that carrying it
// costs nothing more.
//
// A layer may outlive the one around it (http.TimeoutHandler returns while its handler
// still runs), so whatever two layers may touch is atomic.
type state struct {
	context.Context
	arrived time.Time   // at the outermost of our layers
	layered *layered    // nil if no layer has made the state
	lane    lanes.Lane  // of what all requests count
	late    atomic.Bool // it got its source behind a limit by source
	trial   atomic.Bool // a migration would have changed its payload, and is only on trial

	matched   atomic.Pointer[match]
	selected  atomic.Pointer[boundRoute]
	payload   atomic.Pointer[payload]
	source    atomic.Pointer[Source]
	refused   atomic.Pointer[Source] // that may not be used now
	observers atomic.Pointer[observers]
	requestID atomic.Pointer[string]
	clientIP  atomic.Pointer[netip.Addr]
	outcome   atomic.Pointer[Outcome]
	charges   atomic.Pointer[charges]
	key       atomic.Pointer[knownKey]
	protocol  atomic.Value // the *protocol of the last layer that it has entered

	// account is what the request uses of the memory that all of them share. Each layer of
	// this module and the handler enter it and leave it, deferred.
	account account.Account

	mixed atomic.Bool // two of its layers differ in their protocol

	// Memory for what most requests need once, and what of it is in use.
	used         atomic.Uint32
	firstMatch   match
	firstPayload payload
	firstOutcome Outcome
	sink         sinkContext
	turn         admission.Turn // from the reading of the body on
}

// Parts of the memory of a state, and of the layers that made it.
const (
	partMatch = 1 << iota
	partPayload
	partOutcome
	partKey
	partRead
	partRequest
	partID
	partIP
)

// take reports whether a part of the memory was not in use. It is from now on.
func (s *state) take(part uint32) bool { return s.used.Or(part)&part == 0 }

// layered is the state of a request that a layer has made, and what only layers need.
type layered struct {
	state
	trail     order.Trail   // the layers that it has passed
	given     *http.Request // as it was before its first layer
	request   http.Request  // the copy of it that has the state
	firstKey  knownKey
	firstIP   netip.Addr
	firstRead deferredRead
}

// trail returns the layers that the request has passed, or nil.
func (s *state) trail() *order.Trail {
	if s.layered == nil {
		return nil
	}
	return &s.layered.trail
}

type stateKey struct{}

// Value returns the state itself and its trail for their keys.
func (s *state) Value(key any) any {
	switch key.(type) {
	case stateKey:
		return s
	case order.TrailKey:
		return s.trail()
	}
	return s.Context.Value(key)
}

// stateOf returns the state in ctx, or nil.
func stateOf(ctx context.Context) *state {
	s, _ := ctx.Value(stateKey{}).(*state)
	return s
}

// withState returns a request that has a state, r itself if it has one already.
func withState(r *http.Request) (*http.Request, *state) {
	if s := stateOf(r.Context()); s != nil {
		return r, s
	}
	l := &layered{given: r}
	l.Context, l.arrived, l.layered, l.lane = r.Context(), time.Now(), l, lanes.Here()
	l.trail.SetLane(l.lane)
	l.request = *r.WithContext(&l.state)
	return &l.request, &l.state
}

// unshared returns the request that r is a copy of, if only layers of this module have r and none
// has set its Body yet, so that the one at a place may; r itself otherwise, or if its body is
// encoded, since its header would be changed, too.
func (s *state) unshared(r *http.Request, encoded bool, p *order.Place) *http.Request {
	l := s.layered
	if l == nil || r != &l.request || encoded || r.TransferEncoding != nil || !p.FollowsOwn(&l.trail) || !s.take(partRequest) {
		return r
	}
	return l.given
}

// copyOf returns a copy of a request.
func copyOf(r *http.Request) *http.Request {
	copied := new(http.Request)
	*copied = *r
	return copied
}

// WithState returns a request in which the layers behind leave what they find out, for a
// layer that reads it after they have returned, such as a log: what the …FromContext
// functions return. It notes when the request arrived, which is the [Event.ReceivedAt] of its
// events, and sets nothing else. The request returned is r itself if another layer of this
// module came before.
func WithState(r *http.Request) *http.Request {
	r, _ = withState(r)
	return r
}

// match returns the route of r in a table. The result of another layer is used if it was
// found in the same table for the same path, which a layer between may have changed.
func (s *state) match(t *routes, r *http.Request) (*boundRoute, error) {
	m := s.matched.Load()
	if m == nil || m.table != t || m.path != r.URL.Path || m.method != r.Method {
		m = s.keepMatch(t.find(r))
	}
	if m.name != "" {
		r.SetPathValue(m.name, m.value)
	}
	return m.route, m.err
}

// keepMatch keeps the newest match. A match that found nothing does not replace one that
// did: it belongs to a layer that sees another path.
func (s *state) keepMatch(found match) *match {
	m := &s.firstMatch
	if !s.take(partMatch) {
		m = new(match)
	}
	*m = found
	if m.route != nil || s.matched.Load() == nil {
		s.matched.Store(m)
	}
	return m
}

// route returns the route of the request, nil if no layer has found one: the one that the
// shape of the payload has selected, or else the first that its path has.
func (s *state) route() *boundRoute {
	if route := s.selected.Load(); route != nil {
		return route
	}
	if m := s.matched.Load(); m != nil {
		return m.route
	}
	return nil
}

// readPayload returns the payload of r, held for the caller, and the request to pass on: a
// copy of given whose Body reads from the payload, and which has no Content-Encoding. r is
// given itself, or a copy of it that the caller has made, which is then changed.
//
// If r.Body is such a reader already, and nothing was read from it, its payload is shared.
// Any other r.Body is read: a layer between may have replaced it.
func readPayload(bodies *bodies, w http.ResponseWriter, given, r *http.Request, s *state, limit int64) (*http.Request, *payload, error) {
	p, err := s.readPayload(bodies, w, r, limit, time.Now())
	if err != nil || r.Body == &p.body {
		return r, p, err
	}
	return withPayload(given, r, p), p, nil
}

// withPayload returns a copy of given whose Body is p: r, if that is a copy already.
func withPayload(given, r *http.Request, p *payload) *http.Request {
	return withBody(given, r, p, int64(len(p.bytes())), isEncoded(r))
}

// isEncoded reports whether a request says of its body that it is encoded.
func isEncoded(r *http.Request) bool {
	_, encoded := r.Header[headerContentEncoding]
	return encoded
}

// withBody is withPayload for a payload of a length that the caller knows, -1 for none that
// is known before it is read.
func withBody(given, r *http.Request, p *payload, length int64, encoded bool) *http.Request {
	if r == given {
		r = copyOf(r)
	}
	r.Body, r.ContentLength, r.TransferEncoding = &p.body, length, nil
	if encoded {
		r.Header = maps.Clone(r.Header)
		delete(r.Header, headerContentEncoding)
	}
	return r
}

// readPayload returns the payload of r, held for the caller, and keeps it in s.
func (s *state) readPayload(bodies *bodies, w http.ResponseWriter, r *http.Request, limit int64, now time.Time) (*payload, error) {
	if b, ok := r.Body.(*payloadBody); ok && b.offset.Load() == 0 {
		if !b.payload.acquire() {
			return nil, &Error{Code: CodeOverloaded, Err: errors.New("the payload was used after its layer had returned")}
		}
		if err := b.payload.load(limit, now); err != nil {
			b.payload.release()
			return nil, err
		}
		return b.payload, nil
	}
	buffer, size, err := s.readBody(bodies, w, r, limit, now)
	if err != nil {
		return nil, err
	}
	p := s.takePayload()
	s.fill(p, p.memoryOf(&s.account, buffer), size)
	return p, nil
}

func (s *state) charged() (*account.Account, lanes.Lane) { return &s.account, s.lane }

// readBody reads what the client sends.
func (s *state) readBody(bodies *bodies, w http.ResponseWriter, r *http.Request, limit int64, now time.Time) (*body.Buffer, int64, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return new(body.Buffer), 0, nil
	}
	if len(r.URL.RawQuery) > maxQuery {
		return nil, 0, &Error{Code: CodePayloadTooLarge, Message: fmt.Sprintf("the query is longer than %d bytes", maxQuery)}
	}
	client := s.client(r)
	if err := bodies.turns.Take(r.Context(), &s.turn, s.lane, client, r.ContentLength); err != nil {
		return nil, 0, bodyError(err)
	}
	if s.turn.Waited() {
		now = time.Now() // the client did not take that time
	}
	// The route may not be known yet, and a body of another handler, such as a file, is left
	// as it is.
	json := s.route() != nil || saysText(r.Header.Get("Content-Type"))
	buffer, size, err := bodies.read(w, r, s.lane, client, body.Terms{
		Account: &s.account, Limit: limit, Arrived: s.arrived, Begin: now, JSON: json, Worker: &s.turn,
	})
	if err != nil {
		return nil, 0, bodyError(err)
	}
	if buffer.Coding.Found == "" { // one that was compressed keeps its turn until it is stored
		s.turn.Arrived(int64(len(buffer.Bytes)))
	}
	return buffer, size, nil
}

// saysText reports whether a content type is that of text, such as JSON.
func saysText(contentType string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(strings.TrimSpace(kind), "json")
}

// client returns the address by which the bodies of one client are counted. Where a layer
// has dropped that of the client, it is that of the connection.
func (s *state) client(r *http.Request) netip.Addr {
	if ip := s.clientIP.Load(); ip != nil && ip.IsValid() {
		return *ip
	}
	return connectionIP(r)
}

// readQuery returns the payload that a route makes from r, in a turn of it, with the caller as
// its user.
func (s *state) readQuery(bodies *bodies, r *http.Request, route *boundRoute) (*payload, error) {
	cost := int64(len(r.URL.RawQuery)) * queryCost
	err := bodies.turns.Take(r.Context(), &s.turn, s.lane, s.client(r), cost)
	if err == nil {
		err = s.turn.Work(r.Context(), cost, false)
	}
	if err != nil {
		return nil, bodyError(err)
	}
	return s.makePayload(r, route)
}

// makePayload returns the payload that a route makes from r, with the caller as its user.
func (s *state) makePayload(r *http.Request, route *boundRoute) (*payload, error) {
	m := newPayloadMemory(&s.account)
	err := m.Reserve(int64(len(r.URL.RawQuery)) * queryGrowth)
	if err != nil {
		m.free()
		return nil, accountError(err)
	}
	if m.bytes, err = route.payload(r); err != nil {
		m.free()
		return nil, err
	}
	m.ownBytes = cap(m.bytes)
	m.correct()
	return s.newPayload(m, int64(len(r.URL.RawQuery))), nil
}

// dropPayload releases a payload that only the caller has seen.
func (s *state) dropPayload(p *payload) {
	s.payload.CompareAndSwap(p, nil)
	p.release()
	if p == &s.firstPayload {
		s.used.And(^uint32(partPayload))
	}
}

// queryCost is how many times as much work as a byte of a body one of a query is.
const queryCost = 4

// queryGrowth is how many times its bytes a query needs while a payload is made of it.
const queryGrowth = 16

// newPayload makes the payload of a request, with the caller as its user.
func (s *state) newPayload(m *payloadMemory, size int64) *payload {
	p := s.takePayload()
	s.fill(p, m, size)
	return p
}

// fill gives a payload its memory.
func (s *state) fill(p *payload, m *payloadMemory, size int64) {
	p.memory, p.size, p.received = m, size, len(m.bytes)
	if m.buffer != nil {
		p.coding = m.buffer.Coding
	}
	s.payload.Store(p)
}

// takePayload returns a payload that is yet to be filled, with the caller as its user.
func (s *state) takePayload() *payload {
	p := &s.firstPayload
	if !s.take(partPayload) {
		p = new(payload)
	}
	p.body.payload, p.deferred = p, nil
	p.users = 1
	return p
}

// deferPayload makes a payload that is read from r when it is first needed, with the caller
// as its user.
func (s *state) deferPayload(bodies *bodies, w http.ResponseWriter, r *http.Request, limit int64) *payload {
	p := s.takePayload()
	var d *deferredRead
	if s.layered != nil && s.take(partRead) {
		d = &s.layered.firstRead
	} else {
		d = new(deferredRead)
	}
	p.deferred = d
	d.from, d.bodies, d.r, d.limit, d.w.ResponseWriter = s, bodies, r, int32(limit), w
	s.payload.Store(p)
	return p
}

// replacePayload makes the payload that replaces p in the layers behind the caller, which
// holds it. The layers before keep p.
func (s *state) replacePayload(p *payload, m *payloadMemory) *payload {
	next := s.newPayload(m, p.size)
	next.received, next.coding, next.replaced = p.received, p.coding, p
	return next
}

// A knownKey is the write key that authenticated a request, and the names, quoted, of the members
// and parameters that may hold one.
type knownKey struct {
	text  string
	names *[]string // of what found it
}

// keepKey keeps the key for the handler, which stores no member that holds it.
func (s *state) keepKey(k knownKey) {
	var kept *knownKey
	if s.layered != nil && s.take(partKey) {
		kept = &s.layered.firstKey
	} else {
		kept = new(knownKey)
	}
	*kept = k
	s.key.Store(kept)
}

// isIn reports whether a member, or a parameter that became one, holds the key: it has the
// value of the key, and a name that holds one in some dialect, in any case, or with the
// "amp;" of an "&" that was escaped as in HTML. An unescaped "+" of the key is a space there.
func (k *knownKey) isIn(quoted, value []byte) bool {
	kind := wire.Kind(value)
	if k == nil || kind != '"' && kind != '[' || !k.isName(quoted) {
		return false
	}
	if kind == '"' {
		return k.isText(value)
	}
	for element := range wire.Elements(value) { // of a parameter that was sent more than once
		if wire.Kind(element) == '"' && k.isText(element) {
			return true
		}
	}
	return false
}

func (k *knownKey) isText(quoted []byte) bool {
	text := wire.Text(quoted)
	return text == k.text || text == strings.ReplaceAll(k.text, "+", " ")
}

func (k *knownKey) isName(quoted []byte) bool {
	name := quoted[1:]
	if rest, ok := bytes.CutPrefix(name, []byte("amp;")); ok {
		name = rest
	}
	for _, known := range *k.names {
		if len(known) == len(name)+1 && strings.EqualFold(known[1:], string(name)) {
			return true
		}
	}
	return false
}

// WithSource authenticates r: it states that its sender may write to src. It is for
// authentication layers other than [Authenticate]. The request returned is r itself if
// another layer of this module came before.
func WithSource(r *http.Request, src *Source) *http.Request {
	r, s := withState(r)
	if s.source.Swap(src) == nil && s.trail().Has(order.LimitBySource) {
		s.late.Store(true)
	}
	return r
}

// SourceFromContext returns the source that an authentication layer found, or nil. ctx is
// that of a request, of a [Sink] or of an [Enricher].
func SourceFromContext(ctx context.Context) *Source {
	if s := stateOf(ctx); s != nil {
		return s.source.Load()
	}
	return nil
}

// WithRequestID sets the id that names r in logs and in the answer to an unexpected error.
func WithRequestID(r *http.Request, id string) *http.Request {
	r, s := withState(r)
	var kept *string
	if t := s.trail(); t != nil && s.take(partID) {
		kept = t.KeepID()
	} else {
		kept = new(string)
	}
	*kept = id
	s.requestID.Store(kept)
	return r
}

// RequestIDFromContext returns the id that [WithRequestID] gave the request, or "".
func RequestIDFromContext(ctx context.Context) string {
	if s := stateOf(ctx); s != nil {
		if id := s.requestID.Load(); id != nil {
			return *id
		}
	}
	return ""
}

// WithClientIP sets the address of the client, for a layer that knows it better than the
// connection does, such as one behind a proxy.
func WithClientIP(r *http.Request, ip netip.Addr) *http.Request {
	r, s := withState(r)
	var kept *netip.Addr
	if s.layered != nil && s.take(partIP) {
		kept = &s.layered.firstIP
	} else {
		kept = new(netip.Addr)
	}
	*kept = ip.Unmap()
	s.clientIP.Store(kept)
	return r
}

// ClientIPFromContext returns the address that [WithClientIP] set. It is the zero Addr if
// no layer did: the address of the connection may be a proxy's.
func ClientIPFromContext(ctx context.Context) netip.Addr {
	if s := stateOf(ctx); s != nil {
		if ip := s.clientIP.Load(); ip != nil {
			return *ip
		}
	}
	return netip.Addr{}
}

// ClientIP returns the address that [WithClientIP] set, else that of the connection. It is
// the zero Addr if neither is an IP address.
func ClientIP(r *http.Request) netip.Addr {
	if s := stateOf(r.Context()); s != nil {
		if ip := s.clientIP.Load(); ip != nil {
			return *ip
		}
	}
	return connectionIP(r)
}

// connectionIP returns the address of the connection.
func connectionIP(r *http.Request) netip.Addr {
	if addr, ok := parseIPv4(r.RemoteAddr); ok {
		return addr
	}
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return addr.Addr().Unmap()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}

// parseIPv4 returns the address in the usual text of an IPv4 address and a port, faster than
// package netip.
func parseIPv4(text string) (_ netip.Addr, ok bool) {
	var addr [4]byte
	part, number, digits := 0, 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9' && digits < 3 && (digits == 0 || number > 0):
			number = number*10 + int(c-'0')
			digits++
		case digits > 0 && number <= 255 && (c == '.' && part < 3 || c == ':' && part == 3):
			addr[part] = byte(number)
			if c == ':' {
				return netip.AddrFrom4(addr), areDigits(text[i+1:])
			}
			part, number, digits = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	return netip.Addr{}, false
}

func areDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// A Visitor is what a request says about its sender, in addition to its events, for
// enrichers, which do not see the request.
type Visitor struct {
	// UserAgent is the request's User-Agent, as it was sent, or "".
	UserAgent string
	// AnonymousID is an id that the host's server gave the browser, as in a cookie, or "".
	AnonymousID string
	// OptedOut reports that the visitor asked not to be tracked.
	OptedOut bool
}

type visitorContext struct {
	context.Context
	visitor Visitor
}

type visitorKey struct{}

// Value returns the context itself for its key.
func (c *visitorContext) Value(key any) any {
	if key == (visitorKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithVisitor sets what the request says about its sender.
func WithVisitor(r *http.Request, v Visitor) *http.Request {
	return r.WithContext(&visitorContext{r.Context(), v})
}

// VisitorFromContext returns what [WithVisitor] set, or the zero Visitor. ctx is that of a
// request, of a [Sink] or of an [Enricher].
func VisitorFromContext(ctx context.Context) Visitor {
	if c, ok := ctx.Value(visitorKey{}).(*visitorContext); ok {
		return c.visitor
	}
	return Visitor{}
}

// An Outcome is what became of a request or of a call of [Handler.Ingest], for logs and metrics. It
// holds no write key, no payload, and nothing that a client could make arbitrarily many of, except
// Rejects.
type Outcome struct {
	// Dialect and Path are those of the route, "" if there was none.
	Dialect, Path string
	// Source is the owner of the write key, nil if it is not known. A request that was refused
	// because of its source has one, too.
	Source *Source
	// Status is the HTTP status of the answer.
	Status int
	// Code is why the request was refused, "" if it was not.
	Code Code
	// Err is the private cause of a refusal, or nil. It is for logs.
	Err error
	// Accepted and Rejected count the events of the request.
	Accepted, Rejected int
	// Unrecorded counts the refused events that [Options].Rejects did not store.
	Unrecorded int
	// Rejects are the first 16 of the events that were refused. Read-only.
	Rejects []Reject
	// WireBytes and Bytes are the sizes of the body as sent and decompressed.
	WireBytes, Bytes int
	// Duration is from the call of the handler to its answer, Write that of the sink in
	// it. They are only measured for an [Observer].
	Duration, Write time.Duration
}

// An Observer is notified of every request and of every call of [Handler.Ingest], once, for
// metrics. As [Options].Observer it is notified of the requests that reach the handler. With
// package middleware, Observe, it is notified of all others, too: those that a layer answers.
//
// Identity: one that both a layer and the handler have is notified once if the two are equal, as
// pointers to it are, or the same map. A function, or a struct that has one, is not comparable, and
// is notified twice.
//
// Concurrency: it is called inline, by many requests concurrently, and must neither block
// nor panic.
//
// Ownership: the outcome is read-only and lent until the call returns.
type Observer interface {
	// ObserveRequest is called with what became of a request, after its answer was written, or
	// of a call of Ingest, whose Dialect is [DialectIngest] and whose Status is what a request
	// would have got.
	ObserveRequest(ctx context.Context, o *Outcome)
}

// WithObserver has the handler leave o to the caller, a layer that notifies it of the outcome of
// every request ([OutcomeFromContext]), also of those that another layer answers. It returns false
// if a layer that came before does that already. The request returned is r itself if another layer
// of this module came before.
func WithObserver(r *http.Request, o Observer) (*http.Request, bool) {
	r, s := withState(r)
	before := s.observers.Load()
	if before.has(o) {
		return r, false
	}
	s.observers.Store(&observers{before, o})
	return r, true
}

// observers are those that layers notify.
type observers struct {
	before *observers
	last   Observer
}

// has reports whether o is among them.
func (l *observers) has(o Observer) bool {
	for ; l != nil; l = l.before {
		if isSameObserver(l.last, o) {
			return true
		}
	}
	return false
}

// isSameObserver reports whether two observers are equal, or the same map.
func isSameObserver(a, b Observer) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Comparable() && y.Comparable() {
		return a == b
	}
	return x.Kind() == reflect.Map && y.Kind() == reflect.Map && x.Type() == y.Type() && x.Pointer() == y.Pointer()
}

// OutcomeFromContext returns what became of the request, after it was answered. It is the
// zero Outcome if no layer of this module came before the caller, or none behind it has
// answered.
func OutcomeFromContext(ctx context.Context) Outcome {
	if s := stateOf(ctx); s != nil {
		if o := s.outcome.Load(); o != nil {
			return *o
		}
	}
	return Outcome{}
}

// setOutcome keeps an outcome for the layers outside.
func (s *state) setOutcome(o Outcome) {
	kept := &s.firstOutcome
	if !s.take(partOutcome) {
		kept = new(Outcome)
	}
	*kept = o
	s.outcome.Store(kept)
}

// WithCharge has the handler call charge after it has read and checked r, and before
// anything is stored, with the number of events that are to be stored and the size of the
// body after decompression (of a pixel, that of its event). If charge returns an error,
// normally an [*Error] with [CodeRateLimited], nothing is stored and the request is answered
// with it. If several layers do this, the outermost is called first.
//
// A request has to have more than 8 bytes, as sent, for each event beyond 20, else it is
// refused with [CodeTooManyEvents]: only repetition that was compressed needs less, and what
// is charged would not be in proportion to what was sent.
//
// Two other calls are not asked for permission, and their errors are ignored. A request that
// was refused with 400 after it was read costs no events and its bytes as sent. What was
// charged for nothing is returned by negative numbers: the events that the sink refused, and
// everything if a layer further inside did not grant its charge.
//
// The request returned is r itself if another layer of this module came before.
func WithCharge(r *http.Request, charge func(ctx context.Context, events, bytes int) error) *http.Request {
	r, s := withState(r)
	s.charges.Store(&charges{before: s.charges.Load(), last: charge})
	return r
}

// charges are those of several layers, the innermost last.
type charges struct {
	before *charges
	last   func(ctx context.Context, events, bytes int) error
}

func (l *charges) charge(ctx context.Context, events, bytes int) error {
	if l.before != nil {
		if err := l.before.charge(ctx, events, bytes); err != nil {
			return err
		}
	}
	err := l.last(ctx, events, bytes)
	if err != nil && l.before != nil && events > 0 {
		_ = l.before.charge(ctx, -events, -bytes)
	}
	return err
}

// sinkContext is the context of a write: the values of the request and a deadline of our
// own, without the client's cancellation. Its timer is made only if somebody waits on it.
type sinkContext struct {
	values   context.Context
	deadline time.Time
	verified *verified.List

	timer atomic.Pointer[sinkTimer] // nil until somebody waits
}

// A sinkTimer ends the time to write.
type sinkTimer struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline returns the end of the time to write.
func (c *sinkContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Value returns the request's value, and not the cause of its cancellation, which package
// context keeps among the values. It also returns the list of what was verified.
func (c *sinkContext) Value(key any) any {
	if verified.IsKey(key) {
		return c.verified
	}
	return context.WithoutCancel(c.values).Value(key)
}

// Done makes the timer on its first call.
func (c *sinkContext) Done() <-chan struct{} {
	if t := c.timer.Load(); t != nil {
		return t.Done()
	}
	timed, cancel := context.WithDeadline(context.WithoutCancel(c.values), c.deadline)
	if !c.timer.CompareAndSwap(nil, &sinkTimer{timed, cancel}) {
		cancel()
	}
	return c.timer.Load().Done()
}

// Err reports whether the time is over.
func (c *sinkContext) Err() error {
	if t := c.timer.Load(); t != nil {
		return t.Err()
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// stopTimer stops the timer, if there is one, after the write has returned.
func (c *sinkContext) stopTimer() {
	if t := c.timer.Load(); t != nil {
		t.cancel()
	}
}
