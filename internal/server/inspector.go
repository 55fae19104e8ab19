package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inspector"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks/journal"
)

// deliveries are the running deliveries, by name of the destination: the buttons of the inspector
// stop and start them.
type deliveries struct {
	mu     sync.Mutex
	byName map[string]*journal.Delivery
}

func (d *deliveries) get(name string) *journal.Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byName[name]
}

func (d *deliveries) set(name string, delivery *journal.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byName == nil {
		d.byName = make(map[string]*journal.Delivery)
	}
	d.byName[name] = delivery
}

// openInspector makes the inspector, if it has an address.
func (s *server) openInspector() (err error) {
	if s.InspectorAddr == "" {
		return nil
	}
	var judged func() plan.Stats
	if s.plan != nil {
		judged = s.plan.Stats
	}
	s.inspector, err = inspector.New(&inspector.Options{
		Plan:         judged,
		Authorize:    inspector.Loopback,
		Control:      inspector.Loopback,
		Destinations: s.store.Deliveries,
		Delivery:     s.running.get,
		Start:        s.start,
		API:          func() string { return s.apiURL },
		Logger:       s.Logger,
	})
	return err
}

// inspected returns a sink whose events the inspector shows, if there is one.
func (s *server) inspected(sink inlet.Sink) inlet.Sink {
	if s.inspector == nil {
		return sink
	}
	return s.inspector.Sink(sink)
}

// start starts the delivery to a destination that was stopped.
func (s *server) start(_ context.Context, name string) error {
	for _, d := range s.Destinations {
		if d.Name == name {
			return s.deliverTo(d)
		}
	}
	return fmt.Errorf("there is no destination %q", name)
}

// serveInspector serves the inspector at an address of its own until the server ends.
func (s *server) serveInspector() error {
	if s.inspector == nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.InspectorAddr)
	if err != nil {
		return fmt.Errorf("inspector: %w", err)
	}
	// Without a WriteTimeout: the inspector sets a deadline for each write of a stream.
	server := inlet.Harden(&http.Server{Handler: s.inspector, ReadTimeout: 10 * time.Second})
	s.serveAside(server, listener, "inspector")
	s.Logger.Info("inlet: inspector", "url", "http://"+listener.Addr().String())
	return nil
}
