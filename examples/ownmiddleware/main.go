// Ownmiddleware shows code of the host's own on both sides of the API: a middleware in front of
// it that checks a signature, and a decorator around the sink that removes e-mail addresses.
//
//	SIGNING_SECRET=... go run ./examples/ownmiddleware
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	secret := []byte(os.Getenv("SIGNING_SECRET"))
	if err := run(ctx, "127.0.0.1:8080", "inlet-data", secret, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ownmiddleware:", err)
		os.Exit(1)
	}
}

// run serves the API until ctx is done.
func run(ctx context.Context, addr, dir string, secret []byte, stdout io.Writer) (err error) {
	if len(secret) == 0 {
		return errors.New("SIGNING_SECRET is not set")
	}
	store, err := journal.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()

	api, err := inlet.New(&redact{inner: store, member: "email"}, nil)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: guarded(api, secret), ReadHeaderTimeout: 5 * time.Second}
	return serve(ctx, server, listener, api)
}

// guarded combines layers of package middleware with one of the host's own.
func guarded(api http.Handler, secret []byte) http.Handler {
	return middleware.Chain(
		middleware.Recover(nil),
		middleware.Payload(nil),
		signed(secret, &inlet.Source{ID: "app"}),
	)(api)
}

// serve runs the server until ctx is done, and stops in this order: it accepts no new requests,
// waits for those in flight, and flushes the sink.
func serve(ctx context.Context, server *http.Server, listener net.Listener, api *inlet.Handler) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), api.Shutdown(ctx))
}
