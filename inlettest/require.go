package inlettest

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
)

// Sink returns the sink that the server keeps its events in, for a handler of the host's own:
// the questions about events then are about those that the host stores, too. It declares the
// highest durability, and keeps the contract of [inlet.Sink].
func (s *Server) Sink() inlet.Sink { return &s.recorder }

// Events returns what was received so far, in the order in which it was stored. The caller owns
// the slice; the events are read-only.
func (s *Server) Events() []*inlet.Event { return s.recorder.memory.Events() }

// Reset forgets the events that were received, the requests that were refused, and the failures
// of FailNext that have not occurred.
func (s *Server) Reset() { s.recorder.reset() }

// FailNext makes the next request with events fail, once, so that a test can see how its code
// retries. Several calls fail as many requests, one after the other.
//
// An [*inlet.Error] is the answer to the request, with its status, such as 429 for
// &inlet.Error{Code: inlet.CodeRateLimited}; nothing is stored. Any other error is that of
// the sink: a temporary one is answered 503, one that [inlet.Permanent] wraps refuses the
// events, and an [*inlet.BatchError] fails only the events that it names. A nil error lets one
// request through.
func (s *Server) FailNext(err error) { s.recorder.failNext(err) }

// Wait waits until n events have been received since the start or the last Reset, and returns
// all of them. It fails the test if there are fewer when the timeout is over.
func (s *Server) Wait(t testing.TB, n int) []*inlet.Event {
	t.Helper()
	events, ok := s.await(func(events []*inlet.Event) bool { return len(events) >= n })
	if !ok {
		t.Fatal(s.report(strconv.Itoa(len(events))+" of "+count(n, "event")+" received after "+s.options.Timeout.String(), nil))
	}
	return events
}

// Require waits for an event that fits what the test wants, and returns the first one. It fails
// the test if no such event arrives before the timeout.
func (s *Server) Require(t testing.TB, want Want) *inlet.Event {
	t.Helper()
	wanted, err := want.prepare()
	if err != nil {
		t.Fatal(err)
	}
	events, ok := s.await(func(events []*inlet.Event) bool { return slices.ContainsFunc(events, wanted.fits) })
	if !ok {
		t.Fatal(s.report("no "+wanted.String()+" received after "+s.options.Timeout.String(), wanted))
		return nil
	}
	return events[slices.IndexFunc(events, wanted.fits)]
}

// RequireTracked is Require for a track call: its name, and what its properties must have at
// least. nil props fit any.
func (s *Server) RequireTracked(t testing.TB, name string, props Props) *inlet.Event {
	t.Helper()
	return s.Require(t, Want{Type: inlet.TypeTrack, Name: name, Properties: props})
}

// RequireIdentified is Require for an identify call: its user, and what its traits must have at
// least. nil traits fit any.
func (s *Server) RequireIdentified(t testing.TB, userID string, traits Props) *inlet.Event {
	t.Helper()
	return s.Require(t, Want{Type: inlet.TypeIdentify, UserID: userID, Traits: traits})
}

// RequireNone fails the test if an event as described has been received, or any event at all if
// nothing is described. It does not wait: for code that sends in the background, flush its SDK
// first, or wait for an event that is sent later.
func (s *Server) RequireNone(t testing.TB, unwanted ...Want) {
	t.Helper()
	if len(unwanted) == 0 {
		unwanted = []Want{{}}
	}
	for _, u := range unwanted {
		wanted, err := u.prepare()
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(s.Events(), wanted.fits) {
			t.Fatal(s.report("there must be no "+wanted.String(), wanted))
		}
	}
}

// await waits until done reports true of the events, and returns them with its result.
func (s *Server) await(done func([]*inlet.Event) bool) ([]*inlet.Event, bool) {
	timeout := time.NewTimer(s.options.Timeout)
	defer timeout.Stop()
	changed, end := s.recorder.watch()
	defer end()
	for {
		if events := s.Events(); done(events) {
			return events, true
		}
		select {
		case <-changed:
		case <-timeout.C:
			events := s.Events()
			return events, done(events)
		}
	}
}
