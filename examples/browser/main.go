// Browser shows the published analytics.js with an API at another origin: it serves a page with a
// button for each call. The page knows the address of the API and a write key; analytics.js asks
// the API for everything else. From the root of the repository, in two terminals:
//
//	go run ./examples/standalone -key demo
//
//	npm install --prefix examples/browser
//	go run ./examples/browser -key demo
//
// Then open the address that it prints. It is a module of its own, so that the dependencies of
// its page do not affect other users of the repository.
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
	"syscall"
	"time"
)

// config is the values of the flags.
type config struct {
	addr, api, key, files string
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
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8081", "`address` to serve the page on")
	flag.StringVar(&c.api, "api", "http://127.0.0.1:8080", "`URL` of the API")
	flag.StringVar(&c.key, "key", "demo", "write `key` of the page")
	flag.StringVar(&c.files, "files", "examples/browser/node_modules/@segment/analytics-next/dist/umd",
		"`directory` of analytics.js as installed by npm")
	flag.Parse()
	return c
}

// run serves the page until ctx is done.
func run(ctx context.Context, c config, stdout io.Writer) error {
	if _, err := os.Stat(filepath.Join(c.files, "index.js")); err != nil {
		return fmt.Errorf("%w; run npm install --prefix examples/browser", err)
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "serving the page on http://%s, for the API at %s\n", listener.Addr(), c.api)
	server := &http.Server{Handler: site(c), ReadHeaderTimeout: 5 * time.Second}
	stopping := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopping()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

//go:embed page
var pages embed.FS

// site serves the page, its configuration, and the files of analytics.js, which loads parts of
// itself from where it was loaded.
func site(c config) http.Handler {
	page, err := fs.Sub(pages, "page")
	if err != nil {
		panic(err) // impossible: the name is a valid path
	}
	const bundles = "/analytics-next/bundles/"
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET "+bundles, http.StripPrefix(bundles, http.FileServer(http.Dir(c.files))))
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"writeKey": c.key, "api": c.api})
	})
	return mux
}
