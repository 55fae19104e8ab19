// Shadow shows how to move from a server of one's own for Commanders Act 1.0 to Inlet without a
// risk: the old server stores and answers every request as before, and a copy of each request goes
// to Inlet, which migrates its event to 2.0 and stores that. What the two have stored is compared,
// and what is different is logged. When nothing is any more, Inlet can take over.
//
//	go run ./examples/shadow
//
// It prints a write key and a curl command that sends an event. Ctrl-C stops it, and prints how
// many requests were compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// config is the values of the flags.
type config struct {
	addr, dir string
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.dir, "dir", "shadow-data", "`directory` of what the two servers store")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "shadow:", err)
		os.Exit(1)
	}
}

// writeKey is the key that both servers know.
const writeKey = "my-write-key"

// run serves requests until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	store, err := journal.Open(filepath.Join(c.dir, "new"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()
	file, err := os.OpenFile(filepath.Join(c.dir, "old.ndjson"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	api, err := newAPI(store)
	if err != nil {
		return err
	}
	s := newShadow(&oldServer{key: writeKey, out: file}, layers(api), slog.Default())
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `Listening on http://%s. Send an event of version 1.0 with the write key %s:

  curl -u %[2]s: -d '{"event":"signup","eventId":"1","properties":{"plan":"free","user":{"id":"user-1"}}}' http://%[1]s/events

`, listener.Addr(), writeKey)
	server := inlet.Harden(&http.Server{Handler: s})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(ctx))
	s.wait()
	fmt.Fprintln(stdout, s)
	return errors.Join(err, api.Shutdown(ctx))
}

// newAPI returns an API that notes for the comparison what it has stored and why it refused.
func newAPI(store inlet.Sink) (*inlet.Handler, error) {
	return inlet.New(noted{store}, &inlet.Options{Observer: reasons{}})
}

// layers are those that Inlet is going to have when it takes over.
func layers(api http.Handler) http.Handler {
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "website"}})
	return middleware.Standard(keys, &middleware.StandardOptions{
		Migrations: []inlet.Migration{inlet.CommandersActV1()}, NoAccessLog: true,
	})(api)
}
