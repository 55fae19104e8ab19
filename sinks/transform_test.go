package sinks_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/sinks"
)

type change = func(context.Context, *inlet.Event) error

func newTransform(t testing.TB, inner inlet.Sink, change change) *sinks.Transform {
	tr, err := sinks.NewTransform(inner, change)
	require.NoError(t, err)
	return tr
}

func TestTransform(t *testing.T) {
	t.Parallel()

	t.Run("outcome", func(t *testing.T) {
		t.Parallel()
		refused := inlet.Permanent(errors.New("no consent"))
		tests := []struct {
			name   string
			answer error            // of the inner sink
			errs   map[string]error // of the change
			write  []string
			inner  [][]string // what the inner sink was given
			want   []string
		}{
			{"all are changed", nil, nil, []string{"a", "b"}, [][]string{{"a", "b"}}, []string{stored, stored}},
			{
				"some cannot be changed", nil, map[string]error{"b": refused, "d": errInner},
				[]string{"a", "b", "c", "d"}, [][]string{{"a", "c"}}, []string{stored, permanent, stored, temporary},
			},
			{
				"none can be changed", errInner, map[string]error{"a": refused, "b": refused},
				[]string{"a", "b"}, nil, []string{permanent, permanent},
			},
			{
				"the others fail", errInner, map[string]error{"b": refused},
				[]string{"a", "b", "c"}, [][]string{{"a", "c"}}, []string{temporary, permanent, temporary},
			},
			{
				"one of the others fails", items(refused, 1), map[string]error{"b": errInner},
				[]string{"a", "b", "c", "d"}, [][]string{{"a", "c", "d"}}, []string{stored, temporary, permanent, stored},
			},
			{
				"the inner sink says too much", items(refused, 1, 1), map[string]error{"b": refused},
				[]string{"a", "b", "c"}, [][]string{{"a", "c"}}, []string{temporary, permanent, temporary},
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				inner := &scripted{answers: []error{tt.answer}}
				tr := newTransform(t, inner, func(_ context.Context, e *inlet.Event) error { return tt.errs[e.MessageID] })
				err := tr.Write(t.Context(), events(tt.write...))
				require.Equal(t, tt.want, verdicts(t, err, len(tt.write)))
				require.Equal(t, tt.inner, inner.calls)
			})
		}
	})

	// The outcome of each event of many calls must be what happened to it.
	t.Run("random outcomes", func(t *testing.T) {
		t.Parallel()
		rnd := rand.New(rand.NewPCG(3, 4))
		for range 300 {
			var inner judge
			batch, fates := judged(rnd, 1+rnd.IntN(2*100))
			refused := make(map[string]bool)
			for i, e := range batch {
				if rnd.IntN(5) == 0 {
					refused[e.MessageID], fates[i] = true, permanent
				}
			}
			tr := newTransform(t, &inner, func(_ context.Context, e *inlet.Event) error {
				if refused[e.MessageID] {
					return inlet.Permanent(errInner)
				}
				return nil
			})
			require.Equal(t, fates, verdicts(t, tr.Write(t.Context(), batch), len(batch)))
			require.Equal(t, idsOf(batch, fates, stored), ids(inner.Events()))
		}
	})

	t.Run("errors of the inner sink are unchanged", func(t *testing.T) {
		t.Parallel()
		want := inlet.RetryAfter(errInner, time.Minute)
		require.Equal(t, want, newTransform(t, testsink.Failing(want), unchanged).Write(t.Context(), events("a", "b")))
	})

	t.Run("errors name the change", func(t *testing.T) {
		t.Parallel()
		problem := &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "no consent"}
		tr := newTransform(t, new(sinks.Memory), func(context.Context, *inlet.Event) error { return inlet.Permanent(problem) })
		err := inlet.ItemErrors(tr.Write(t.Context(), events("a")), 1)[0]
		require.EqualError(t, err, "sinks: Transform: no consent")
		require.ErrorIs(t, err, problem, "the public problem is kept")
	})

	t.Run("done context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var inner sinks.Memory
			tr := newTransform(t, &inner, func(context.Context, *inlet.Event) error {
				time.Sleep(400 * time.Millisecond)
				return nil
			})
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, inlet.Permanent(errInner))
			defer cancel()
			start := time.Now()
			err := tr.Write(ctx, events("a", "b", "c", "d", "e"))
			require.Equal(t, 1200*time.Millisecond, time.Since(start), "soon after")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, inlet.IsPermanent(err))
			require.Empty(t, inner.Events())
		})
	})

	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		tr := newTransform(t, new(sinks.Memory), func(context.Context, *inlet.Event) error { panic("change") })
		require.Equal(t, "change", panicOf(func() { tr.Write(t.Context(), events("a")) }))
	})

	t.Run("abilities", func(t *testing.T) {
		t.Parallel()
		inner := &able{durability: inlet.DurabilityFsync}
		tr := newTransform(t, inner, unchanged)
		require.NoError(t, inlet.Close(t.Context(), tr))
		require.Equal(t, 1, inner.closed)
		require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(tr))
	})
}

func unchanged(context.Context, *inlet.Event) error { return nil }

func TestTransformOwnership(t *testing.T) {
	t.Parallel()

	t.Run("lent events do not change", func(t *testing.T) {
		t.Parallel()
		raw := func() []byte { return []byte(`{"email":"a@b.example"}{"next":"event"}`) }
		memory := raw()
		lent := events("a", "b")
		lent[0].Properties, lent[1].Traits = memory[:23], memory[23:]
		before := inlet.CloneEvents(lent)

		var store sinks.Memory
		tr := newTransform(t, &store, func(_ context.Context, e *inlet.Event) error {
			e.Name, e.UserID, e.Source = "Changed", "", &inlet.Source{ID: "other"}
			copy(e.Properties, `{"E`)
			if e.Properties != nil {
				e.Properties = append(e.Properties[:len(e.Properties)-1], `,"more":true}`...)
			}
			return nil
		})
		require.NoError(t, tr.Write(t.Context(), lent))
		require.Equal(t, raw(), memory)
		for i, e := range lent {
			require.True(t, e.Equal(before[i]))
		}
		changed := store.Events()
		require.Equal(t, `{"Email":"a@b.example","more":true}`, string(changed[0].Properties))
		require.Equal(t, `{"next":"event"}`, string(changed[1].Traits))
		require.Equal(t, "other", changed[0].Source.ID)
	})

	t.Run("other legs of a fanout", func(t *testing.T) {
		t.Parallel()
		var archive, crm sinks.Memory
		f := newFanout(t, nil, sinks.Leg{Name: "archive", Sink: &archive}, sinks.Leg{Name: "crm", Sink: newTransform(t, &crm,
			func(_ context.Context, e *inlet.Event) error { e.UserID = ""; return nil })})
		for range 100 {
			require.NoError(t, f.Write(t.Context(), events("a", "b")))
		}
		for i, e := range archive.Events() {
			require.Equal(t, "u", e.UserID)
			require.Empty(t, crm.Events()[i].UserID)
		}
	})
}

func TestTransformCheck(t *testing.T) {
	t.Parallel()

	t.Run("invalid events are refused", func(t *testing.T) {
		t.Parallel()
		whole := func() *inlet.Event {
			e := event("a")
			e.Timestamp = e.ReceivedAt
			e.GroupID, e.PreviousID = "g", "p"
			e.Properties, e.Extra = json.RawMessage(`{"n":1}`), json.RawMessage(`{"channel":"web"}`)
			return e
		}
		tests := []struct {
			name   string
			change func(*inlet.Event)
			want   string // "" is allowed
		}{
			{"an unknown type", func(e *inlet.Event) { e.Type = "click" }, `an invalid Type, "click"`},
			{"no type", func(e *inlet.Event) { e.Type = "" }, `an invalid Type, ""`},
			{"another type", func(e *inlet.Event) { e.Type = inlet.TypePage }, ""},
			{"no message ID", func(e *inlet.Event) { e.MessageID = "" }, "no MessageID"},
			{"another message ID", func(e *inlet.Event) { e.MessageID = "b" }, ""},
			{"no time of receipt", func(e *inlet.Event) { e.ReceivedAt = time.Time{} }, "no ReceivedAt"},
			{"no timestamp", func(e *inlet.Event) { e.Timestamp = time.Time{} }, "no Timestamp"},
			{"no source", func(e *inlet.Event) { e.Source = nil }, "no Source"},
			{"a track call without a name", func(e *inlet.Event) { e.Name = "" }, "no Name"},
			{"a page without a name", func(e *inlet.Event) { e.Type, e.Name = inlet.TypePage, "" }, ""},
			{"a group call without a group", func(e *inlet.Event) { e.Type, e.GroupID = inlet.TypeGroup, "" }, "no GroupID"},
			{"an alias call without a previous ID", func(e *inlet.Event) { e.Type, e.PreviousID = inlet.TypeAlias, "" }, "no PreviousID"},
			{"no user", func(e *inlet.Event) { e.UserID = "" }, ""},
			{"no properties", func(e *inlet.Event) { e.Properties = nil }, ""},
			{"other properties", func(e *inlet.Event) { e.Properties = json.RawMessage("\n {\"n\": 2}\n") }, ""},
			{"properties that end too soon", func(e *inlet.Event) { e.Properties = e.Properties[:3] }, "Properties"},
			{"properties that are followed by more", func(e *inlet.Event) { e.Properties = json.RawMessage(`{},"type":"page"`) }, "Properties"},
			{"traits that are a list", func(e *inlet.Event) { e.Traits = json.RawMessage(`[]`) }, "Traits"},
			{"a context that is white space", func(e *inlet.Event) { e.Context = json.RawMessage(` `) }, "Context"},
			{"integrations that are null", func(e *inlet.Event) { e.Integrations = json.RawMessage(`null`) }, "Integrations"},
			{"invalid UTF-8 in Extra", func(e *inlet.Event) { e.Extra = json.RawMessage("{\"a\":\"\xff\"}") }, "Extra"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				var inner sinks.Memory
				tr := newTransform(t, &inner, func(_ context.Context, e *inlet.Event) error {
					if e.UserID == "u" && e.MessageID == "a" {
						tt.change(e)
					}
					return nil
				})
				err := tr.Write(t.Context(), []*inlet.Event{whole(), event("good")})
				if tt.want == "" {
					require.NoError(t, err)
					return
				}
				require.Equal(t, []string{permanent, stored}, verdicts(t, err, 2))
				require.ErrorContains(t, inlet.ItemErrors(err, 2)[0], tt.want)
				require.Equal(t, []string{"good"}, ids(inner.Events()))
			})
		}
	})

	t.Run("an event that comes without a field", func(t *testing.T) {
		t.Parallel()
		write := func(change func(*inlet.Event)) error {
			letter := event("")
			letter.Name = ""
			return newTransform(t, new(sinks.Memory), func(_ context.Context, e *inlet.Event) error {
				change(e)
				return nil
			}).Write(t.Context(), []*inlet.Event{letter})
		}
		require.NoError(t, write(func(e *inlet.Event) { e.UserID = "v" }))
		require.NoError(t, write(func(e *inlet.Event) { e.MessageID = "b" }))
		require.ErrorContains(t, write(func(e *inlet.Event) { e.ReceivedAt = time.Time{} }), "no ReceivedAt")
		require.ErrorContains(t, write(func(e *inlet.Event) { e.Source = nil }), "no Source")
		require.ErrorContains(t, write(func(e *inlet.Event) { e.Type = inlet.TypeGroup }), "no GroupID")
	})

	t.Run("unchanged raw fields are not checked", func(t *testing.T) {
		t.Parallel()
		e := event("a")
		e.Properties = json.RawMessage(`[]`) // from a store of long ago
		require.NoError(t, newTransform(t, new(sinks.Memory), unchanged).Write(t.Context(), []*inlet.Event{e}))
	})
}
