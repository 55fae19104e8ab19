// Standalone is a complete ingestion server in one process: the API on one
// address, its events in one directory.
//
//	go run ./examples/standalone
//
// It prints a write key and a curl line that sends an event. SIGINT or SIGTERM
// stops it in order; a second one ends it at once.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal acts as if nobody listened
	if err := run(ctx, parseFlags(os.Args[1:]), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "standalone:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done. It says on stdout how to use it, and logs on
// stderr.
func run(ctx context.Context, c config, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.logLevel}))
	store, err := journal.Open(c.dir, &journal.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSink(store)) }()

	if err := c.fillKeys(); err != nil {
		return err
	}
	api, err := newAPI(ctx, store, logger)
	if err != nil {
		return err
	}
	root, err := routes(api, c, logger)
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

// How long, and how many of, the ids of events are remembered.
const (
	dedupeWindow = 24 * time.Hour
	dedupeIDs    = 1_000_000
)

// newAPI answers 200 only for what store has on the disk, and stores an event
// once, however often it is sent, also before a restart.
func newAPI(ctx context.Context, store *journal.Journal, logger *slog.Logger) (*inlet.Handler, error) {
	sink, err := sinks.NewDedupe(store, &sinks.DedupeOptions{
		Window: dedupeWindow,
		MaxIDs: dedupeIDs,
		Stored: store.RecentIDs(ctx, dedupeWindow, dedupeIDs),
	})
	if err != nil {
		return nil, err
	}
	return inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityFsync, Logger: logger})
}

// newServer bounds what a handler cannot: how long a client may take over its
// headers, and how large they may be (a pixel's event stands in its URL, which
// counts), and over a body that nobody reads. Bodies that the API reads have a
// shorter time of their own.
func newServer(root http.Handler, logger *slog.Logger) *http.Server {
	return inlet.Harden(&http.Server{
		Handler:      root,
		ReadTimeout:  20 * time.Second,
		WriteTimeout: 40 * time.Second,
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	})
}

// serve returns when ctx is done and every request has been answered, or when
// the server cannot go on.
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

// shutDown takes no new connection, waits for the requests in flight and then
// flushes. Connections that are not done in time are cut: what they sent has not
// been acknowledged.
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

// closeSink seals the journal's last file.
func closeSink(sink inlet.Sink) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return inlet.Close(ctx, sink)
}
