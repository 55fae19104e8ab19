package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/keyfile"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinks/natssink"
)

// nodeConfig is the values of a node's flags.
type nodeConfig struct {
	addr, dir, keys, nats     string
	replicas                  int
	window                    time.Duration
	lock, stopDelay, drainFor time.Duration
	child                     bool
}

// nodeMain is a node of the fleet: a 200 means that the stream has the events or, while that is
// down, the node's journal, from which they go into the stream later.
func nodeMain(args []string) error {
	var c nodeConfig
	flags := flag.NewFlagSet("cluster node", flag.ExitOnError)
	flags.StringVar(&c.addr, "addr", ":8080", "`address` to listen on")
	flags.StringVar(&c.dir, "dir", "inlet-data", "`directory` of the journal, of this node alone")
	flags.StringVar(&c.keys, "keys", "keys.json", "`file` of the write keys, see package keyfile")
	flags.StringVar(&c.nats, "nats", "nats://127.0.0.1:4222", "`URLs` of the brokers, with commas between them")
	flags.IntVar(&c.replicas, "replicas", 3, "`number` of replicas of the stream, if it has to be made")
	flags.DurationVar(&c.window, "window", 10*time.Minute, "how `long` the stream knows an event again, if it has to be made")
	flags.DurationVar(&c.lock, "lock-timeout", 0, "how `long` to wait for another process that has the directory")
	flags.DurationVar(&c.stopDelay, "stop-delay", 0, "how `long` to serve after SIGTERM, without being ready")
	flags.DurationVar(&c.drainFor, "drain-timeout", time.Minute, "how `long` to wait at the end until the stream has everything")
	flags.BoolVar(&c.child, "child", false, "print reports on stdout, and stop when stdin ends")
	_ = flags.Parse(args)
	if flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	n, level, signals := &node{config: c}, slog.LevelInfo, []os.Signal{syscall.SIGTERM, os.Interrupt}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.child {
		level, signals = slog.LevelWarn, signals[:1]
		go func() {
			defer cancel()
			reportUntilStop(n.report)
		}()
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	ctx, stop := signal.NotifyContext(ctx, signals...)
	defer stop()
	return n.run(ctx)
}

// A node is the parts of a running one.
type node struct {
	config   nodeConfig
	store    *journal.Journal
	delivery *journal.Delivery
	sink     *sinks.Fallback
	api      *inlet.Handler
	opened   atomic.Bool // all of the above is set
	stopping atomic.Bool // it serves, and is not ready any more
}

// run serves until ctx is done.
func (n *node) run(ctx context.Context) error {
	keys, err := keyfile.Open(n.config.keys, nil)
	if err != nil {
		return err
	}
	defer keys.Close()
	if err := n.open(ctx); err != nil {
		return err
	}
	defer within(stepTimeout, n.sink.Close) // and with it both sinks
	n.api, err = inlet.New(n.sink, &inlet.Options{RequireDurability: inlet.DurabilityFsync})
	if err != nil {
		return err
	}
	n.opened.Store(true)
	listener, err := net.Listen("tcp", n.config.addr)
	if err != nil {
		return err
	}
	slog.Info(listening, "address", listener.Addr().String())
	server := inlet.Harden(&http.Server{Handler: n.routes(keys)})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return n.stop(server)
}

// open opens the stream, the journal behind it, and the way back.
func (n *node) open(ctx context.Context) error {
	stream, err := n.connect(ctx)
	if err != nil {
		return err
	}
	n.store, err = journal.Open(n.config.dir, &journal.Options{LockTimeout: n.config.lock})
	if err != nil {
		return err
	}
	n.delivery, err = n.store.Deliver("stream", stream, &journal.DeliverOptions{MaxEvents: 1000, MaxBackoff: time.Second})
	if err != nil {
		return err
	}
	n.sink, err = sinks.NewFallback(stream, n.store, n.delivery.Drain, &sinks.FallbackOptions{Timeout: frontTimeout})
	return err
}

// frontTimeout is how long the stream may take before events go to the journal. A stream has a new
// leader after up to nine seconds, for which no client is to wait.
const frontTimeout = 500 * time.Millisecond

// connect waits for the stream, for which most brokers must be up. Until then the node is not
// ready: it must know what the stream promises before it promises anything itself.
func (n *node) connect(ctx context.Context) (*natssink.Sink, error) {
	o := &natssink.Options{Migrate: true, Replicas: n.config.replicas, Window: n.config.window, AckTimeout: 2 * time.Second}
	for patience := 500 * time.Millisecond; ; patience = min(2*patience, 10*time.Second) {
		// A question that a cluster without a leader was asked is never answered: ask again.
		attempt, cancel := context.WithTimeout(ctx, patience)
		stream, err := natssink.New(attempt, n.config.nats, o)
		cancel()
		if err == nil {
			return stream, nil
		}
		slog.Warn("cluster: stream cannot be used yet", "error", err)
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return nil, fmt.Errorf("stopped before the stream was found; keep the directory: %w", err)
		}
	}
}

// routes is the API, and what a balancer asks.
func (n *node) routes(keys inlet.Authenticator) http.Handler {
	ingest := middleware.Standard(keys, &middleware.StandardOptions{NoAccessLog: n.config.child})(n.api)
	ready, live := n.api.Ready(), n.api.Live()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/live":
			live.ServeHTTP(w, r)
		case r.URL.Path != "/ready":
			ingest.ServeHTTP(w, r)
		case n.stopping.Load():
			inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeShuttingDown})
		default:
			ready.ServeHTTP(w, r)
		}
	})
}

// stop ends in the order in which nothing is refused that a balancer could not have known of, and
// then waits until the stream has everything: the directory may be deleted if it returns nil.
func (n *node) stop(server *http.Server) error {
	n.stopping.Store(true)
	time.Sleep(n.config.stopDelay)
	err := errors.Join(within(stepTimeout, server.Shutdown), within(stepTimeout, n.api.Shutdown))
	if drained := within(n.config.drainFor, n.store.Drain); drained != nil {
		return errors.Join(err, drained)
	}
	slog.Info(drainedMessage, "deadLetters", n.store.Stats().DeadLetters)
	return err
}

// What a node logs when it begins, and when its directory may be deleted.
const (
	listening      = "cluster: listening"
	drainedMessage = "cluster: the stream has everything"
)

// stepTimeout is how long each step of the end may take, apart from the delay and the drain.
const stepTimeout = 10 * time.Second

func within(limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return f(ctx)
}

func (n *node) report() report {
	if !n.opened.Load() {
		return report{}
	}
	s := n.sink.Stats()
	return report{Ready: true, Front: s.Front, Back: s.Back, Down: s.Down, Behind: n.delivery.Stats().Behind}
}
