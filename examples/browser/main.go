// Browser shows the published analytics.js with an API on the site's own origin, below a prefix
// that lists of ad blockers do not have: it serves a page with a button for each call, the API
// at /t/, and the files of analytics.js at /t/sdk/. The page knows the path of the API and a write
// key; analytics.js asks the API for everything else. From the root of the repository:
//
//	npm install --prefix examples/browser
//	go run ./examples/browser
//
// Then open the address that it prints; Ctrl-C stops it. With -api the page sends to an API of
// another origin, such as that of examples/standalone. The example is a module of its own, so that
// the dependencies of its page do not affect other users of the repository.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// config is the values of the flags.
type config struct {
	addr, dir, key, api, files string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parseFlags(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

func parseFlags() (c config) {
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8081", "`address` to listen on")
	flag.StringVar(&c.dir, "dir", "inlet-data", "`directory` of the events")
	flag.StringVar(&c.key, "key", "demo", "write `key` of the page")
	flag.StringVar(&c.api, "api", "", "`URL` of an API to send to instead of that of this program")
	flag.StringVar(&c.files, "files", "examples/browser/node_modules/@segment/analytics-next/dist/umd",
		"`directory` of analytics.js as installed by npm")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	return c
}

// run serves the page until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	if _, err := os.Stat(filepath.Join(c.files, "index.js")); err != nil {
		return fmt.Errorf("%w; run npm install --prefix examples/browser", err)
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	own := c.api == ""
	if own {
		c.api = "http://" + listener.Addr().String() + prefix
	}
	mux, stop := site(c), func(context.Context) error { return nil }
	if own {
		if stop, err = mount(mux, c); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	fmt.Fprintf(stdout, `The page is at http://%s/. It sends to the API with the write key %s, as this does:

  curl -u %[2]s: -d '{"event":"Signed Up","userId":"user-1"}' %[3]s/v1/track

`, listener.Addr(), c.key, c.api)
	return serve(ctx, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, listener, stop)
}

// prefix is where the API is. A path with a name such as analytics is on the lists of ad blockers.
const prefix = "/t"

// mount adds the API to the site. The function that it returns ends the API and its store.
func mount(mux *http.ServeMux, c config) (stop func(context.Context) error, err error) {
	store, err := journal.Open(c.dir, nil)
	if err != nil {
		return nil, err
	}
	api, err := inlet.New(store, nil)
	if err != nil {
		return nil, errors.Join(err, store.Close(context.Background()))
	}
	keys, err := inlet.NewKeys(map[string]inlet.Source{c.key: {ID: "website"}})
	if err != nil {
		return nil, errors.Join(err, store.Close(context.Background()))
	}
	mux.Handle(prefix+"/", middleware.Standard(keys, &middleware.StandardOptions{Prefix: prefix})(api))
	return func(ctx context.Context) error { return errors.Join(api.Shutdown(ctx), store.Close(ctx)) }, nil
}

// serve runs the server until ctx is done: it accepts no new requests, waits for those in flight,
// and ends the API.
func serve(ctx context.Context, server *http.Server, listener net.Listener, stop func(context.Context) error) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(ctx), stop(ctx))
}

//go:embed page
var pages embed.FS

// site serves the page, its configuration, and the files of analytics.js.
func site(c config) *http.ServeMux {
	page, err := fs.Sub(pages, "page")
	if err != nil {
		panic(err) // impossible: the name is a valid path
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(page))
	mux.Handle("GET "+prefix+"/sdk/", http.StripPrefix(prefix+"/sdk", bundle(http.FileServer(http.Dir(c.files)))))
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"writeKey": c.key, "api": c.api})
	})
	return mux
}

// bundle serves the files of analytics.js. If it loads a part of itself, it asks for it below
// /analytics-next/bundles/ of the address that the page gives it as _cdn.
func bundle(files http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/analytics-next/bundles"); ok {
			r.URL.Path, r.URL.RawPath = rest, ""
		}
		files.ServeHTTP(w, r)
	})
}
