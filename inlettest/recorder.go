package inlettest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// maxRefusals is how many refusals are kept for the text of a failure.
const maxRefusals = 20

// A recorder keeps events, and what was refused. It is the sink of a [Server].
type recorder struct {
	memory sinks.Memory

	mu       sync.Mutex
	failures []error         // of the next requests; an *inlet.Error is the answer itself
	waiting  []chan struct{} // each of a caller that waits for events
	refusals []string        // the first ones
	refused  int             // all of them
}

// Write keeps the events that the next failure, if there is one, does not name.
func (rec *recorder) Write(ctx context.Context, events []*inlet.Event) error {
	failure := rec.nextFailure(func(error) bool { return true })
	stored := events
	if failed := inlet.ItemErrors(failure, len(events)); failed != nil {
		stored = nil
		for i, e := range events {
			if failed[i] == nil {
				stored = append(stored, e)
			}
		}
	}
	if len(stored) > 0 {
		if err := rec.memory.Write(ctx, stored); err != nil {
			return err
		}
		rec.wake()
	}
	return failure
}

// Check returns an error after Close.
func (rec *recorder) Check(ctx context.Context) error { return rec.memory.Check(ctx) }

// Close makes every later Write fail.
func (rec *recorder) Close(ctx context.Context) error { return rec.memory.Close(ctx) }

// Durability returns the highest, so that a host which requires one can be tested.
func (rec *recorder) Durability() inlet.Durability { return inlet.DurabilityReplicated }

// nextFailure returns the next failure and removes it, or nil if that is not one of a kind.
func (rec *recorder) nextFailure(isOfKind func(error) bool) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.failures) == 0 || !isOfKind(rec.failures[0]) {
		return nil
	}
	first := rec.failures[0]
	rec.failures = rec.failures[1:]
	return first
}

func (rec *recorder) failNext(err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.failures = append(rec.failures, err)
}

// watch returns a channel that receives a value when there may be more events, until the
// caller calls end.
func (rec *recorder) watch() (changed <-chan struct{}, end func()) {
	c := make(chan struct{}, 1)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.waiting = append(rec.waiting, c)
	return c, func() {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.waiting = slices.DeleteFunc(rec.waiting, func(other chan struct{}) bool { return other == c })
	}
}

func (rec *recorder) wake() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, c := range rec.waiting {
		select {
		case c <- struct{}{}:
		default: // it has not looked since
		}
	}
}

// reset forgets events, refusals and failures.
func (rec *recorder) reset() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.memory.Reset()
	rec.failures, rec.refusals, rec.refused = nil, nil, 0
}

// answerFailure is the layer that answers a request with an error instead of passing it on. Only
// requests that would store events have a source there.
func (rec *recorder) answerFailure(inside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inlet.SourceFromContext(r.Context()) != nil {
			if failure := rec.nextFailure(isAnswer); failure != nil {
				inlet.WriteError(w, r, failure)
				return
			}
		}
		inside.ServeHTTP(w, r)
	})
}

// isAnswer reports whether a failure says how to answer the request. The items of a batch error
// do not.
func isAnswer(err error) bool {
	_, ok := err.(*inlet.Error)
	return ok
}

// noteRefusals is the layer that keeps why requests and events are refused.
func (rec *recorder) noteRefusals(inside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = inlet.WithState(r)
		inside.ServeHTTP(w, r)
		outcome := inlet.OutcomeFromContext(r.Context())
		if outcome.Code == "" && outcome.Rejected == 0 {
			return
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if rec.refused++; rec.refused <= maxRefusals {
			rec.refusals = append(rec.refusals, describeRefusal(r, &outcome))
		}
	})
}

// describeRefusal returns a line about a request that was refused in whole or in part. The path
// is that of the route, which has no key in it.
func describeRefusal(r *http.Request, o *inlet.Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %d", r.Method, cmp.Or(o.Path, r.URL.Path), o.Status)
	if o.Code != "" {
		fmt.Fprintf(&b, " %s", o.Code)
	}
	if o.Err != nil {
		fmt.Fprintf(&b, ": %v", o.Err)
	}
	for _, reject := range o.Rejects {
		fmt.Fprintf(&b, "; event %d: %s: %s", reject.Index, reject.Code, reject.Message)
		if reject.Field != "" {
			fmt.Fprintf(&b, " (%s)", reject.Field)
		}
	}
	return b.String()
}
