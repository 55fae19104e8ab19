// Sqlkeys shows write keys in a SQL database, here SQLite: the table has hashes, not the keys;
// a cache in front of it keeps lookups rare and keys valid while the database is down; and a key
// that is revoked stops working immediately. Keys are made, listed and revoked by an API of the
// host's own.
//
//	go run ./examples/sqlkeys
//
// It prints a write key and a curl command that sends an event. Ctrl-C stops it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
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
	flag.StringVar(&c.dir, "dir", "sqlkeys-data", "`directory` of the database and the events")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sqlkeys:", err)
		os.Exit(1)
	}
}

// run serves the API until ctx is done. Each start makes a key for a trial.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	store, err := journal.Open(filepath.Join(c.dir, "events"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()
	k, err := openKeys(filepath.Join(c.dir, "keys.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.db.Close()) }()
	api, err := inlet.New(store, nil)
	if err != nil {
		return err
	}
	made, err := k.add(ctx, "trial", nil)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	token := rand.Text()
	fmt.Fprintf(stdout, `Send an event with the write key %s, of the source "trial":

  curl -u %[1]s: -d '{"event":"Signed Up","userId":"user-1"}' http://%[2]s/t/v1/track

Revoke the key, or make one for pages of a site:

  curl -H 'Authorization: Bearer %[3]s' -X DELETE http://%[2]s/admin/keys/%[4]d
  curl -H 'Authorization: Bearer %[3]s' 'http://%[2]s/admin/keys?source=website&origin=https://shop.example' -d ''

`, made.Key, listener.Addr(), token, made.ID)
	return serve(ctx, inlet.Harden(&http.Server{Handler: routes(api, k, token)}), listener, api)
}

func routes(api http.Handler, k *keys, token string) http.Handler {
	layers := middleware.Standard(k.cache, &middleware.StandardOptions{
		Prefix: "/t", SourceOrigins: true, PerIP: middleware.Rate{Events: 50, Burst: 100},
	})
	mux := http.NewServeMux()
	mux.Handle("/t/", layers(api))
	mux.Handle("/admin/", admin(k, token))
	return mux
}

// serve runs the server until ctx is done, and then waits for the requests in flight.
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
