package httpsink_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	run := func(name string, f sinktest.Features, o *httpsink.Options, receive func(testing.TB) *receiver) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.Partial, f.Ordered = true, true
			sinktest.Run(t, sinktest.Harness{
				New:      func(t testing.TB) inlet.Sink { return newWitness(t, receive(t), o) },
				Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(*witness).read(t) },
				Features: f,
			})
		})
	}

	run("another Inlet", sinktest.Features{
		Durability: inlet.DurabilityMemory,
		Refuse: func(e *inlet.Event) {
			e.Properties = json.RawMessage(`{"large":"` + strings.Repeat("x", 33_000) + `"}`)
		},
	}, &httpsink.Options{Durability: inlet.DurabilityMemory, MaxEventBytes: 32_768}, func(t testing.TB) *receiver {
		return newReceiver(t, nil, nil)
	})

	run("small requests, smaller limit", sinktest.Features{
		Patience: time.Minute, // for 360 requests, under the race detector on a busy machine
		Refuse:   func(e *inlet.Event) { e.MessageID += strings.Repeat("x", 101) },
	}, &httpsink.Options{MaxEvents: 7, MaxBytes: 5_000, DisableCompression: true}, func(t testing.TB) *receiver {
		return newReceiver(t, takingFew, nil)
	})

	run("failing at times", sinktest.Features{Fails: true}, nil, func(t testing.TB) *receiver {
		return newReceiver(t, failing(new(counter)), refusing)
	})

	t.Run("hanging", func(t *testing.T) {
		t.Parallel()
		stalls := new(sync.Map) // by sink
		sinktest.Run(t, sinktest.Harness{
			New: func(t testing.TB) inlet.Sink {
				st := newStall()
				w := newWitness(t, newReceiver(t, st.wrap, nil), &httpsink.Options{MaxConcurrent: 4})
				stalls.Store(w, st)
				return w
			},
			Read: func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(*witness).read(t) },
			Features: sinktest.Features{Ordered: true, Stall: func(s inlet.Sink) (release func()) {
				st, _ := stalls.Load(s)
				return st.(*stall).begin()
			}},
		})
	})
}

// takingFew makes a server refuse requests of more than two events.
func takingFew(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var envelope struct{ Batch []json.RawMessage }
		if json.Unmarshal(body, &envelope) != nil || len(envelope.Batch) > 2 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next.ServeHTTP(w, r)
	})
}

// failing makes a server fail at times: it is busy, limits the rate, or accepts the
// events and loses its response.
func failing(requests *counter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n := requests.Add(1); {
			case every(n, 7):
				w.WriteHeader(http.StatusServiceUnavailable)
			case every(n, 11):
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			case every(n, 13):
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// refusing makes a sink reject events by their message ID: the same ones on every
// attempt.
func refusing(inner inlet.Sink) inlet.Sink {
	return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		var good []*inlet.Event
		var bad []inlet.ItemError
		for i, e := range events {
			if strings.HasSuffix(e.MessageID, "4") {
				bad = append(bad, inlet.ItemError{Index: i, Err: inlet.Permanent(errors.New("not wanted here"))})
			} else {
				good = append(good, e)
			}
		}
		if len(good) > 0 {
			if err := inner.Write(ctx, good); err != nil {
				return err
			}
		}
		if len(bad) > 0 {
			return &inlet.BatchError{Items: bad}
		}
		return nil
	})
}

// A stall makes a server hang.
type stall struct {
	mu      sync.Mutex
	release chan struct{}
}

func newStall() *stall {
	s := &stall{release: make(chan struct{})}
	close(s.release)
	return s
}

func (s *stall) begin() (end func()) {
	release := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release = release
	return func() { close(release) }
}

func (s *stall) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		release := s.release
		s.mu.Unlock()
		body, _ := io.ReadAll(r.Body) // only then does the server notice that a client leaves
		select {
		case <-release:
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// A witness is a sink that remembers the events it was given, to compare them with
// those that have arrived.
type witness struct {
	*httpsink.Sink
	receiver *receiver

	mu    sync.Mutex
	given map[string]*inlet.Event
}

func newWitness(t testing.TB, r *receiver, o *httpsink.Options) *witness {
	t.Helper()
	return &witness{Sink: newSink(t, r.url, o), receiver: r, given: make(map[string]*inlet.Event)}
}

// Write remembers the events and sends them.
func (w *witness) Write(ctx context.Context, events []*inlet.Event) error {
	w.mu.Lock()
	for _, e := range inlet.CloneEvents(events) {
		w.given[e.MessageID] = e
	}
	w.mu.Unlock()
	return w.Sink.Write(ctx, events)
}

// read returns what the receiver has stored, as it was given.
func (w *witness) read(t testing.TB) []*inlet.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := inlet.CloneEvents(w.receiver.Events())
	for _, e := range events {
		requireArrived(t, w.given[e.MessageID], e)
	}
	return events
}

// requireArrived requires that an event that has arrived differs from the given one in
// the expected fields, in the expected way, and undoes the difference: the receiver
// sets its own ReceivedAt and Source. The caller compares everything else.
func requireArrived(t testing.TB, given, got *inlet.Event) {
	t.Helper()
	require.NotNil(t, given, "event %s was never sent", got.MessageID)
	require.WithinDuration(t, time.Now(), got.ReceivedAt, time.Minute)
	require.Equal(t, "upstream", got.Source.ID)
	got.ReceivedAt, got.Source = given.ReceivedAt, given.Source
}
