// Ownmiddleware puts a team's own code on both sides of the API: a middleware
// that checks a signature before it, and a sink decorator that takes e-mail
// addresses out behind it.
//
//	go run ./examples/ownmiddleware
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

// run serves until ctx is done.
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

// guarded mixes the module's layers with the team's own.
func guarded(api http.Handler, secret []byte) http.Handler {
	return middleware.Chain(
		middleware.Recover(nil),
		middleware.Payload(nil),
		signed(secret, &inlet.Source{ID: "app"}),
	)(api)
}

// serve stops in this order: no new requests, those in flight, what the sink holds.
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
