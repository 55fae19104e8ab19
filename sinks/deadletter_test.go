package sinks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

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
			name:   "stored events get no letter",
			inner:  [][]string{{"a", "b", "c", "d"}},
			stored: []string{"a", "b", "c", "d"},
		},
		{
			name:    "a refused event becomes a letter",
			answers: []error{items(poison, 1, 3)},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"a", "c"},
			letters: []string{"b", "d"},
		},
		{
			name:    "all events are refused by name",
			answers: []error{items(poison, 3, 1, 0, 2)},
			inner:   [][]string{{"a", "b", "c", "d"}},
			letters: []string{"a", "b", "c", "d"},
		},
		{
			name:    "a temporary failure is returned",
			answers: []error{errInner},
			failed:  []int{0, 1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}},
		},
		{
			name:    "all outcomes in one call",
			answers: []error{both},
			failed:  []int{2},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"b", "d"},
			letters: []string{"a"},
		},
		{
			name:    "a batch refused as a whole is bisected",
			answers: []error{poison, nil, poison, poison, nil},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}, {"c"}, {"d"}},
			stored:  []string{"a", "b", "d"},
			letters: []string{"c"},
		},
		{
			name:    "a half names its refused events",
			answers: []error{poison, items(poison, 0), items(poison, 1)},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"b", "c"},
			letters: []string{"a", "d"},
		},
		{
			name:    "a batch that is only accepted in halves",
			answers: []error{poison},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"a", "b", "c", "d"},
		},
		{
			name:    "a temporary failure stops the bisection",
			answers: []error{poison, poison, poison, errInner},
			failed:  []int{1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"a"}, {"b"}},
			letters: []string{"a"},
		},
		{
			name:    "a partial failure does not stop the bisection",
			answers: []error{poison, items(errInner, 0)},
			failed:  []int{0},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"b", "c", "d"},
		},
		{
			name:    "a permanent batch error with temporary items",
			answers: []error{inlet.Permanent(items(errInner, 0))},
			failed:  []int{0},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"b", "c", "d"},
		},
		{
			name:    "a batch error joined to another error",
			answers: []error{errors.Join(poison, items(poison, 0)), nil, nil},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"c", "d"}},
			stored:  []string{"a", "b", "c", "d"},
		},
		{
			name:    "a letter that is not stored fails its event",
			answers: []error{items(poison, 1, 3)},
			posts:   []error{errInner},
			failed:  []int{1, 3},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"a", "c"},
		},
		{
			name:    "a refused letter fails its event temporarily",
			answers: []error{items(poison, 1, 3)},
			posts:   []error{items(poison, 1)},
			failed:  []int{3},
			inner:   [][]string{{"a", "b", "c", "d"}},
			stored:  []string{"a", "c"},
			letters: []string{"b"},
		},
		{
			name:    "letters refused as a whole fail their events",
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
			reported := []string(nil)
			d := newDeadLetter(t, inner, letters, &sinks.DeadLetterOptions{
				OnLetter: func(_ context.Context, letter *inlet.Event, err error) {
					require.True(t, inlet.IsPermanent(err))
					reported = append(reported, letter.MessageID)
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
			require.Equal(t, tt.letters, reported)
			require.EqualValues(t, len(tt.letters), d.Stats().Letters)
		})
	}
}

func TestDeadLetterErrors(t *testing.T) {
	t.Parallel()

	t.Run("of the inner sink, unchanged without a refusal", func(t *testing.T) {
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

	t.Run("of the letters, with RetryAfter", func(t *testing.T) {
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

	t.Run("of what was not written, with RetryAfter", func(t *testing.T) {
		t.Parallel()
		inner := &scripted{answers: []error{inlet.Permanent(errInner), inlet.RetryAfter(errInner, time.Minute)}}
		d := newDeadLetter(t, inner, &sinks.Memory{}, nil)
		errs := inlet.ItemErrors(d.Write(t.Context(), events("a", "b")), 2)
		after, ok := inlet.RetryDelay(errs[1])
		require.True(t, ok)
		require.Equal(t, time.Minute, after)
	})
}

// allergic refuses, as a whole, every batch with one of the poisoned ids.
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

func TestDeadLetterBisection(t *testing.T) {
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
			require.Equal(t, "1 events: one is poison", r.Error, "the reason is that of the event alone")
		}
		require.LessOrEqual(t, inner.writes, 1+2*len(inner.poison)*bits.Len(uint(n-1)))
	}
}

func TestDeadLetterContext(t *testing.T) {
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
		{"during the bisection", []error{poison}, 1500 * time.Millisecond, 2, []int{2, 3}, nil},
		{"before the letters", []error{items(poison, 1)}, 500 * time.Millisecond, 1, []int{1}, nil},
		{"in time", []error{poison, poison, nil, poison}, time.Minute, 5, nil, []string{"b"}},
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

// noted is a sink with all abilities. It records in log which are called, and
// returns err.
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

func TestDeadLetterAbilities(t *testing.T) {
	t.Parallel()

	t.Run("of both sinks", func(t *testing.T) {
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
			require.Equal(t, []string{ability.name + " inner", ability.name + " letters"}, log, "in order, even if the first fails")
			require.ErrorIs(t, err, errInner)
			require.ErrorIs(t, err, errLetters)
		}
		require.Equal(t, inlet.ErrClosed, inlet.Check(t.Context(), d))
		require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(d))
		inner.durability = inlet.DurabilityUnknown
		require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(d))
	})

	t.Run("closes once", func(t *testing.T) {
		t.Parallel()
		inner, letters := new(closeCounter), new(closeCounter)
		d := newDeadLetter(t, inner, letters, nil)
		for range 3 {
			require.NoError(t, inlet.Close(t.Context(), d))
		}
		require.Equal(t, 1, inner.closed)
		require.Equal(t, 1, letters.closed)
		require.Equal(t, inlet.ErrClosed, d.Write(t.Context(), events("a")))
	})

	t.Run("is closed if closing fails", func(t *testing.T) {
		t.Parallel()
		open := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })
		d := newDeadLetter(t, open, open, nil)
		require.NoError(t, d.Close(t.Context()))
		require.Equal(t, inlet.ErrClosed, d.Write(t.Context(), events("a")))
	})
}

func TestDeadLetterPanics(t *testing.T) {
	t.Parallel()
	broken := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic("broken") })
	refusing := &scripted{answers: []error{inlet.Permanent(errInner)}}
	for _, d := range []*sinks.DeadLetter{
		newDeadLetter(t, broken, &sinks.Memory{}, nil),
		newDeadLetter(t, refusing, broken, nil),
	} {
		require.PanicsWithValue(t, "broken", func() { d.Write(t.Context(), events("a")) })
		require.Zero(t, d.Stats().Letters)
	}
}

// letter returns the letter of e for a refusal with the reason.
func letter(t testing.TB, e *inlet.Event, name, reason string) *inlet.Event {
	letters := new(sinks.Memory)
	d := newDeadLetter(t, &scripted{answers: []error{inlet.Permanent(errors.New(reason))}}, letters,
		&sinks.DeadLetterOptions{Name: name})
	require.NoError(t, d.Write(t.Context(), []*inlet.Event{e}))
	return letters.Events()[0]
}

func TestLetter(t *testing.T) {
	t.Parallel()

	t.Run("holds the reason", func(t *testing.T) {
		t.Parallel()

		t.Run("is the event with the reason", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := event("a")
				e.Properties = json.RawMessage(`{"n":1.10}`)
				l := letter(t, e, "warehouse", "no such\ncolumn \"x\"")
				require.JSONEq(t, `{"_refused":{"error":"no such\ncolumn \"x\"","at":"2000-01-01T00:00:00Z","by":"warehouse"}}`, string(l.Extra))
				require.True(t, json.Valid(l.AppendJSON(nil)))
				require.NotContains(t, string(l.AppendJSON(nil)), "\n")

				r, ok := sinks.RefusalOf(l)
				require.True(t, ok)
				require.Equal(t, sinks.Refusal{Error: "no such\ncolumn \"x\"", At: time.Now().UTC(), By: "warehouse"}, r)
				require.True(t, e.Equal(sinks.WithoutRefusal(l)))
				require.Nil(t, sinks.WithoutRefusal(l).Extra)
			})
		})

		t.Run("has no name if its sink has none", func(t *testing.T) {
			t.Parallel()
			require.NotContains(t, string(letter(t, event("a"), "", "poison").Extra), `"by"`)
		})

		t.Run("survives its canonical form", func(t *testing.T) {
			t.Parallel()
			l := letter(t, event("a"), "warehouse", "poison")
			var read inlet.Event
			require.NoError(t, read.UnmarshalJSON(l.AppendJSON(nil)))
			want, _ := sinks.RefusalOf(l)
			got, ok := sinks.RefusalOf(&read)
			require.True(t, ok)
			require.Equal(t, want, got)
		})

		t.Run("does not change the event", func(t *testing.T) {
			t.Parallel()
			e := event("a")
			e.Extra = append(make(json.RawMessage, 0, 100), `{"a":1}`...)
			letter(t, e, "", "poison")
			require.Equal(t, `{"a":1}`, string(e.Extra))
			require.Equal(t, make([]byte, 93), []byte(e.Extra[7:100]))
		})
	})

	t.Run("keeps other members of Extra", func(t *testing.T) {
		t.Parallel()
		const old = `{"error":"before","at":"2026-01-02T03:04:05Z"}`
		for _, tt := range []struct{ name, extra, want string }{
			{"numbers as they are written", `{"n":1.10,"big":123456789012345678901234567890,"e":1E400,"z":-0}`, `{"n":1.10,"big":123456789012345678901234567890,"e":1E400,"z":-0}`},
			{"names as they are written", `{"\u0061\/":1,"":null,"é":"\ud83d\ude00\u0000"}`, `{"\u0061\/":1,"":null,"é":"\ud83d\ude00\u0000"}`},
			{"values that look like members", `{"a":"}\",\"_refused\":1","b":{"_refused":2},"c":[{"_refused":3}]}`, `{"a":"}\",\"_refused\":1","b":{"_refused":2},"c":[{"_refused":3}]}`},
			{"white space within members", " { \"a\" :\t[1 , 2]\r\n, \"b\" : {\n} } ", "{\"a\" :\t[1 , 2],\"b\" : {\n}}"},
			{"behind an older reason", `{"_refused":` + old + `,"a":1}`, `{"a":1}`},
			{"before an older reason", `{"a":1,"_refused":` + old + `}`, `{"a":1}`},
			{"on both sides of an older reason", `{"a":1 , "_refused" : ` + old + ` ,"b":2}`, `{"a":1,"b":2}`},
			{"an older reason that is not an object", `{"a":1,"_refused":"no object"}`, `{"a":1}`},
			{"an older reason with an escaped name", `{"\u005frefused":` + old + `,"a":1}`, `{"a":1}`},
			{"none", `{}`, ``},
			{"only an older reason", `{"_refused":` + old + `}`, ``},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				require.True(t, json.Valid([]byte(tt.extra)))
				e := event("a")
				e.Extra = json.RawMessage(tt.extra)
				l := letter(t, e, "", "poison")
				require.True(t, json.Valid(l.Extra), "%s", l.Extra)
				r, ok := sinks.RefusalOf(l)
				require.True(t, ok)
				require.Equal(t, "poison", r.Error)
				require.Equal(t, tt.want, string(sinks.WithoutRefusal(l).Extra))
				require.True(t, strings.HasPrefix(string(l.Extra), strings.TrimSuffix(tt.want, "}")))
			})
		}
	})

	t.Run("reason is bounded valid text", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct{ name, reason, want string }{
			{"that fits", strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
			{"that does not", strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
			{"that would be cut within a character", strings.Repeat("é", 1000), strings.Repeat("é", 510) + "…"},
			{"that is not UTF-8", "a\xff\xfeb\xe2\x82", "a\uFFFDb\uFFFD"},
			{"that grows when it is repaired", strings.Repeat("a\xff", 600), strings.Repeat("a\uFFFD", 255) + "a…"},
			{"with control characters", "\x00\x1b[31m\u2028", "\x00\x1b[31m\u2028"},
			{"that is empty", "", ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				l := letter(t, event("a"), "", tt.reason)
				require.True(t, json.Valid(l.Extra))
				r, ok := sinks.RefusalOf(l)
				require.True(t, ok)
				require.Equal(t, tt.want, r.Error)
				require.True(t, utf8.ValidString(r.Error))
				require.LessOrEqual(t, len(r.Error), 1024)
			})
		}
	})

	t.Run("other events have no refusal", func(t *testing.T) {
		t.Parallel()
		for _, extra := range []string{"", `{}`, `{"a":1}`, `{"_refused":"by a client"}`, `{"_refused":{}}`, `{"_refused":{"error":"e","at":"yesterday"}}`} {
			e := event("a")
			e.Extra = json.RawMessage(extra)
			r, ok := sinks.RefusalOf(e)
			require.False(t, ok, "%s", extra)
			require.Zero(t, r)
		}
	})

	t.Run("WithoutRefusal shares no memory", func(t *testing.T) {
		t.Parallel()
		e := event("a")
		e.Properties, e.Extra = json.RawMessage(`{"n":1}`), json.RawMessage(`{"a":1}`)
		plain := sinks.WithoutRefusal(e)
		require.True(t, e.Equal(plain))
		clear(e.Properties)
		clear(e.Extra)
		require.Equal(t, `{"n":1}`, string(plain.Properties))
		require.Equal(t, `{"a":1}`, string(plain.Extra))
	})
}

// FuzzLetter uses any object as the Extra of an event that is refused twice.
func FuzzLetter(f *testing.F) {
	f.Add(`{"a":1,"_refused":{"error":"e"},"b":[1.0]}`, "reason")
	f.Add(" {\t\"\\u005frefused\" : null , \"\":{}\n} ", "\xff")
	f.Fuzz(func(t *testing.T, extra, reason string) {
		var before map[string]json.RawMessage
		if json.Unmarshal([]byte(extra), &before) != nil || before == nil {
			t.Skip()
		}
		e := event("a")
		e.Extra = json.RawMessage(extra)
		l := letter(t, letter(t, e, "", "first"), "name", reason)

		_, ok := sinks.RefusalOf(l)
		require.True(t, ok)
		var with, without map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(l.Extra, &with))
		require.Contains(t, with, "_refused")
		if plain := sinks.WithoutRefusal(l).Extra; plain != nil {
			require.NoError(t, json.Unmarshal(plain, &without))
		}
		delete(with, "_refused")
		delete(before, "_refused")
		require.Equal(t, len(before), len(without))
		for name, value := range before {
			require.Equal(t, string(value), string(with[name]))
			require.Equal(t, string(value), string(without[name]))
		}
	})
}
