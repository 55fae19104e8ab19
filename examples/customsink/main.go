// Customsink shows how to write a sink: here one that appends to a CSV file. The sink is in
// csv.go; its test runs the conformance suite of package sinktest, as the test of every sink
// should.
//
//	go run ./examples/customsink
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "127.0.0.1:8080", "events.csv", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "customsink:", err)
		os.Exit(1)
	}
}

// run serves the API until ctx is done.
func run(ctx context.Context, addr, path string, stdout io.Writer) (err error) {
	sink, err := openCSV(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close(context.Background())) }()

	api, err := inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityOSBuffer})
	if err != nil {
		return err
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"my-write-key": {ID: "website"}})
	layers := middleware.Standard(keys, nil)

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: layers(api), ReadHeaderTimeout: 5 * time.Second}
	return serve(ctx, server, listener, api)
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
