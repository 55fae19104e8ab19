//go:build linux

package main

import (
	"context"
	"net"
	"net/http"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/bench"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// withInlet is the first program of the README, without its access log: none of the others has
// one. Without flushes, the journal leaves them to the kernel until a segment is sealed.
func withInlet(flushes bool) func(dir string) (stop func() error, err error) {
	return func(dir string) (func() error, error) {
		options := &journal.Options{Sync: journal.SyncNever}
		if flushes {
			options = nil
		}
		store, err := journal.Open(dir, options)
		if err != nil {
			return nil, err
		}
		api, err := inlet.New(store, nil)
		if err != nil {
			return nil, err
		}
		keys := inlet.MustKeys(map[string]inlet.Source{bench.WriteKey: {ID: "website"}})
		layers := middleware.Standard(keys, &middleware.StandardOptions{Prefix: "/t", NoAccessLog: true})
		mux := http.NewServeMux()
		mux.Handle("/t/", layers(api))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		return serveOn(inlet.Harden(&http.Server{Handler: mux}), listener,
			func() error { return api.Shutdown(context.Background()) },
			func() error { return store.Close(context.Background()) },
		), nil
	}
}
