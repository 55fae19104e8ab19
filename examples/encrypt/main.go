// Encrypt shows encryption on both sides of the API: a layer in front of it decrypts bodies that
// an app has encrypted end to end (RFC 8188, "Content-Encoding: aes128gcm"), so that no proxy can
// read them, and an enricher encrypts members before the journal has them, so that the disk never
// does. Bodies without that encoding pass as they are.
//
//	go run ./examples/encrypt
//
// It prints a write key and two curl commands, each of which sends an event. Ctrl-C stops it.
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
	flag.StringVar(&c.dir, "dir", "encrypt-data", "`directory` of the events")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "encrypt:", err)
		os.Exit(1)
	}
}

const (
	writeKey = "my-write-key"
	email    = `{"userId":"user-1","traits":{"email":"ada@shop.example","plan":"free"}}`
)

// Keys for a trial. Real ones are random, and come from a key service or the environment. An app
// has its key with the id, so that a new version of it can have another key.
var (
	appKeys = map[string][]byte{"app-1": []byte("16 bytes or more of a secret")}
	diskKey = []byte("exactly 32 bytes of a secret ...")
)

// run serves the API until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	store, err := journal.Open(c.dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()
	seal, err := newSealer(diskKey)
	if err != nil {
		return err
	}
	api, err := inlet.New(store, &inlet.Options{Enrichers: []inlet.Enricher{seal.enricher("traits.email")}})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	sealed := filepath.Join(c.dir, "body.aes128gcm")
	if err := os.WriteFile(sealed, encrypt("app-1", appKeys["app-1"], []byte(email)), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(stdout, `Send an event with the write key %s, whose e-mail address is encrypted on the disk:

  curl -u %[1]s: -d '%[3]s' http://%[2]s/v1/identify

and the same, encrypted on the way, too:

  curl -u %[1]s: -H 'Content-Encoding: aes128gcm' --data-binary @%[4]s http://%[2]s/v1/identify

`, writeKey, listener.Addr(), email, sealed)
	return serve(ctx, inlet.Harden(&http.Server{Handler: layers(api)}), listener, api)
}

// layers decrypts outside of all layers that read bodies, which then have what the app has
// encrypted: they bound it, search it for a key, and count it towards the memory of requests.
func layers(api http.Handler) http.Handler {
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "app"}})
	return decrypting(appKeys)(middleware.Standard(keys, nil)(api))
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
