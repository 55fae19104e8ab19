package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func fakeCommand() command {
	return command{
		name: "fake", summary: "run a fake Segment for tests in any language", everyVariable: true,
		about: `Runs the ingestion API for tests: it accepts every write key, answers pages of every origin, and
keeps what it receives in memory. It prints each event as tail does, and what it refuses, with the
reason, to standard error.

  GET    /events    the events, as a JSON array; type, name, user and source choose some, and
                    wait=N waits until there are N of them, at most timeout=5s
  GET    /rejects   what was refused, with the reason in _refused
  DELETE /events    forgets all of that`,
		example: "inlet fake -addr 127.0.0.1:8090",
		run:     fakeFlags,
	}
}

// fakeOptions are the values of the flags.
type fakeOptions struct {
	addr string
	json bool
	keep int
}

func fakeFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := new(fakeOptions)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8090", "`address` to listen on; port 0 is a free one")
	f.BoolVar(&o.json, "json", false, "print each event as JSON")
	f.IntVar(&o.keep, "keep", 10_000, "`number` of events to keep, the newest")
	return o.fake
}

func (o *fakeOptions) fake(_ context.Context, stdout, stderr io.Writer) error {
	if o.keep < 1 {
		return errUsage("-keep must be at least 1")
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	kept := &shelf{most: o.keep, out: newOutput(stdout, o.json, true), changed: make(chan struct{})}
	rejects := &shelf{most: o.keep, out: newOutput(stderr, o.json, true), changed: make(chan struct{}), refused: true}
	api, err := inlet.New(kept, &inlet.Options{Rejects: rejects, Logger: logger})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	ctx := server.UntilSignal(os.Interrupt, syscall.SIGTERM)
	fmt.Fprintf(stdout, "Inlet listens on http://%s and accepts every write key.\n", listener.Addr())
	layers := middleware.Standard(inlet.AuthenticatorFunc(anyKey), &middleware.StandardOptions{NoAccessLog: true, Logger: logger})
	return server.Serve(ctx, fakeRoutes(ctx, layers(api), kept, rejects), listener, api, logger)
}

// anyKey accepts every key. Tests tell applications apart by the key, so that is the source.
func anyKey(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
	return &inlet.Source{ID: strings.Clone(c.Key)}, nil
}

// fakeRoutes adds the questions of tests to the API. Pages may ask them, too. The API itself has
// POST /events, of another vendor.
func fakeRoutes(ctx context.Context, api http.Handler, kept, rejects *shelf) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := kept
		switch {
		case r.URL.Path == "/rejects" && r.Method == http.MethodGet:
			asked = rejects
		case r.URL.Path == "/events" && r.Method == http.MethodDelete:
			kept.reset()
			rejects.reset()
			allowOrigins(w)
			w.WriteHeader(http.StatusNoContent)
			return
		case r.URL.Path == "/events" && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") == http.MethodDelete:
			allowOrigins(w)
			w.WriteHeader(http.StatusNoContent)
			return
		case r.URL.Path == "/events" && r.Method == http.MethodGet:
		default:
			api.ServeHTTP(w, r)
			return
		}
		allowOrigins(w)
		asked.answer(ctx, w, r)
	})
}

func allowOrigins(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Methods", "GET, DELETE")
	w.Header().Set("Cache-Control", "no-store")
}

// A shelf is a sink that keeps the newest events and prints all of them.
type shelf struct {
	most    int
	refused bool // its events are letters

	mu      sync.Mutex
	out     *output
	seq     uint64
	events  []*inlet.Event
	changed chan struct{} // closed when there are more events
}

// Write keeps the events.
func (s *shelf) Write(_ context.Context, events []*inlet.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range inlet.CloneEvents(events) {
		s.seq++
		s.events = append(s.events, e)
		_ = s.print(e) // a test needs no output
	}
	if more := len(s.events) - s.most; more > 0 {
		s.events = append(s.events[:0], s.events[more:]...)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func (s *shelf) print(e *inlet.Event) error {
	if s.refused && !s.out.json {
		reason, _ := sinks.RefusalOf(e)
		_, err := fmt.Fprintf(s.out.w, "refused\t%s\n", appendColumns(nil, []string{sourceID(e), string(reason.Code), reason.Field, reason.Error}))
		return errors.Join(err, s.out.w.Flush())
	}
	return s.out.event(journal.Record{Seq: s.seq, Event: e})
}

func (s *shelf) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events, s.seq = nil, 0
}

// chosen returns the events that fit, and a channel that is closed when there are more.
func (s *shelf) chosen(fits func(*inlet.Event) bool) (events []*inlet.Event, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if fits(e) {
			events = append(events, e)
		}
	}
	return events, s.changed
}

// The longest that a question waits: the server's WriteTimeout is later.
const (
	defaultWait = 5 * time.Second
	maxWait     = 30 * time.Second
)

// answer answers a question for events. ctx ends with the server.
func (s *shelf) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	n, timeout, err := waitOf(query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := filter{name: query.Get("name"), user: query.Get("user"), source: query.Get("source")}
	if text := query.Get("type"); text != "" {
		if err := c.kind.Set(text); err != nil {
			http.Error(w, "type "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	over := time.NewTimer(timeout)
	defer over.Stop()
	events, changed := s.chosen(c.accepts)
	for waiting := true; waiting && len(events) < n; events, changed = s.chosen(c.accepts) {
		select {
		case <-changed:
		case <-over.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		case <-r.Context().Done():
			return
		}
	}
	var body bytes.Buffer
	body.WriteByte('[')
	for i, e := range events {
		if i > 0 {
			body.WriteString(",\n")
		}
		body.Write(e.AppendJSON(nil))
	}
	body.WriteString("]\n")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body.Bytes())
}

// waitOf reads for how many events to wait, and how long at most.
func waitOf(query url.Values) (n int, timeout time.Duration, err error) {
	for name := range query {
		if !strings.Contains(" wait timeout type name user source ", " "+name+" ") {
			return 0, 0, fmt.Errorf("there is no parameter %q; there are wait, timeout, type, name, user and source", name)
		}
	}
	timeout = defaultWait
	if text := query.Get("wait"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 {
			return 0, 0, errors.New("wait must be a number of events")
		}
	}
	if text := query.Get("timeout"); text != "" {
		if timeout, err = time.ParseDuration(text); err != nil || timeout < 0 || timeout > maxWait {
			return 0, 0, fmt.Errorf("timeout must be a duration up to %v, such as 5s", maxWait)
		}
	}
	return n, timeout, nil
}
