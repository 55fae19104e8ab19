package inlet

import (
	"context"
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
