package inlet

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// state is what the layers of this module know of one request. The first of
// them puts it into the context, the later ones fill it in: one allocation and
// one copy of the request, however many layers there are. It is a context
// itself, so that carrying it costs nothing more.
//
// A layer may outlive the one around it (http.TimeoutHandler returns while its
// handler still runs), so whatever two layers may touch is atomic.
type state struct {
	context.Context

	payload   atomic.Pointer[Payload]
	source    atomic.Pointer[Source]
	requestID atomic.Pointer[string]
	clientIP  atomic.Pointer[netip.Addr]
	outcome   atomic.Pointer[Outcome]
	charges   atomic.Pointer[charges]

	// Memory for what most requests need once.
	first  Payload
	sink   sinkContext
	result Outcome
	noted  atomic.Bool // result is taken
}

// note leaves an outcome for the layers outside.
func (s *state) note(o Outcome) {
	if s.noted.CompareAndSwap(false, true) {
		s.result = o
		s.outcome.Store(&s.result)
		return
	}
	again := o
	s.outcome.Store(&again)
}

type stateKey struct{}

// Value returns the state itself for its key.
func (s *state) Value(key any) any {
	if key == (stateKey{}) {
		return s
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
	s := &state{Context: r.Context()}
	return r.WithContext(s), s
}

// WithSource vouches for r: it says that whoever sent it may write to src. It
// is for authentication layers other than the ones here. The request returned
// is r itself if another layer of this module came before.
func WithSource(r *http.Request, src *Source) *http.Request {
	r, s := withState(r)
	s.source.Store(src)
	return r
}

// SourceOf returns the source that an authentication layer vouched for, or nil.
// ctx is that of a request, of a [Sink] or of an [Enricher].
func SourceOf(ctx context.Context) *Source {
	if s := stateOf(ctx); s != nil {
		return s.source.Load()
	}
	return nil
}

// WithRequestID names r in logs and in the answer to an unexpected error.
func WithRequestID(r *http.Request, id string) *http.Request {
	r, s := withState(r)
	s.requestID.Store(&id)
	return r
}

// RequestIDOf returns the id that [WithRequestID] gave the request, or "".
func RequestIDOf(ctx context.Context) string {
	if s := stateOf(ctx); s != nil {
		if id := s.requestID.Load(); id != nil {
			return *id
		}
	}
	return ""
}

// WithClientIP sets the address that the client's requests come from, for a
// layer that knows better than the connection, such as one behind a proxy.
func WithClientIP(r *http.Request, ip netip.Addr) *http.Request {
	r, s := withState(r)
	ip = ip.Unmap()
	s.clientIP.Store(&ip)
	return r
}

// ClientIPOf returns the address that [WithClientIP] set, else that of the
// connection. It is the zero Addr if neither is an IP address.
func ClientIPOf(r *http.Request) netip.Addr {
	if s := stateOf(r.Context()); s != nil {
		if ip := s.clientIP.Load(); ip != nil {
			return *ip
		}
	}
	return remoteIP(r)
}

// remoteIP returns the address of the connection.
func remoteIP(r *http.Request) netip.Addr {
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

// An Outcome is what became of a request, for logs and metrics.
type Outcome struct {
	// Dialect is the protocol of the route, "" where none was found.
	Dialect string
	// Accepted and Rejected count the request's events.
	Accepted, Rejected int
	// Code is why the request was refused, "" if it was not.
	Code Code
	// Err is the private cause of a refusal, or nil. It is for logs.
	Err error
}

// OutcomeOf returns what became of the request, after the handler has answered
// it. It is the zero Outcome where no layer of this module came before the
// caller or none after it has answered.
func OutcomeOf(ctx context.Context) Outcome {
	if s := stateOf(ctx); s != nil {
		if o := s.outcome.Load(); o != nil {
			return *o
		}
	}
	return Outcome{}
}

// sinkContext is the context of a write: the values of the request and a
// deadline of our own, without the client's cancellation. Its timer is made
// only if somebody waits on it.
type sinkContext struct {
	values   context.Context
	deadline time.Time

	once    sync.Once
	timed   context.Context
	cancel  context.CancelFunc
	waiting atomic.Bool
}

// Deadline returns the end of the time to write.
func (c *sinkContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Value returns the request's value, and not the cause of its cancellation, which
// package context keeps among the values.
func (c *sinkContext) Value(key any) any { return context.WithoutCancel(c.values).Value(key) }

// Done makes the timer on its first call.
func (c *sinkContext) Done() <-chan struct{} {
	c.once.Do(func() {
		c.timed, c.cancel = context.WithDeadline(context.WithoutCancel(c.values), c.deadline)
		c.waiting.Store(true)
	})
	return c.timed.Done()
}

// Err reports whether the time is over.
func (c *sinkContext) Err() error {
	if c.waiting.Load() {
		return c.timed.Err()
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// release stops the timer, if there is one, once the write has returned.
func (c *sinkContext) release() {
	if c.waiting.Load() {
		c.cancel()
	}
}

// A Visitor is what a request says about whoever sent it, beside its events: for
// enrichers, which do not see the request.
type Visitor struct {
	// UserAgent is the request's User-Agent, as it was sent, or "".
	UserAgent string
	// AnonymousID is an id that the host's server gave the browser, as in a
	// cookie, or "".
	AnonymousID string
	// OptedOut says that the visitor asked not to be tracked.
	OptedOut bool
}

// visitorContext carries a visitor.
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

// WithVisitor says who sent r. Layers of package middleware do.
func WithVisitor(r *http.Request, v Visitor) *http.Request {
	return r.WithContext(&visitorContext{r.Context(), v})
}

// VisitorOf returns what [WithVisitor] said last, or the zero Visitor. ctx is that
// of a request, of a [Sink] or of an [Enricher].
func VisitorOf(ctx context.Context) Visitor {
	if c, ok := ctx.Value(visitorKey{}).(*visitorContext); ok {
		return c.visitor
	}
	return Visitor{}
}

// Header names in the canonical form in which net/http keeps them, for looking
// them up without a conversion.
const (
	headerAuthorization   = "Authorization"
	headerAuthentication  = "Authentication"
	headerContentEncoding = "Content-Encoding"
	headerOrigin          = "Origin"
	headerWriteKey        = "X-Write-Key"
)

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// Read returns the payload of r and the request to pass on: a copy of r whose
// Body reads from the payload. If r.Body is such a reader already, and nobody
// has read from it, its payload is shared and r returned as it is. Whatever
// else stands in r.Body is read: a layer between may have replaced it.
//
// The caller must Release the payload when the next handler has returned. The
// error is an [*Error], to be answered by [WriteError].
func (pr *PayloadReader) Read(w http.ResponseWriter, r *http.Request) (*http.Request, *Payload, error) {
	next, s := withState(r)
	p, err := pr.read(w, r, s, pr.options.MaxBytes, time.Now())
	if err != nil {
		return r, nil, err
	}
	if r.Body == &p.body {
		return r, p, nil
	}
	if next == r {
		next = r.WithContext(r.Context())
	}
	next.Body, next.ContentLength, next.TransferEncoding = &p.body, int64(len(p.Bytes())), nil
	if _, encoded := r.Header[headerContentEncoding]; encoded {
		next.Header = maps.Clone(r.Header)
		delete(next.Header, headerContentEncoding)
	}
	return next, p, nil
}

// read returns the payload of r, held for the caller, and notes it in s.
func (pr *PayloadReader) read(w http.ResponseWriter, r *http.Request, s *state, limit int64, now time.Time) (*Payload, error) {
	if b, ok := r.Body.(*payloadBody); ok && b.offset.Load() == 0 {
		if !b.payload.acquire() {
			return nil, &Error{Code: CodeOverloaded, Err: errors.New("the payload was used after its layer had returned")}
		}
		return b.payload, nil
	}
	body, size, err := pr.readBody(w, r, min(limit, pr.options.MaxBytes), now)
	if err != nil {
		return nil, err
	}
	return s.hold(memoryOf(body), size), nil
}

// hold makes the payload of a request, with the caller as its holder.
func (s *state) hold(m *payloadMemory, size int64) *Payload {
	p := &s.first
	if s.payload.Load() != nil {
		p = new(Payload)
	}
	p.memory, p.size, p.received = m, size, len(m.bytes)
	p.body.payload = p
	p.holders.Store(1)
	s.payload.Store(p)
	return p
}

// replace makes the payload that stands for p in the layers behind the caller,
// who holds it. The layers before keep p.
func (s *state) replace(p *Payload, m *payloadMemory) *Payload {
	next := s.hold(m, p.size)
	next.received = p.received
	return next
}

// Usage is what a request holds, for layers that limit it.
type Usage struct {
	// Events counts the events that are to be stored.
	Events int
	// Bytes is the size of the body after decompression; of a pixel, of its event.
	Bytes int
}

// WithCharge has the handler call charge when it has read and checked r, and
// before anything is stored. If it returns an error, normally an [*Error] with
// [CodeRateLimited], nothing is stored, and the request is answered with it. If
// several layers do this, the outermost is asked first. It is not called for a
// request of which there is nothing to store.
//
// The request returned is r itself if another layer of this module came before.
func WithCharge(r *http.Request, charge func(ctx context.Context, u Usage) error) *http.Request {
	r, s := withState(r)
	s.charges.Store(&charges{before: s.charges.Load(), last: charge})
	return r
}

// charges are those of several layers, the innermost last.
type charges struct {
	before *charges
	last   func(context.Context, Usage) error
}

func (l *charges) charge(ctx context.Context, u Usage) error {
	if l.before != nil {
		if err := l.before.charge(ctx, u); err != nil {
			return err
		}
	}
	return l.last(ctx, u)
}

// An Observer is told of every request that a handler has answered, for metrics.
//
// Concurrency: it is called inline, by many requests at a time, and must neither
// block nor panic.
//
// Ownership: the record is lent until the call returns.
type Observer interface {
	ObserveRequest(ctx context.Context, r *RequestRecord)
}

// A RequestRecord is what became of a request. It holds no write key, no payload
// and nothing else that a client could make arbitrarily many of.
type RequestRecord struct {
	// Dialect and Path are those of the route, "" if there was none.
	Dialect, Path string
	// Source is whoever the write key belongs to, nil if nobody vouched.
	Source *Source
	// Status is the HTTP status of the answer.
	Status int
	// Code is why the request was refused, "" if it was not.
	Code Code
	// Accepted and Rejected count the request's events.
	Accepted, Rejected int
	// Rejects are the events that were refused.
	Rejects []Reject
	// WireBytes and Bytes are the sizes of the body as sent and decompressed.
	WireBytes, Bytes int
	// Duration is from the call of the handler to its answer, Write that of the
	// sink in it.
	Duration, Write time.Duration
}
