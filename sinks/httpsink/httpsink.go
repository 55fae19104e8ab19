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
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// Sink forwards events to another server in requests of its batch API. Make one with
// [New].
//
// Acknowledgement: nil means that the receiver answered 2xx to every request of the
// call and listed no event as rejected. What that guarantees is Options.Durability.
//
// Splitting: a Write of more than Options.MaxEvents or Options.MaxBytes is sent as
// several requests, sequentially and in order. An event of more than 32,768 bytes has a
// request of its own, to /v1/import if that exceeds Options.MaxBytes. A request that is too
// large for the receiver (413) is sent again in halves. After a temporary failure no
// further request is sent; the [*inlet.BatchError] then lists the events that are not
// stored, or not known to be.
//
// Duplicates: every attempt carries the same message IDs and, for the same events in
// one request, the same Idempotency-Key. The transport may send a request a second time
// immediately if its connection turns out to have been closed.
//
// Context: Write returns soon after ctx is done, also while it waits for a slot. Events
// that were in flight may be stored.
//
// Concurrency: all methods may be called concurrently. Options.MaxConcurrent limits the
// requests in flight.
//
// Memory: while a Write runs, the sink holds its events' JSON, in memory that is reused,
// and the compressed bodies, in memory that is not: a transport may read a body after it
// has returned the response. The sink starts no goroutine.
type Sink struct {
	classifier
	endpoint     string
	imports      string      // endpoint of requests that are too large for that, or ""
	plain        bool        // nothing is sent that only another Inlet reads
	header       http.Header // of every request; read-only
	limits       limits
	timeout      time.Duration
	timeoutCause error // the cause of a context that timed out
	transport    http.RoundTripper
	ownTransport *http.Transport // transport, or nil if it is the caller's
	uncompressed bool
	durability   inlet.Durability

	inFlight *sinkkit.Gate
	calls    sync.Pool // of *call
}

// New returns a sink that sends events to the server at endpoint, with the write key as
// the user name of Basic authentication. A key of two parts, "id:secret" as Jitsu has them,
// is user name and password; other keys have no password.
//
// The endpoint is the base of the API, such as "https://events.example" or, below a
// prefix, "https://shop.example/analytics", and is completed to the path of the batch
// API, /v1/batch. An endpoint that ends in /v1/batch, /v1/b, /v1/import or /s2s/batch is
// used as it is. It must be https, see Options.AllowHTTP, and must not have user
// information, a query or a fragment.
//
// The error names every argument and field at fault, and never contains the write key.
// New does not connect.
func New(endpoint, writeKey string, o *Options) (*Sink, error) {
	opts := o.copied()
	url, endpointErr := parseEndpoint(endpoint, &opts)
	if err := errors.Join(endpointErr, checkWriteKey(writeKey), opts.check()); err != nil {
		return nil, err
	}
	opts.setDefaults()
	credentials := basicCredentials(writeKey)
	s := &Sink{
		classifier: classifier{
			secrets:       secretsOf(writeKey, credentials),
			maxRetryAfter: opts.MaxRetryAfter,
		},
		endpoint:     url,
		plain:        opts.Plain,
		header:       newHeader(credentials),
		limits:       opts.limits(),
		timeout:      opts.Timeout,
		timeoutCause: fmt.Errorf("timed out after %v: %w", opts.Timeout, context.DeadlineExceeded),
		transport:    opts.Transport,
		uncompressed: opts.DisableCompression,
		durability:   opts.Durability,
		inFlight:     sinkkit.NewGate(opts.MaxConcurrent),
	}
	if opts.imports {
		s.imports = importEndpoint(url)
	}
	if s.transport == nil {
		s.ownTransport = newTransport(&opts)
		s.transport = s.ownTransport
	}
	return s, nil
}

// basicCredentials returns a write key as Basic authentication carries it: as a user name
// without a password or, if it has two parts as those of Jitsu, as user name and password.
func basicCredentials(key string) string {
	if !strings.Contains(key, ":") {
		key += ":"
	}
	return base64.StdEncoding.EncodeToString([]byte(key))
}

// secretsOf returns what removes the key from a text: also as credentials, and the secret of a
// key that has two parts.
func secretsOf(key, credentials string) sinkkit.Secrets {
	_, secret, _ := strings.Cut(key, ":")
	return sinkkit.NewSecrets("[write key]", credentials, key, secret)
}

// checkWriteKey refuses keys that Basic authentication cannot carry, and characters that
// are probably a mistake, such as the newline of the file that the key was read from, or the
// colon of a command line.
func checkWriteKey(key string) error {
	id, secret, two := strings.Cut(key, ":")
	switch {
	case key == "":
		return errors.New("httpsink: writeKey is empty")
	case two && id == "":
		return errors.New("httpsink: writeKey begins with a colon; a key of two parts is id:secret")
	case two && secret == "":
		return errors.New("httpsink: writeKey ends with a colon; pass it without, Basic authentication adds one")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("httpsink: writeKey has a character that is not visible ASCII")
	}
	return nil
}

// Write sends the events and returns when their outcome is known, or cannot be known.
//
// The error is a [*inlet.BatchError] if the outcomes differ; any other error applies to
// all events, and is temporary. A request that the receiver refused as a whole for the
// content of an event is sent again in halves, down to the event that caused it. After Close
// the error is [inlet.ErrClosed].
func (s *Sink) Write(ctx context.Context, events []*inlet.Event) error {
	if err := s.inFlight.Enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	c := s.newCall(events)
	err := c.run(ctx)
	s.release(c) // not deferred: after a panic it is left to the garbage collector
	return err
}

// leave ends a Write. The last one after Close closes the connections that were in use
// until then.
func (s *Sink) leave() {
	if last := s.inFlight.Leave(); last {
		s.closeIdle()
	}
}

func (s *Sink) closeIdle() {
	if s.ownTransport != nil {
		s.ownTransport.CloseIdleConnections()
	}
}

// Close waits for the Writes whose requests are in flight, closes the idle connections,
// and makes every other Write fail with [inlet.ErrClosed], including those that wait for
// a slot. If ctx is done first, Close returns its error and may be called again to
// continue waiting; the last Write then closes the connections. A connection that is
// being made for a Write that gave up ends within Options.ConnectTimeout.
func (s *Sink) Close(ctx context.Context) error {
	drained := s.inFlight.Close()
	s.closeIdle()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("httpsink: requests are still in flight: %w", ctx.Err())
	}
}

// Check returns [inlet.ErrClosed] after Close, else nil. It does not connect: a request
// that stores nothing cannot tell whether events would be accepted, and a host that is
// taken out of service because a receiver fails could not even queue.
func (s *Sink) Check(context.Context) error {
	if s.inFlight.IsClosed() {
		return inlet.ErrClosed
	}
	return nil
}

// Durability returns Options.Durability.
func (s *Sink) Durability() inlet.Durability { return s.durability }

// String returns where the sink sends events, without the write key.
func (s *Sink) String() string { return "httpsink to " + s.endpoint }

// GoString returns String: otherwise fmt would print the fields, with the write key.
func (s *Sink) GoString() string { return s.String() }
