package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinks/postgressink"
)

const (
	writeKey    = "shop-key"
	eventsTable = "inlet_example_events"
	typedSchema = "inlet_example"
)

// A pipeline is the API on an address of this machine, a journal, and a delivery to each form of
// the events in PostgreSQL.
type pipeline struct {
	url    string
	store  *journal.Journal
	events *postgressink.Sink
	typed  *postgressink.Tables

	closers []func(context.Context) error // in the order of their making
}

func openPipeline(ctx context.Context, dsn, dir string) (p *pipeline, err error) {
	p = new(pipeline)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	// The sinks come first, so that they are closed after the deliveries that write to them.
	p.events, err = postgressink.New(ctx, dsn, &postgressink.Options{Table: eventsTable, JSONB: true, Migrate: true})
	if err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.events.Close)
	p.typed, err = postgressink.NewTables(ctx, dsn, &postgressink.TablesOptions{Schema: typedSchema, Numeric: true, Migrate: true})
	if err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.typed.Close)
	if p.store, err = journal.Open(dir, nil); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.store.Close)
	if err := p.deliver(); err != nil {
		return p, err
	}
	return p, p.serve()
}

// deliver begins the deliveries. Each has its own position, so one never waits for the other.
func (p *pipeline) deliver() error {
	gather := &journal.DeliverOptions{MinEvents: 500, MaxDelay: 200 * time.Millisecond}
	if _, err := p.store.Deliver("events", p.events, gather); err != nil {
		return err
	}
	_, err := p.store.Deliver("typed", p.typed, gather)
	return err
}

func (p *pipeline) serve() error {
	api, err := inlet.New(p.store, nil)
	if err != nil {
		return err
	}
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "shop"}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.url = "http://" + listener.Addr().String()
	server := inlet.Harden(&http.Server{Handler: middleware.Standard(keys, nil)(api)})
	go func() { _ = server.Serve(listener) }()
	p.closers = append(p.closers, api.Shutdown, server.Shutdown)
	return nil
}

// close ends everything, the last made first.
func (p *pipeline) close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i := len(p.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, p.closers[i](ctx))
	}
	p.closers = nil
	return err
}
