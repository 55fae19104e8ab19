package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// The write keys of the two servers.
const (
	ingestKey    = "shop-key"
	warehouseKey = "warehouse-key"
)

// newAPI returns an API that stores every event once, on the disk, before it answers.
func newAPI(store *journal.Journal, key, source string) (http.Handler, error) {
	sink, err := sinks.NewDedupe(store, &sinks.DedupeOptions{
		MaxIDs: 100_000,
		Stored: store.RecentIDs(context.Background(), 24*time.Hour, 100_000),
	})
	if err != nil {
		return nil, err
	}
	api, err := inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityFsync})
	if err != nil {
		return nil, err
	}
	keys := inlet.MustKeys(map[string]inlet.Source{key: {ID: source}})
	return middleware.Standard(keys, &middleware.StandardOptions{NoAccessLog: true})(api), nil
}

// A server can be stopped and started; its address stays the same.
type server struct {
	api     http.Handler
	addr    string
	running *http.Server // nil while it is stopped
}

// ingest starts the server that clients send events to.
func ingest(store *journal.Journal, addr string) (*server, error) {
	api, err := newAPI(store, ingestKey, "shop")
	if err != nil {
		return nil, err
	}
	s := &server{api: api, addr: addr}
	return s, s.start()
}

func (s *server) url() string { return "http://" + s.addr }

func (s *server) start() error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	s.running = inlet.Harden(&http.Server{Handler: s.api})
	go func(running *http.Server) { _ = running.Serve(listener) }(s.running) // the error only says that it was closed
	return nil
}

// stop ends it as a crash does: requests in flight get no answer.
func (s *server) stop() error {
	err := s.running.Close()
	s.running = nil
	return err
}

// close waits for the requests in flight. Connections that clients have not used take 5 seconds.
func (s *server) close() error {
	if s.running == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return s.running.Shutdown(ctx)
}

// A warehouse is a second server, to which the first one forwards.
type warehouse struct {
	*server
	store *journal.Journal
}

func openWarehouse(dir, addr string) (*warehouse, error) {
	store, err := journal.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	api, err := newAPI(store, warehouseKey, "shop")
	if err != nil {
		return nil, errors.Join(err, store.Close(context.Background()))
	}
	w := &warehouse{server: &server{api: api, addr: addr}, store: store}
	return w, w.start()
}

// toggle stops or starts it, and returns what to print.
func (w *warehouse) toggle() (string, error) {
	if w.running != nil {
		return "The warehouse has stopped.", w.stop()
	}
	return "The warehouse has started.", w.start()
}

func (w *warehouse) close() error {
	return errors.Join(w.server.close(), w.store.Close(context.Background()))
}
