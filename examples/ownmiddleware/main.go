// Ownmiddleware shows code of the host's own on both sides of the API: a middleware in front of
// it that checks a signature, and a decorator around the sink that removes e-mail addresses.
//
//	go run ./examples/ownmiddleware
//	SIGNING_SECRET=known-to-the-app go run ./examples/ownmiddleware
//
// It prints the secret, which is a new one each time unless the environment has it, and a curl
// command that sends a signed event. Ctrl-C stops it.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
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
	secret := []byte(cmp.Or(os.Getenv("SIGNING_SECRET"), rand.Text()))
	if err := run(ctx, parseFlags(), secret, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ownmiddleware:", err)
		os.Exit(1)
	}
}

// config is the values of the flags.
type config struct {
	addr, dir string
}

func parseFlags() (c config) {
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.dir, "dir", "inlet-data", "`directory` of the events")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	return c
}

// run serves the API until ctx is done.
func run(ctx context.Context, c config, secret []byte, stdout io.Writer) (err error) {
	store, err := journal.Open(c.dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()

	api, err := inlet.New(&redact{inner: store, member: "email"}, nil)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	const event = `{"userId":"user-1","traits":{"email":"ada@shop.example","plan":"pro"}}`
	fmt.Fprintf(stdout, `The signing secret is %s. Send an event, signed with this key:

  curl -H 'X-Signature: %s' -d '%s' http://%s/v1/identify

`, secret, hex.EncodeToString(sign(secret, []byte(event))), event, listener.Addr())
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
