//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/inlet-go/inlet/internal/bench"
)

// byHand returns the start of a net/http server with a store.
func byHand(open func(dir string) (bench.Store, error)) func(dir string) (stop func() error, err error) {
	return func(dir string) (func() error, error) {
		s, err := open(dir)
		if err != nil {
			return nil, err
		}
		mux := http.NewServeMux()
		mux.Handle("POST "+segment.single, bench.ByHand(s, false))
		mux.Handle("POST "+segment.batch, bench.ByHand(s, true))
		return serveHTTP(mux, s.Close)
	}
}

// serveHTTP serves on a free port. The end of the server is followed by what is to be closed.
func serveHTTP(h http.Handler, closers ...func() error) (stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	return serveOn(server, listener, closers...), nil
}

func serveOn(server *http.Server, listener net.Listener, closers ...func() error) (stop func() error) {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		all := []error{server.Shutdown(context.Background())}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			all = append(all, err)
		}
		for _, c := range closers {
			all = append(all, c())
		}
		return errors.Join(all...)
	}
}
