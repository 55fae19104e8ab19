package sinks_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks"
)

var web = &inlet.Source{ID: "web"}

// event makes a track call of the source web with the given message ID.
func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Signed Up", MessageID: id, UserID: "u",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Source: web,
	}
}

// events makes one event for each message ID.
func events(ids ...string) []*inlet.Event {
	events := make([]*inlet.Event, len(ids))
	for i, id := range ids {
		events[i] = event(id)
	}
	return events
}

// ids returns the message IDs of events.
func ids(events []*inlet.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.MessageID
	}
	return ids
}

// The outcomes of an event.
const (
	stored    = "stored"
	temporary = "temporary failure"
	permanent = "permanent failure"
)

// verdicts returns the outcome of each of n events as of an error.
func verdicts(t *testing.T, err error, n int) []string {
	t.Helper()
	if batch, ok := err.(*inlet.BatchError); ok {
		require.NoError(t, itemerrors.Validate(batch, n))
	}
	said := make([]string, n)
	for i := range said {
		said[i] = stored
	}
	for i, err := range inlet.ItemErrors(err, n) {
		switch {
		case inlet.IsPermanent(err):
			said[i] = permanent
		case err != nil:
			said[i] = temporary
		}
	}
	return said
}

// A judge is a sink that gives each event the outcome that its UserID has.
type judge struct{ sinks.Memory }

func (j *judge) Write(ctx context.Context, events []*inlet.Event) error {
	batch := new(inlet.BatchError)
	for i, e := range events {
		switch e.UserID {
		case temporary:
			batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: errInner})
		case permanent:
			batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: inlet.Permanent(errInner)})
		default:
			if err := j.Memory.Write(ctx, events[i:i+1]); err != nil {
				return err
			}
		}
	}
	if len(batch.Items) == 0 {
		return nil
	}
	return batch
}

// judged makes n events with random outcomes, and returns these.
func judged(rnd *rand.Rand, n int) (events []*inlet.Event, fates []string) {
	for i := range n {
		e := event("m" + strconv.Itoa(i))
		e.UserID = []string{stored, stored, temporary, permanent}[rnd.IntN(4)]
		events, fates = append(events, e), append(fates, e.UserID)
	}
	return events, fates
}

// goroutine returns the id of the goroutine that calls it.
func goroutine() string {
	buf := make([]byte, 64)
	return strings.Fields(string(buf[:runtime.Stack(buf, false)]))[1]
}

// panicOf returns the cause of a panic of f.
func panicOf(f func()) (cause any) {
	defer func() { cause = recover() }()
	f()
	return nil
}

// able is a Memory that counts the calls of its abilities, and returns err from them.
type able struct {
	sinks.Memory
	err                      error
	durability               inlet.Durability
	flushed, checked, closed int
}

func (a *able) Flush(context.Context) error  { a.flushed++; return a.err }
func (a *able) Check(context.Context) error  { a.checked++; return a.err }
func (a *able) Close(context.Context) error  { a.closed++; return a.err }
func (a *able) Durability() inlet.Durability { return a.durability }

// idsOf returns the message IDs of the events with one outcome.
func idsOf(events []*inlet.Event, fates []string, fate string) []string {
	of := []string{}
	for i, e := range events {
		if fates[i] == fate {
			of = append(of, e.MessageID)
		}
	}
	return of
}

func TestMain(m *testing.M) { testkit.Main(m) }
