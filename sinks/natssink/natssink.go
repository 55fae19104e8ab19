package natssink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// Sink stores events in a stream of JetStream. Make one with [New].
//
// Acknowledgement: nil means that the stream has every event, as durably as Durability says. It may
// have had it before: an event whose id is in the stream's window for duplicates is not stored
// again.
//
// Order: within an atomic batch it is that of the Write, and so for batches and Writes that follow
// each other: a Write stops at the first temporary failure. Where the stream does not permit
// atomic batches, events are published one by one without waiting for each other. If one of them
// fails and is written again, it comes after those that did not. Writes that run concurrently
// have no order.
//
// Splitting: a Write of more than 1,000 events or Options.MaxBytes is several batches. The
// [*inlet.BatchError] then lists the events that are not stored, or not known to be.
//
// Failures: only an event that is larger than the server or the stream permits is permanently
// refused; the others of its Write are stored. Nothing is retried.
//
// Outages: while there is no connection, a Write waits a second for one, and fails. Nothing is
// kept for later.
//
// Context: Write returns soon after ctx is done. The outcome is then unknown.
//
// Concurrency: all methods may be called concurrently. A Write has one goroutine while it sends,
// and a sink has one until Close, as well as those of the connection.
//
// Memory: while a Write runs, the sink holds the payloads of its events, in memory that is reused.
type Sink struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	ownConn    bool
	opts       Options
	durability inlet.Durability
	secrets    sinkkit.Secrets
	log        *slog.Logger
	where      string // for String

	gate    *sinkkit.Gate
	inbox   inbox
	batches sync.Pool // of *batch
	stat    counters

	stream    atomic.Pointer[stream]
	reading   sync.Mutex    // held while the configuration is read again
	limit     atomic.Int64  // events of an atomic batch
	patience  time.Duration // how long a Write waits for a connection
	logged    atomic.Int64  // when an error of the connection was, in nanoseconds
	toldPlain atomic.Bool   // that events are published one by one

	status  chan nats.Status // of the connection
	closing sync.Once
	closed  chan struct{} // closed when everything is
}

// A Target is where the servers are: one or several URLs with commas between them, or a connection
// of the caller's.
type Target interface{ string | *nats.Conn }

// reconnectWait is how long to wait between two attempts to connect again, about, and
// reconnectPatience how long a Write waits for that.
const (
	reconnectWait     = 100 * time.Millisecond
	reconnectPatience = time.Second
)

// maxBatch is how many messages an atomic batch has at most. Servers may permit fewer.
const maxBatch = 1000

// New connects, and returns a sink that stores events in a stream. The target is a list of URLs, or
// a connection, which the caller closes after the sink. Such a connection must have been made with
// nats.ReconnectBufSize(-1): otherwise what is published while it is lost would wait in memory.
//
// It fails if no server can be reached, and if the stream is missing or is not what the sink needs:
// the error then has the configuration to create, or what to change. With Options.Migrate it
// creates a missing stream. It logs what in the configuration may lose or repeat events later:
// limits that discard old messages, a retention that needs consumers, and a window for duplicates
// that is shorter than Options.Window. No error has a password or a token.
func New[T Target](ctx context.Context, target T, o *Options) (*Sink, error) {
	opts := o.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Sink{opts: opts, log: opts.Logger, gate: sinkkit.NewGate(opts.MaxConcurrent), closed: make(chan struct{})}
	s.patience = reconnectPatience
	s.limit.Store(maxBatch)
	s.batches.New = func() any { return &batch{subjects: map[subjectKey]string{}} }
	var err error
	switch target := any(target).(type) {
	case string:
		err = s.connect(ctx, target)
	case *nats.Conn:
		err = s.use(target)
	}
	if err != nil {
		return nil, err
	}
	if err := s.prepareWithin(ctx); err != nil {
		return nil, s.classify(ctx, "stream "+s.opts.Stream, false, err)
	}
	s.status = s.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	go s.watch()
	return s, nil
}

// connect makes a connection to one of the servers of a list of URLs.
func (s *Sink) connect(ctx context.Context, list string) error {
	hosts, secrets, err := parseURLs(list)
	if err != nil {
		return err
	}
	s.describe(strings.Join(hosts, ","))
	options := nats.GetDefaultOptions()
	for text := range strings.SplitSeq(list, ",") {
		options.Servers = append(options.Servers, strings.TrimSpace(text))
	}
	connect := append([]nats.Option{
		nats.Name("inlet"),
		nats.FlusherTimeout(s.opts.AckTimeout),
		nats.ReconnectWait(reconnectWait),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.logError(err) }),
	}, s.opts.Connect...)
	connect = append(connect, nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.RetryOnFailedConnect(false))
	for _, option := range connect {
		if option == nil {
			continue
		}
		if err := option(&options); err != nil {
			return fmt.Errorf("natssink: Options: Connect: %w", err)
		}
	}
	s.hide(append(secrets, options.Password, options.Token)...)
	made := make(chan error, 1)
	var nc *nats.Conn
	go func() {
		var err error
		nc, err = options.Connect()
		made <- err
	}()
	select {
	case err = <-made:
	case <-ctx.Done():
		go func() {
			if <-made == nil {
				nc.Close()
			}
		}()
		err = ctx.Err()
	}
	if err != nil {
		return s.classify(ctx, "connect", false, err)
	}
	s.nc, s.ownConn = nc, true
	return nil
}

// errorInterval is how often an error of the connection is logged at most: a permission that is
// missing is one for each message.
const errorInterval = 10 * time.Second

// logError logs an error of the connection that belongs to no call.
func (s *Sink) logError(err error) {
	nowNano, last := time.Now().UnixNano(), s.logged.Load()
	if nowNano-last >= int64(errorInterval) && s.logged.CompareAndSwap(last, nowNano) {
		s.log.Warn("natssink: connection has an error", "error", s.secrets.HideError(err))
	}
}

// parseURLs returns the hosts of a list of URLs, and their user names, passwords and tokens.
func parseURLs(list string) (hosts, secrets []string, err error) {
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
			// Its text may have a part of the password, and so may that of the error.
			return nil, nil, errors.New("natssink: target is not a list of URLs; it is not quoted, since it may have a password")
		}
		hosts = append(hosts, u.Host)
		if u.User == nil {
			continue
		}
		_, rest, _ := strings.Cut(text, "://")
		written := rest[:strings.LastIndex(rest, "@")] // perhaps with other escapes than String has
		_, password, _ := strings.Cut(written, ":")
		secrets = append(secrets, u.User.String(), written, password)
		if password, found := u.User.Password(); found {
			secrets = append(secrets, password)
		} else { // a token
			secrets = append(secrets, u.User.Username())
		}
	}
	return hosts, secrets, nil
}

// use uses a connection of the caller's.
func (s *Sink) use(nc *nats.Conn) error {
	switch {
	case nc == nil:
		return errors.New("natssink: target is nil")
	case nc.Opts.ReconnectBufSize >= 0:
		return errors.New("natssink: target keeps messages in memory while it is not connected; make it with nats.ReconnectBufSize(-1)")
	}
	s.nc = nc
	secrets := []string{nc.Opts.Password, nc.Opts.Token}
	for _, text := range append([]string{nc.Opts.Url}, nc.Opts.Servers...) {
		if _, found, err := parseURLs(text); err == nil { // else the connection could not use it
			secrets = append(secrets, found...)
		}
	}
	s.hide(secrets...)
	s.describe(nc.ConnectedAddr())
	return nil
}

// hide keeps secrets out of errors and logs: those that contain another one first.
func (s *Sink) hide(secrets ...string) {
	slices.SortStableFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	s.secrets = sinkkit.NewSecrets("[secret]", secrets...)
}

func (s *Sink) describe(where string) {
	s.where = fmt.Sprintf("natssink to stream %s at %s", s.opts.Stream, where)
}

// watch ends the calls that wait for answers when the connection is lost, since these do not come
// any more, until the sink is closed.
func (s *Sink) watch() {
	for range s.status {
		s.inbox.failAll(errDisconnected)
		s.stream.Load().stale.Store(true)
	}
}

// readWithin reads the configuration of the stream, until ctx is done: a call of the connection
// hangs while it cannot send.
func (s *Sink) readWithin(ctx context.Context) (*stream, error) {
	type result struct {
		found *stream
		err   error
	}
	done := make(chan result, 1)
	go func() {
		found, err := s.readStream(ctx)
		done <- result{found, err}
	}()
	select {
	case r := <-done:
		return r.found, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// prepareWithin calls prepare, until ctx is done. If it fails, the connection is given back, once
// nothing uses it any more.
func (s *Sink) prepareWithin(ctx context.Context) (err error) {
	done := make(chan error, 1)
	go func() { done <- s.prepare(ctx) }()
	ended := false
	select {
	case err = <-done:
		ended = true
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	go func() {
		if !ended {
			if s.ownConn {
				s.nc.Close() // so that prepare ends
			}
			<-done
		}
		s.disconnect()
	}()
	return err
}

// Close waits for the Writes that run, and then closes the connection that New has made. Every
// other call fails with [inlet.ErrClosed]. If ctx is done first, Close returns its error, the
// connection is closed later, and Close may be called again.
func (s *Sink) Close(ctx context.Context) error {
	drained := s.gate.Close()
	s.closing.Do(func() {
		go func() {
			<-drained
			s.nc.RemoveStatusListener(s.status) // ends watch
			s.disconnect()
			close(s.closed)
		}()
	})
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("natssink: writes are still in flight: %w", ctx.Err())
	}
}

// disconnect gives back what the sink has of the connection.
func (s *Sink) disconnect() {
	if s.ownConn {
		s.nc.Close()
	} else if s.inbox.sub != nil {
		_ = s.inbox.sub.Unsubscribe()
	}
}

// Check asks the servers for the stream, and whether it promises what Durability says. It returns
// [inlet.ErrClosed] after Close.
func (s *Sink) Check(ctx context.Context) error {
	if s.gate.IsClosed() {
		return inlet.ErrClosed
	}
	found, err := s.readWithin(ctx)
	if err != nil {
		return s.classify(ctx, "check", false, err)
	}
	return found.weak
}

// Durability returns what New has read from the stream's configuration: see the documentation of
// the package.
func (s *Sink) Durability() inlet.Durability { return s.durability }

// String returns where the sink stores events, without user and password.
func (s *Sink) String() string { return s.where }

// GoString returns String: otherwise fmt would print the fields, with the password.
func (s *Sink) GoString() string { return s.String() }

// Stats is a snapshot of the counters of a [Sink].
type Stats struct {
	Stored     uint64 // events that the stream has stored
	Duplicates uint64 // events that it had already
	Refused    uint64 // events that are too large
	Batches    uint64 // atomic batches that were stored
	Single     uint64 // events that were published by themselves, and answered
}

// Stats returns the counters since New.
func (s *Sink) Stats() Stats {
	return Stats{
		Stored: s.stat.stored.Load(), Duplicates: s.stat.duplicates.Load(), Refused: s.stat.refused.Load(),
		Batches: s.stat.batches.Load(), Single: s.stat.single.Load(),
	}
}

type counters struct{ stored, duplicates, refused, batches, single atomic.Uint64 }
