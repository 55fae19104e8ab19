// Standalone is a complete ingestion server in one process, with the API at one address and the
// events in one directory.
//
//	go run ./examples/standalone
//
// It prints a write key and a curl command that sends an event. SIGINT or SIGTERM stops it
// gracefully; a second one ends it immediately.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func main() {
	if err := run(untilSignal(os.Interrupt, syscall.SIGTERM), parseFlags(os.Args[1:]), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "standalone:", err)
		os.Exit(1)
	}
}

// untilSignal returns a context that is done once the process has received one of the signals. By
// then a second one has its default effect, which is to end the process.
func untilSignal(signals ...os.Signal) context.Context {
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

// run serves the API until ctx is done. It prints on stdout how to use it, and logs to stderr.
func run(ctx context.Context, c config, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.logLevel}))
	store, err := journal.Open(c.dir, &journal.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSink(store)) }()

	if err := c.ensureKey(); err != nil {
		return err
	}
	protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: c.memory}}
	api, err := newAPI(ctx, store, protocol, logger)
	if err != nil {
		return err
	}
	root, err := routes(api, c, protocol, logger)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	fmt.Fprint(stdout, greeting(listener.Addr(), c))
	return serve(ctx, newServer(root, logger), listener, api)
}

// How long, and for how many events, message ids are remembered.
const (
	dedupeWindow = 24 * time.Hour
	dedupeIDs    = 1_000_000
)

// newAPI returns an API that answers 200 only for events that store has on the disk, and that
// stores an event once, even if it is sent again after a restart.
func newAPI(ctx context.Context, store *journal.Journal, protocol *inlet.Protocol, logger *slog.Logger) (*inlet.Handler, error) {
	sink, err := sinks.NewDedupe(store, &sinks.DedupeOptions{
		Window: dedupeWindow,
		MaxIDs: dedupeIDs,
		Stored: store.RecentIDs(ctx, dedupeWindow, dedupeIDs),
	})
	if err != nil {
		return nil, err
	}
	return inlet.New(sink, &inlet.Options{Protocol: protocol, RequireDurability: inlet.DurabilityFsync, Logger: logger})
}

// newServer bounds what a handler cannot: how long a client may take to send its headers, how
// large they may be (including the URL, which has the event of a pixel), and how long it may take
// to send a body that is not read. Bodies that the API reads have a shorter timeout of their own.
func newServer(root http.Handler, logger *slog.Logger) *http.Server {
	return inlet.Harden(&http.Server{
		Handler:      root,
		ReadTimeout:  20 * time.Second,
		WriteTimeout: 40 * time.Second,
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	})
}

// serve returns when ctx is done and every request has been answered, or when the server fails.
func serve(ctx context.Context, server *http.Server, listener net.Listener, api *inlet.Handler) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return shutDown(server, api)
	}
}

// shutdownTimeout is how long each step of stopping may take.
const shutdownTimeout = 10 * time.Second

// shutDown accepts no new connections, waits for the requests in flight and then flushes.
// Connections that are not finished in time are closed: what they sent has not been acknowledged.
func shutDown(server *http.Server, api *inlet.Handler) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	ctx, cancel = context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return cmp.Or(err, api.Shutdown(ctx))
}

// closeSink seals the last file of the journal.
func closeSink(sink inlet.Sink) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return inlet.Close(ctx, sink)
}
