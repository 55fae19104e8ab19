package server

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/inlet-go/inlet"
)

// metrics are counts in the form of package expvar, whose own variables are left out: one of them
// is the command line, which may have a write key.
type metrics struct {
	all              *expvar.Map
	requests         *expvar.Map // by status
	refusals         *expvar.Map // by code
	accepted         *expvar.Int
	rejected         *expvar.Int
	unrecorded       *expvar.Int
	bytes, wireBytes *expvar.Int
	nanoseconds      *expvar.Int
}

var _ inlet.Observer = (*metrics)(nil)

func newMetrics(s *server) *metrics {
	m := &metrics{
		all: new(expvar.Map), requests: new(expvar.Map), refusals: new(expvar.Map),
		accepted: new(expvar.Int), rejected: new(expvar.Int), unrecorded: new(expvar.Int),
		bytes: new(expvar.Int), wireBytes: new(expvar.Int), nanoseconds: new(expvar.Int),
	}
	for name, v := range map[string]expvar.Var{
		"requests": m.requests, "refusals": m.refusals, "events_accepted": m.accepted, "events_rejected": m.rejected,
		"events_unrecorded": m.unrecorded, "body_bytes": m.bytes, "wire_bytes": m.wireBytes, "request_nanoseconds": m.nanoseconds,
		"journal":    expvar.Func(func() any { return s.store.Stats() }),
		"deliveries": expvar.Func(s.deliveryMetrics),
		"goroutines": expvar.Func(func() any { return runtime.NumGoroutine() }),
	} {
		m.all.Set(name, v)
	}
	if s.plan != nil {
		m.all.Set("plan", expvar.Func(func() any { return s.plan.Stats() }))
	}
	return m
}

// deliveryMetric is what is of interest of a delivery's stats. An error is a text.
type deliveryMetric struct {
	Name               string
	Position, Behind   uint64
	AgeSeconds         float64
	Delivered, Refused uint64
	Failures           int
	Error              string `json:",omitempty"`
}

func (s *server) deliveryMetrics() any {
	all := []deliveryMetric{}
	for _, d := range s.store.Deliveries() {
		m := deliveryMetric{
			Name: d.Name, Position: d.Position, Behind: d.Behind, AgeSeconds: d.Age.Seconds(),
			Delivered: d.Delivered, Refused: d.Refused, Failures: d.Failures,
		}
		if d.Err != nil {
			m.Error = d.Err.Error()
		}
		all = append(all, m)
	}
	return all
}

// ObserveRequest counts a request.
func (m *metrics) ObserveRequest(_ context.Context, o *inlet.Outcome) {
	m.requests.Add(strconv.Itoa(o.Status), 1)
	if o.Code != "" {
		m.refusals.Add(string(o.Code), 1)
	}
	m.accepted.Add(int64(o.Accepted))
	m.rejected.Add(int64(o.Rejected))
	m.unrecorded.Add(int64(o.Unrecorded))
	m.bytes.Add(int64(o.Bytes))
	m.wireBytes.Add(int64(o.WireBytes))
	m.nanoseconds.Add(int64(o.Duration))
}

// serveMetrics serves the metrics at /debug/vars of an address of their own until the server
// ends.
func (s *server) serveMetrics(m *metrics) error {
	if s.MetricsAddr == "" {
		return nil
	}
	listener, err := net.Listen("tcp", s.MetricsAddr)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprintln(w, m.all.String())
	})
	server := inlet.Harden(&http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second})
	s.serveAside(server, listener, "metrics")
	s.Logger.Info("inlet: metrics at /debug/vars", "addr", listener.Addr().String())
	return nil
}

// serveAside serves something else than the API until the server ends.
func (s *server) serveAside(server *http.Server, listener net.Listener, what string) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.Logger.Error("inlet: not served any more", "what", what, "error", err)
		}
	}()
	s.close = append(s.close, func() error {
		defer func() { <-ended }()
		return server.Close()
	})
}
