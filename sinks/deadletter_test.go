package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func newDeadLetter(t testing.TB, inner, letters inlet.Sink, o *sinks.DeadLetterOptions) *sinks.DeadLetter {
	d, err := sinks.NewDeadLetter(inner, letters, o)
	require.NoError(t, err)
	return d
}

// items makes a batch error that fails the events at the given indices.
func items(err error, indices ...int) error {
	e := new(inlet.BatchError)
	for _, i := range indices {
		e.Items = append(e.Items, inlet.ItemError{Index: i, Err: fmt.Errorf("item %d: %w", i, err)})
	}
	return e
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	poison := inlet.Permanent(errors.New("poison"))
	both := &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: poison}, {Index: 2, Err: errInner}}}
	tests := []struct {
		name    string
		answers []error // of the inner sink
		posts   []error // of the sink of the letters
		failed  []int   // of a b c d
		inner   [][]string
		stored  []string
		letters []string
	}{
		{
			name:   "what the inner sink stores gets no letter",
			inner:  [][]string{{"a", "b", "c", "d"}},
			stored: []string{"a", "b", "c", "d"},
		},
		{
			name:    "a refused event is put aside and acknowledged, without a second write",
			answers: []error{items(poison, 1, 3)},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"a", "c"},
			letters: []string{"b", "d"},
		},
		{
			name:    "all events can be refused by name",
			answers: []error{items(poison, 3, 1, 0, 2)},
			inner:   [][]string{{"a", "b", "c", "d"}},
			letters: []string{"a", "b", "c", "d"},
		},
		{
			name:    "a temporary failure is returned, and nothing written again",
			answers: []error{errInner},
			failed:  []int{0, 1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}},
		},
		{
			name:    "one call can have events of every outcome",
			answers: []error{both},
			failed:  []int{2},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"b", "d"},
			letters: []string{"a"},
		},
		{
			name:    "a batch refused as a whole is written in halves until the offender stands alone",
			answers: []error{poison, nil, poison, poison, nil},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}, {"c"}, {"d"}},
			stored:  []string{"a", "b", "d"},
			letters: []string{"c"},
		},
		{
			name:    "a half may name its offenders",
			answers: []error{poison, items(poison, 0), items(poison, 1)},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"b", "c"},
			letters: []string{"a", "d"},
		},
		{
			name:    "a batch that the sink only takes in halves has no offender",
			answers: []error{poison},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"a", "b", "c", "d"},
		},
		{
			name:    "a temporary failure stops the bisection and leaves what is known",
			answers: []error{poison, poison, poison, errInner},
			failed:  []int{1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"a"}, {"b"}},
			letters: []string{"a"},
		},
		{
			name:    "a sink that still takes some of a half is not down",
			answers: []error{poison, items(errInner, 0)},
			failed:  []int{0},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"b", "c", "d"},
		},
		{
			name:    "a permanent mark around a batch error does not make its items permanent",
			answers: []error{inlet.Permanent(items(errInner, 0))},
			failed:  []int{0},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"b", "c", "d"},
		},
		{
			name:    "a batch error beside another error names nothing",
			answers: []error{errors.Join(poison, items(poison, 0)), nil, nil},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"a", "b", "c", "d"},
		},
		{
			name:    "an event whose letter is not stored fails",
			answers: []error{items(poison, 1, 3)},
			posts:   []error{errInner},
			failed:  []int{1, 3},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"a", "c"},
		},
		{
			name:    "a refused letter makes its event fail temporarily, and only that",
			answers: []error{items(poison, 1, 3)},
			posts:   []error{items(poison, 1)},
			failed:  []int{3},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"a", "c"},
			letters: []string{"b"},
		},
		{
			name:    "letters that are refused as a whole make their events fail temporarily",
			answers: []error{items(poison, 0)},
			posts:   []error{poison},
			failed:  []int{0},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"b", "c", "d"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inner, letters := &scripted{answers: tt.answers}, &scripted{answers: tt.posts}
			told := []string(nil)
			d := newDeadLetter(t, inner, letters, &sinks.DeadLetterOptions{
				OnLetter: func(_ context.Context, letter *inlet.Event, err error) {
					require.True(t, inlet.IsPermanent(err))
					told = append(told, letter.MessageID)
				},
			})
			err := d.Write(t.Context(), events("a", "b", "c", "d"))
			requireFailed(t, tt.failed, err, 4)
			for _, err := range inlet.ItemErrors(err, 4) {
				require.False(t, inlet.IsPermanent(err), "%v", err)
			}
			require.Equal(t, tt.inner, inner.calls)
			require.ElementsMatch(t, tt.stored, ids(inner.Events()))
			require.ElementsMatch(t, tt.letters, ids(letters.Events()))
			require.Equal(t, tt.letters, told)
			require.EqualValues(t, len(tt.letters), d.Letters())
		})
	}
}

func TestDeadLetterReturnsErrorsAsTheyAre(t *testing.T) {
	t.Parallel()

	t.Run("one of the inner sink that refuses nothing is the very error", func(t *testing.T) {
		t.Parallel()
		for _, want := range []error{
			inlet.RetryAfter(errInner, time.Minute),
			items(errInner, 1),
			items(inlet.Permanent(errInner), 0, 7), // malformed: it counts as temporary
		} {
			letters := new(sinks.Memory)
			d := newDeadLetter(t, &scripted{answers: []error{want}}, letters, nil)
			require.Equal(t, want, d.Write(t.Context(), events("a", "b")))
			require.Empty(t, letters.Events())
		}
	})

	t.Run("one of the letters' sink can be recognised and says when to come back", func(t *testing.T) {
		t.Parallel()
		reason := inlet.Permanent(errors.New("poison"))
		letters := &scripted{answers: []error{inlet.Permanent(inlet.RetryAfter(errInner, time.Minute))}}
		d := newDeadLetter(t, &scripted{answers: []error{reason}}, letters, nil)
		err := d.Write(t.Context(), events("a"))
		require.ErrorIs(t, err, errInner)
		require.ErrorContains(t, err, "poison")
		after, ok := inlet.RetryDelay(err)
		require.True(t, ok)
		require.Equal(t, time.Minute, after)
	})

	t.Run("what was not written any more says when to come back", func(t *testing.T) {
		t.Parallel()
		inner := &scripted{answers: []error{inlet.Permanent(errInner), inlet.RetryAfter(errInner, time.Minute)}}
		d := newDeadLetter(t, inner, &sinks.Memory{}, nil)
		errs := inlet.ItemErrors(d.Write(t.Context(), events("a", "b")), 2)
		after, ok := inlet.RetryDelay(errs[1])
		require.True(t, ok)
		require.Equal(t, time.Minute, after)
	})
}

// allergic refuses every batch that holds one of the poisoned ids, as a whole.
type allergic struct {
	sinks.Memory
	poison map[string]bool
	writes int
}

func (s *allergic) Write(ctx context.Context, events []*inlet.Event) error {
	s.writes++
	for _, e := range events {
		if s.poison[e.MessageID] {
			return inlet.Permanent(fmt.Errorf("%d events: one is poison", len(events)))
		}
	}
	return s.Memory.Write(ctx, events)
}

func TestDeadLetterFindsEveryOffenderInFewWrites(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + rnd.IntN(500)
		inner, letters := &allergic{poison: map[string]bool{}}, new(sinks.Memory)
		for range rnd.IntN(6) {
			inner.poison[strconv.Itoa(rnd.IntN(n))] = true
		}
		batch := make([]string, n)
		for i := range batch {
			batch[i] = strconv.Itoa(i)
		}
		d := newDeadLetter(t, inner, letters, nil)
		require.NoError(t, d.Write(t.Context(), events(batch...)))

		isPoison := func(id string) bool { return inner.poison[id] }
		require.Equal(t, slices.DeleteFunc(slices.Clone(batch), isPoison), ids(inner.Events()), "in order")
		require.Len(t, letters.Events(), len(inner.poison))
		for _, letter := range letters.Events() {
			require.True(t, isPoison(letter.MessageID))
			r, ok := sinks.RefusalOf(letter)
			require.True(t, ok)
			require.Equal(t, "1 events: one is poison", r.Error, "the reason is the event's own")
		}
		require.LessOrEqual(t, inner.writes, 1+2*len(inner.poison)*bits.Len(uint(n-1)))
	}
}

func TestDeadLetterLooksAtTheContextBetweenWrites(t *testing.T) {
	t.Parallel()
	poison := inlet.Permanent(errors.New("poison"))
	// Every write takes a second.
	slow := func(s inlet.Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			time.Sleep(time.Second)
			return s.Write(ctx, events)
		})
	}
	for _, tt := range []struct {
		name    string
		answers []error
		after   time.Duration
		inner   int
		failed  []int
		letters []string
	}{
		{"while bisecting", []error{poison}, 1500 * time.Millisecond, 2, []int{2, 3}, nil},
		{"before the letters", []error{items(poison, 1)}, 500 * time.Millisecond, 1, []int{1}, nil},
		{"and stops for nothing else", []error{poison, poison, nil, poison}, time.Minute, 5, nil, []string{"b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), tt.after, poison)
				defer cancel()
				inner, letters := &scripted{answers: tt.answers}, new(scripted)
				d := newDeadLetter(t, slow(inner), slow(letters), nil)
				err := d.Write(ctx, events("a", "b", "c", "d"))
				requireFailed(t, tt.failed, err, 4)
				require.False(t, inlet.IsPermanent(err))
				if tt.failed != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				require.Len(t, inner.calls, tt.inner)
				require.ElementsMatch(t, tt.letters, ids(letters.Events()))
			})
		})
	}
}

// noted is a sink with every ability. It notes in log what it is asked for, and
// answers with err.
type noted struct {
	sinks.Memory
	name       string
	log        *[]string
	err        error
	durability inlet.Durability
}

func (s *noted) note(what string) error {
	*s.log = append(*s.log, what+" "+s.name)
	return s.err
}

func (s *noted) Flush(context.Context) error  { return s.note("flush") }
func (s *noted) Close(context.Context) error  { return s.note("close") }
func (s *noted) Check(context.Context) error  { return s.note("check") }
func (s *noted) Durability() inlet.Durability { return s.durability }

func TestDeadLetterHasTheAbilitiesOfBothSinks(t *testing.T) {
	t.Parallel()
	var log []string
	errLetters := errors.New("letters failed")
	inner := &noted{name: "inner", log: &log, err: errInner, durability: inlet.DurabilityReplicated}
	letters := &noted{name: "letters", log: &log, err: errLetters, durability: inlet.DurabilityFsync}
	d := newDeadLetter(t, inner, letters, nil)

	for _, ability := range []struct {
		name string
		ask  func(context.Context, inlet.Sink) error
	}{{"flush", inlet.Flush}, {"check", inlet.Check}, {"close", inlet.Close}} {
		log = nil
		err := ability.ask(t.Context(), d)
		require.Equal(t, []string{ability.name + " inner", ability.name + " letters"}, log, "in order, also if the first fails")
		require.ErrorIs(t, err, errInner)
		require.ErrorIs(t, err, errLetters)
	}
	require.Equal(t, inlet.ErrClosed, inlet.Check(t.Context(), d))
	require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(d))
	inner.durability = inlet.DurabilityUnknown
	require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(d))
}

func TestDeadLetterClosesItsSinksOnce(t *testing.T) {
	t.Parallel()
	inner, letters := new(closeCounter), new(closeCounter)
	d := newDeadLetter(t, inner, letters, nil)
	for range 3 {
		require.NoError(t, inlet.Close(t.Context(), d))
	}
	require.Equal(t, 1, inner.closed)
	require.Equal(t, 1, letters.closed)
	require.Equal(t, inlet.ErrClosed, d.Write(t.Context(), events("a")))
}

func TestDeadLetterIsClosedEvenIfItsSinksCannotBe(t *testing.T) {
	t.Parallel()
	open := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })
	d := newDeadLetter(t, open, open, nil)
	require.NoError(t, d.Close(t.Context()))
	require.Equal(t, inlet.ErrClosed, d.Write(t.Context(), events("a")))
}

func TestDeadLetterLetsPanicsPass(t *testing.T) {
	t.Parallel()
	broken := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic("broken") })
	refusing := &scripted{answers: []error{inlet.Permanent(errInner)}}
	for _, d := range []*sinks.DeadLetter{
		newDeadLetter(t, broken, &sinks.Memory{}, nil),
		newDeadLetter(t, refusing, broken, nil),
	} {
		require.PanicsWithValue(t, "broken", func() { d.Write(t.Context(), events("a")) })
		require.Zero(t, d.Letters())
	}
}

func TestNewDeadLetterWantsBothSinks(t *testing.T) {
	t.Parallel()
	_, err := sinks.NewDeadLetter(nil, &sinks.Memory{}, nil)
	require.ErrorContains(t, err, "inner sink")
	_, err = sinks.NewDeadLetter(&sinks.Memory{}, nil, nil)
	require.ErrorContains(t, err, "letters")
}
