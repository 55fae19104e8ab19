package sinktest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestFlaky(t *testing.T) {
	t.Parallel()
	errWhole, errItem := errors.New("whole"), errors.New("item")

	t.Run("every nth event and call", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		s := sinktest.Flaky(&m, &sinktest.FlakyOptions{Call: 3, Event: 4, Refuse: 5})
		events := sinktest.Events(6)
		for call, want := range []map[int]bool{ // index to permanent
			{3: false, 4: true},
			{1: false, 3: true, 5: false},
			{0: false, 1: false, 2: false, 3: false, 4: false, 5: false},
		} {
			got := make(map[int]bool)
			for i, err := range inlet.ItemErrors(s.Write(t.Context(), events), len(events)) {
				if err != nil {
					require.ErrorIs(t, err, sinktest.ErrFlaky)
					got[i] = inlet.IsPermanent(err)
				}
			}
			require.Equal(t, want, got, "call %d", call)
		}
		require.Len(t, m.Events(), 4+3)
	})

	t.Run("a script, then the rest", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		s := sinktest.Flaky(&m, &sinktest.FlakyOptions{Script: []error{
			errWhole,
			nil,
			&inlet.BatchError{Items: []inlet.ItemError{{Index: 1, Err: errItem}, {Index: 9, Err: errItem}}},
		}})
		events := sinktest.Events(2)
		require.Equal(t, errWhole, s.Write(t.Context(), events))
		require.Empty(t, m.Events())
		require.NoError(t, s.Write(t.Context(), events))
		require.Len(t, m.Events(), 2)
		require.Equal(t, []error{nil, errItem}, inlet.ItemErrors(s.Write(t.Context(), events), 2))
		require.Len(t, m.Events(), 3)
		require.NoError(t, s.Write(t.Context(), events))
	})

	t.Run("errors of the inner sink are passed on", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		one := &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: errItem}}}
		s := sinktest.Flaky(sinktest.Flaky(&m, &sinktest.FlakyOptions{Script: []error{one}}), &sinktest.FlakyOptions{Script: []error{one}})
		events := sinktest.Events(3)
		require.Equal(t, []error{errItem, errItem, nil}, inlet.ItemErrors(s.Write(t.Context(), events), 3))
		require.Equal(t, events[2].MessageID, m.Events()[0].MessageID)
		require.Equal(t, inlet.DurabilityMemory, inlet.DurabilityOf(s))
	})

	t.Run("a flaky sink keeps the contract", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New: func(testing.TB) inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) },
			Read: func(_ testing.TB, s inlet.Sink) []*inlet.Event {
				return s.(inlet.Unwrapper).Unwrap().(*sinks.Memory).Events()
			},
			Features: sinktest.Features{Ordered: true, Partial: true, Fails: true},
		})
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	events := append(sinktest.Events(100), sinktest.Events(100)...)
	seen := make(map[string]bool)
	types := make(map[inlet.Type]bool)
	for i, e := range events {
		require.False(t, seen[e.MessageID], "message IDs never repeat")
		seen[e.MessageID] = true
		types[e.Type] = true
		require.True(t, canonical.IsType(string(e.Type)))
		require.False(t, e.ReceivedAt.IsZero())
		require.False(t, e.Timestamp.IsZero())
		require.NotEmpty(t, e.Source.ID)
		require.NotEmpty(t, e.UserID+e.AnonymousID)

		var back inlet.Event
		require.NoError(t, back.UnmarshalJSON(e.AppendJSON(nil)))
		require.Equal(t, string(e.AppendJSON(nil)), string(back.AppendJSON(nil)), "event %d survives its canonical form", i)
		first := *events[i%100]
		first.MessageID = e.MessageID
		require.True(t, first.Equal(e), "event %d is always the same", i)
	}
	require.Len(t, types, 6)
}
