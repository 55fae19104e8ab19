// Mounts shows the API in a site whose router is chi, gin or echo: see package router, which has a
// function for each. For http.ServeMux see examples/mount.
//
//	go run ./examples/mounts -router chi
//	go run ./examples/mounts -router gin
//	go run ./examples/mounts -router echo
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

	"github.com/gin-gonic/gin"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/examples/mounts/router"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// config is the values of the flags.
type config struct {
	addr, dir, router string
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.dir, "dir", "inlet-data", "`directory` of the events")
	flag.StringVar(&c.router, "router", "chi", "`name` of the router: chi, gin or echo")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	gin.SetMode(gin.ReleaseMode)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mounts:", err)
		os.Exit(1)
	}
}

const (
	prefix   = "/t"
	writeKey = "my-write-key"
)

// routers has the sites by the name of their routers.
var routers = map[string]func(prefix string, api http.Handler) http.Handler{
	"chi": router.Chi, "gin": router.Gin, "echo": router.Echo,
}

// run serves the site until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	mounted, ok := routers[c.router]
	if !ok {
		return fmt.Errorf("there is no router %q", c.router)
	}
	store, err := journal.Open(c.dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()
	api, err := inlet.New(store, nil)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `The site is at http://%s/. Send an event with the write key %s:

  curl -u %[2]s: -d '{"event":"Signed Up","userId":"user-1"}' http://%[1]s%[3]s/v1/track

`, listener.Addr(), writeKey, prefix)
	server := inlet.Harden(&http.Server{Handler: mounted(prefix, layered(api))})
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

// layered returns the API with its layers around it, the same for every router.
func layered(api http.Handler) http.Handler {
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "website"}})
	return middleware.Standard(keys, &middleware.StandardOptions{
		Prefix: prefix, Origins: []string{"https://shop.example"},
	})(api)
}
