// Mount shows how to add event ingestion to an existing web server, which already has a mux
// with other routes and a middleware around all of them. The API is below /t/, so a
// page of the site sends to /t/v1/track.
//
//	go run ./examples/mount
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
	"github.com/inlet-go/inlet/sinks/journal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parseFlags(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mount:", err)
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

// run serves the site and the API until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	store, err := journal.Open(c.dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()

	api, err := inlet.New(store, nil)
	if err != nil {
		return err
	}
	mux := site()
	mux.Handle(prefix+"/", ingestion(api))

	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `The site is at http://%s/. Send an event with the write key %s:

  curl -u %[2]s: -d '{"event":"Signed Up","userId":"user-1"}' http://%[1]s%[3]s/v1/track

`, listener.Addr(), backendKey, prefix)
	server := &http.Server{Handler: secured(mux), ReadHeaderTimeout: 5 * time.Second}
	return serve(ctx, server, listener, api)
}

// prefix is where the API is mounted.
const prefix = "/t"

// The key of the page is public, so it works for pages of one origin only.
const (
	websiteKey = "website-key"
	backendKey = "backend-key"
)

// ingestion returns the API with its layers around it. The middleware of the site is further out.
func ingestion(api http.Handler) http.Handler {
	keys := inlet.MustKeys(map[string]inlet.Source{
		websiteKey: {ID: "website", Origins: []string{"https://shop.example"}},
		backendKey: {ID: "backend"},
	})
	return middleware.Standard(keys, &middleware.StandardOptions{
		Prefix: prefix, SourceOrigins: true, PerSource: middleware.Rate{Events: 500, Burst: 1000},
	})(api)
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
