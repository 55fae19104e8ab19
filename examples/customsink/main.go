// Customsink shows how to write a sink: here one that appends to a CSV file. The sink is in
// csv.go; its test runs the conformance suite of package sinktest, as the test of every sink
// should.
//
//	go run ./examples/customsink
//
// It prints a write key and a curl command that sends an event. Ctrl-C stops it.
package main

import (
	"context"
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
)

// writeKey is the key that clients send.
const writeKey = "my-write-key"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parseFlags(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "customsink:", err)
		os.Exit(1)
	}
}

// config is the values of the flags.
type config struct {
	addr, file string
}

func parseFlags() (c config) {
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.file, "file", "events.csv", "`file` of the events")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	return c
}

// run serves the API until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	sink, err := openCSV(c.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close(context.Background())) }()

	api, err := inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityOSBuffer})
	if err != nil {
		return err
	}
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "website"}})
	layers := middleware.Standard(keys, nil)

	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `Rows are appended to %s. Send an event with the write key %s:

  curl -u %[2]s: -d '{"event":"Signed Up","userId":"user-1"}' http://%[3]s/v1/track

`, c.file, writeKey, listener.Addr())
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
