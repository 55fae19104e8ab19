package httpsink

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// Sink forwards events to another server in requests of its batch API. Make one
// with [New].
//
// Acknowledgement: nil means that the receiver answered 2xx to every request of
// the call, and named no event that it refused. What that is worth is
// Options.Durability.
//
// Splitting: a Write of more than Options.MaxEvents or Options.MaxBytes is sent
// as several requests, one after the other and in order. One that is too large
// for the receiver (413) is sent again in halves. After a request that failed
// temporarily nothing more is sent; the [*inlet.BatchError] then names what is
// not stored, or not known to be.
//
// Duplicates: every attempt carries the same message IDs and, for the same
// events in one request, the same Idempotency-Key. The same request may be sent
// a second time at once if its connection turns out to have been closed.
//
// Context: Write returns soon after it is done, also while it waits for its turn.
// What was on the way then may be stored.
//
// Concurrency: all methods may be called concurrently. Options.MaxConcurrent
// bounds the requests in flight.
//
// Memory: that of the events' JSON for as long as a Write runs, which is used
// again, and of the compressed bodies, which is not: a transport may look at them
// after it has answered. The sink has no goroutine of its own.
type Sink struct {
	endpoint   string
	header     http.Header // of every request; read-only
	limits     limits
	timeout    time.Duration
	late       error // why a request that took longer was given up
	judge      judge
	transport  http.RoundTripper
	own        *http.Transport // transport, unless it is the caller's
	plain      bool            // bodies are not compressed
	durability inlet.Durability

	gate  gate
	calls sync.Pool // of *call
}

// New returns a sink that sends events to the server at endpoint, with the write
// key as the name of Basic authentication.
//
// The endpoint is the base of the API, such as "https://events.example" or, below
// a prefix, "https://shop.example/analytics", and is completed to the path of the
// batch API, /v1/batch. One that ends in /v1/batch, /v1/b, /v1/import or /s2s/batch
// is taken as it is. It must be https, see Options.AllowHTTP, and have no user
// information, query or fragment.
//
// The error names the argument or the field that is wrong, and never the write
// key. New connects to nothing.
func New(endpoint, writeKey string, o *Options) (*Sink, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	address, err := parseEndpoint(endpoint, &opts)
	if err != nil {
		return nil, fmt.Errorf("httpsink: endpoint: %w", err)
	}
	if err := checkWriteKey(writeKey); err != nil {
		return nil, fmt.Errorf("httpsink: writeKey: %w", err)
	}
	credentials := base64.StdEncoding.EncodeToString([]byte(writeKey + ":"))
	s := &Sink{
		endpoint:   address,
		header:     newHeader(credentials),
		limits:     limits{opts.MaxEvents, opts.MaxBytes - envelopeSize, opts.MaxEventBytes},
		timeout:    opts.Timeout,
		late:       fmt.Errorf("not within %v: %w", opts.Timeout, context.DeadlineExceeded),
		judge:      judge{strings.NewReplacer(credentials, mask, writeKey, mask), opts.MaxRetryAfter},
		transport:  opts.Transport,
		plain:      opts.DisableCompression,
		durability: opts.Durability,
	}
	if s.transport == nil {
		s.own = newTransport(&opts)
		s.transport = s.own
	}
	s.gate.limit(opts.MaxConcurrent)
	return s, nil
}

// mask stands where a write key stood.
const mask = "[write key]"

// checkWriteKey refuses what Basic authentication cannot carry, and what is more
// likely a slip, such as the newline of the file that it was read from.
func checkWriteKey(key string) error {
	switch {
	case key == "":
		return errors.New("it is empty")
	case strings.ContainsRune(key, ':'):
		return errors.New("it has a colon, which Basic authentication cannot carry")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("it has a character that is no visible ASCII")
	}
	return nil
}

// Write sends the events and returns when their fate is known, or cannot be. An
// error is a [*inlet.BatchError] where the events fared differently; else it
// stands for all of them. A request that the receiver refused as a whole (400)
// makes the whole call fail for good, so that whoever bisects it, as
// sinks.DeadLetter does, finds the offender; what other requests of the call
// stored is then sent again. After Close it is [inlet.ErrClosed].
func (s *Sink) Write(ctx context.Context, events []*inlet.Event) error {
	if err := s.gate.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	c := s.begin(events)
	err := c.run(ctx)
	s.end(c) // not deferred: after a panic it is left to the collector
	return err
}

// leave ends a Write. The last one out after Close closes the connections that
// were in use until then.
func (s *Sink) leave() {
	if last := s.gate.leave(); last {
		s.closeIdle()
	}
}

func (s *Sink) closeIdle() {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}

// Close waits for the Writes whose requests are on the way, closes the idle
// connections, and makes every other Write fail with [inlet.ErrClosed], one that
// still waits for its turn included. If ctx is done first, its error is returned,
// and Close may be called again to wait on; the last Write then closes the
// connections. A connection that is being made for a Write that was given up ends
// within Options.ConnectTimeout.
func (s *Sink) Close(ctx context.Context) error {
	departed := s.gate.close()
	s.closeIdle()
	select {
	case <-departed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("httpsink: requests are still on the way: %w", ctx.Err())
	}
}

// Check returns [inlet.ErrClosed] after Close, else nil. It does not connect: no
// request that stores nothing says whether events would be taken, and a host that
// is taken out of service for a receiver's failure could not even queue.
func (s *Sink) Check(context.Context) error {
	if s.gate.closed() {
		return inlet.ErrClosed
	}
	return nil
}

// Durability returns what the options say.
func (s *Sink) Durability() inlet.Durability { return s.durability }

// String says where the sink sends events. The write key is no part of it.
func (s *Sink) String() string { return "httpsink to " + s.endpoint }

// GoString is String: what fmt makes of the fields by itself has the write key.
func (s *Sink) GoString() string { return s.String() }
