// Package server is the ingestion API as a process of its own: a journal in a directory, the API
// at an address, and an end in the right order. The command inlet and examples/standalone are
// made of it.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inspector"
	"github.com/inlet-go/inlet/keyfile"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A Config is what a server is made of.
type Config struct {
	Addr string // to listen on
	Dir  string // of the journal

	Keys    []string // write keys, see AddKey; none: one is generated and kept
	KeyFile string   // of package keyfile; "" is none

	TLSCert, TLSKey string // files in PEM; "" is plain HTTP
	MetricsAddr     string // to serve metrics on; "" is none
	InspectorAddr   string // of the loopback interface, to serve the inspector on; "" is none

	Layers    middleware.StandardOptions // without Migrations, Protocol, Observer and Logger
	PublicURL string
	OpenAPI   bool  // serve the description of the API
	Memory    int64 // bytes that all requests may use together; 0 is the default

	RetainBytes  int64 // see journal.Options
	RetainAge    time.Duration
	Destinations []Destination
	NoRejects    bool // refused events are not stored

	PlanFile string // of package plan; "" is none

	LockTimeout  time.Duration // see journal.Options
	StopDelay    time.Duration // from the end of ctx on, while it serves, and is not ready
	DrainTimeout time.Duration // that all destinations have everything; 0 does not wait

	Logger *slog.Logger
}

// UntilSignal returns a context that is done once the process has received one of the signals. By
// then a second one has its default effect, which is to end the process.
func UntilSignal(signals ...os.Signal) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	go func() {
		<-received
		signal.Stop(received) // before cancel: a second signal may follow at once
		cancel()
	}()
	return ctx
}

// A server is what Run has opened, which it closes in the reverse order.
type server struct {
	Config
	store   *journal.Journal
	rejects *journal.Journal // nil if refused events are not stored
	plan    *plan.File       // nil if there is none
	aside   *journal.Journal // what the plan quarantines; nil without a plan
	keys    inlet.Authenticator
	close   []func() error

	inspector *inspector.Inspector // nil if there is none
	apiURL    string               // what the inspector says that events are sent to
	running   deliveries

	stopping atomic.Bool // it is about to stop, and no longer ready
}

// Run serves the API until ctx is done. It prints on stdout how to use it.
func (c Config) Run(ctx context.Context, stdout io.Writer) (err error) {
	s := &server{Config: c}
	defer func() {
		for i := len(s.close) - 1; i >= 0; i-- {
			err = errors.Join(err, s.close[i]())
		}
	}()
	if err := s.open(ctx); err != nil {
		if errors.Is(err, errStopped) {
			return nil
		}
		return err
	}
	if err := s.openInspector(); err != nil {
		return err
	}
	metrics := newMetrics(s)
	protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: c.Memory}, OpenAPI: c.OpenAPI}
	api, err := s.newAPI(ctx, protocol, metrics)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // it is to stop before it has read all ids
	case err != nil:
		return err
	}
	tlsConfig, err := s.tlsConfig()
	if err != nil {
		return err
	}
	if err := s.serveMetrics(metrics); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	s.close = append(s.close, listenerCloser(listener))
	s.apiURL = s.baseURL(listener.Addr())
	if err := s.serveInspector(); err != nil {
		return err
	}
	if err := s.deliver(); err != nil {
		return err
	}
	fmt.Fprint(stdout, s.greeting(listener.Addr()))
	root := newHTTP(s.routes(api, protocol, metrics), c.Logger)
	root.TLSConfig = tlsConfig
	return errors.Join(serve(ctx, root, listener, api, s.linger), s.drain())
}

// Serve serves an API at a listener, below other routes or not. It returns when ctx is done and
// every request has been answered, or when the server fails.
func Serve(ctx context.Context, root http.Handler, listener net.Listener, api *inlet.Handler, logger *slog.Logger) error {
	return serve(ctx, newHTTP(root, logger), listener, api, nil)
}

// listenerCloser closes a listener that no server has closed.
func listenerCloser(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// RejectsDir is the directory of the refused events, below that of the journal.
const RejectsDir = "rejects"

// maxRejectBytes is how many bytes of refused events are kept, the newest.
const maxRejectBytes = 256 << 20

// errStopped is returned by what ends because the server is to stop.
var errStopped = errors.New("stopped")

// openStore opens the journal. If it is to stop while another process has the directory, it leaves
// the wait behind, which ends with the process and has changed nothing.
func (s *server) openStore(ctx context.Context) error {
	opened := make(chan *journal.Journal, 1)
	failed := make(chan error, 1)
	go func() {
		store, err := journal.Open(s.Dir, &journal.Options{
			RetainBytes: s.RetainBytes, RetainAge: s.RetainAge, LockTimeout: s.LockTimeout, Logger: s.Logger,
		})
		if err != nil {
			failed <- err
			return
		}
		opened <- store
	}()
	select {
	case s.store = <-opened:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return errStopped
	}
}

// open opens the journals and the keys.
func (s *server) open(ctx context.Context) (err error) {
	if err = s.openStore(ctx); err != nil {
		return err
	}
	s.close = append(s.close, sinkCloser(s.store))
	if !s.NoRejects {
		s.rejects, err = journal.Open(rejectsDir(s.Dir), &journal.Options{
			SegmentBytes: maxRejectBytes / 32, RetainBytes: maxRejectBytes, Logger: s.Logger.With("journal", RejectsDir),
		})
		if err != nil {
			return err
		}
		s.close = append(s.close, sinkCloser(s.rejects))
	}
	if err := s.openPlan(); err != nil {
		return err
	}
	return s.openKeys()
}

// ViolationsDir is the directory of the events that a tracking plan quarantines, below that of the
// journal.
const ViolationsDir = "violations"

// openPlan reads the tracking plan, if there is one. What it quarantines was acknowledged, so that
// is retained as all events are.
func (s *server) openPlan() (err error) {
	if s.PlanFile == "" {
		return nil
	}
	if s.plan, err = plan.Open(s.PlanFile, &plan.FileOptions{Logger: s.Logger}); err != nil {
		return err
	}
	s.close = append(s.close, s.plan.Close)
	s.aside, err = journal.Open(filepath.Join(s.Dir, ViolationsDir), &journal.Options{
		RetainBytes: s.RetainBytes, RetainAge: s.RetainAge, Logger: s.Logger.With("journal", ViolationsDir),
	})
	if err != nil {
		return err
	}
	s.close = append(s.close, sinkCloser(s.aside))
	return nil
}

// guarded returns the sink of the journal behind the tracking plan.
func (s *server) guarded() (inlet.Sink, error) {
	if s.plan == nil {
		return s.store, nil
	}
	return s.plan.Quarantine(s.store, s.inspected(s.aside))
}

// recentIDs yields the ids of what was stored lately, in the order in which it was received.
func (s *server) recentIDs(ctx context.Context) iter.Seq2[*inlet.Event, error] {
	stored := s.store.RecentIDs(ctx, dedupeWindow, dedupeIDs)
	if s.aside == nil {
		return stored
	}
	return func(yield func(*inlet.Event, error) bool) {
		next, stop := iter.Pull2(s.aside.RecentIDs(ctx, dedupeWindow, dedupeIDs))
		defer stop()
		other, otherErr, more := next()
		for e, err := range stored {
			for more && (otherErr != nil || err == nil && !e.ReceivedAt.Before(other.ReceivedAt)) {
				if !yield(other, otherErr) {
					return
				}
				other, otherErr, more = next()
			}
			if !yield(e, err) {
				return
			}
		}
		for ; more; other, otherErr, more = next() {
			if !yield(other, otherErr) {
				return
			}
		}
	}
}

// openKeys makes the authenticator: of a file, or of the keys that are given.
func (s *server) openKeys() error {
	if s.KeyFile != "" {
		file, err := keyfile.Open(s.KeyFile, &keyfile.Options{Logger: s.Logger})
		if err != nil {
			return err
		}
		s.keys, s.close = file, append(s.close, file.Close)
		return nil
	}
	if err := s.ensureKey(); err != nil {
		return err
	}
	keys, err := inlet.NewKeys(sources(s.Keys))
	s.keys = keys
	return err
}

// How long, and for how many events, message ids are remembered.
const (
	dedupeWindow = 24 * time.Hour
	dedupeIDs    = 1_000_000
)

// newAPI returns an API that answers 200 only for events that the journal has on the disk, and
// that stores an event once, even if it is sent again after a restart.
func (s *server) newAPI(ctx context.Context, protocol *inlet.Protocol, observer inlet.Observer) (*inlet.Handler, error) {
	guarded, err := s.guarded()
	if err != nil {
		return nil, err
	}
	sink, err := sinks.NewDedupe(guarded, &sinks.DedupeOptions{
		Window: dedupeWindow,
		MaxIDs: dedupeIDs,
		Stored: s.recentIDs(ctx),
	})
	if err != nil {
		return nil, err
	}
	o := &inlet.Options{
		Protocol: protocol, RequireDurability: inlet.DurabilityFsync, PublicURL: s.PublicURL,
		Observer: observer, Logger: s.Logger,
	}
	if s.rejects != nil {
		o.Rejects, o.RejectsBestEffort = s.inspected(s.rejects), true
	}
	return inlet.New(s.inspected(sink), o)
}

// newHTTP bounds what a handler cannot: how long a client may take to send its headers, how
// large they may be (including the URL, which has the event of a pixel), and how long it may take
// to send a body that is not read. Bodies that the API reads have a shorter timeout of their own.
func newHTTP(root http.Handler, logger *slog.Logger) *http.Server {
	return inlet.Harden(&http.Server{
		Handler:      root,
		ReadTimeout:  20 * time.Second,
		WriteTimeout: 40 * time.Second,
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	})
}

// serve is Serve for a server that is made. Before it stops it calls linger, if that is not nil.
func serve(ctx context.Context, server *http.Server, listener net.Listener, api *inlet.Handler, linger func(failed <-chan error) error) error {
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			failed <- server.ServeTLS(listener, "", "")
			return
		}
		failed <- server.Serve(listener)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if linger != nil {
		if err := linger(failed); err != nil {
			return err
		}
	}
	return shutDown(server, api)
}

// linger goes on serving for StopDelay, and is not ready. It returns how the server fails
// meanwhile.
func (s *server) linger(failed <-chan error) error {
	s.stopping.Store(true)
	if s.StopDelay == 0 {
		return nil
	}
	s.Logger.Info("inlet: stopping; not ready, and still serving", "for", s.StopDelay)
	select {
	case err := <-failed:
		return err
	case <-time.After(s.StopDelay):
		return nil
	}
}

// drain waits until all destinations have everything that is stored.
func (s *server) drain() error {
	if s.DrainTimeout == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.DrainTimeout)
	defer cancel()
	began := time.Now()
	if err := s.store.Drain(ctx); err != nil {
		return fmt.Errorf("not drained: keep the directory, and start the server again: %w", err)
	}
	if len(s.store.Deliveries()) == 0 {
		s.Logger.Info("inlet: no destinations; the directory has the only copy")
		return nil
	}
	s.Logger.Info("inlet: all destinations have everything", "deadLetters", s.store.Stats().DeadLetters, "waited", time.Since(began))
	return nil
}

// StepTimeout is how long each step of stopping may take, apart from StopDelay and DrainTimeout:
// requests in flight, the flush, and the end of each journal.
const StepTimeout = 10 * time.Second

// shutDown accepts no new connections, waits for the requests in flight and then flushes.
// Connections that are not finished in time are closed: what they sent has not been acknowledged.
func shutDown(server *http.Server, api *inlet.Handler) error {
	ctx, cancel := context.WithTimeout(context.Background(), StepTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	ctx, cancel = context.WithTimeout(context.Background(), StepTimeout)
	defer cancel()
	return cmp.Or(err, api.Shutdown(ctx))
}

// sinkCloser seals the last file of a journal.
func sinkCloser(sink inlet.Sink) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), StepTimeout)
		defer cancel()
		return inlet.Close(ctx, sink)
	}
}
