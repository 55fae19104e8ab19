package verified_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/verified"
)

func TestList(t *testing.T) {
	t.Parallel()
	ids := make([]json.RawMessage, 3)
	raws := []verified.Raw{{[]byte(`{"a":1}`)}, {[]byte(`{"a":2}`)}, {nil, []byte(`{}`)}}
	list := new(verified.List)
	fill := func() {
		require.True(t, list.Begin(len(ids)))
		for i := range ids {
			marks := list.Add(&ids[i])
			for k, raw := range raws[i] {
				marks.Set(k, raw)
			}
		}
		list.End()
	}
	fill()
	ctx := verified.With(t.Context(), list)
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		ask, in []int
	}{
		{name: "all events", ctx: ctx, ask: []int{0, 1, 2}, in: []int{0, 1, 2}},
		{name: "some events, in their order", ctx: ctx, ask: []int{0, 2}, in: []int{0, 2}},
		{name: "another order finds some", ctx: ctx, ask: []int{2, 0}, in: []int{2}},
		{name: "a context around it", ctx: context.WithValue(ctx, new(int), 1), ask: []int{1}, in: []int{1}},
		{name: "another context", ctx: t.Context(), ask: []int{0, 1, 2}},
	} {
		r := verified.Read(tt.ctx)
		var in []int
		for _, i := range tt.ask {
			if marks := r.Find(&ids[i]); marks != nil {
				for k, raw := range raws[i] {
					require.True(t, marks.At(k, raw), tt.name)
				}
				in = append(in, i)
			}
		}
		r.Close()
		require.Equal(t, tt.in, in, tt.name)
	}

	t.Run("an event that is not in the list", func(t *testing.T) {
		r := verified.Read(ctx)
		defer r.Close()
		require.Nil(t, r.Find(new(json.RawMessage)))
		require.Nil(t, r.Find(&ids[0]), "the rest is not searched again")
	})

	t.Run("a reader sees no other request", func(t *testing.T) {
		r, other := verified.Read(ctx), verified.Read(ctx)
		other.Close()
		require.False(t, list.Reset(), "the list was emptied while it was read")
		require.False(t, list.Begin(1))
		require.NotNil(t, r.Find(&ids[0]))
		r.Close()
		require.True(t, list.Reset())
		r = verified.Read(ctx)
		defer r.Close()
		require.Nil(t, r.Find(&ids[0]))
		fill()
		require.Nil(t, r.Find(&ids[0]), "a list that was closed when reading began")
		again := verified.Read(ctx)
		defer again.Close()
		require.NotNil(t, again.Find(&ids[0]))
	})
}

func TestMarks(t *testing.T) {
	t.Parallel()
	raw := json.RawMessage(`{"a":1}`)
	list := new(verified.List)
	require.True(t, list.Begin(1))
	list.Add(&raw).Set(0, raw)
	list.End()
	r := verified.Read(verified.With(t.Context(), list))
	defer r.Close()
	marks := r.Find(&raw)
	require.True(t, marks.At(0, raw[:len(raw):len(raw)]))
	require.False(t, marks.At(0, bytes.Clone(raw)), "a copy")
	require.False(t, marks.At(0, raw[:3]), "a part")
	require.False(t, marks.At(0, nil), "removed")
	require.True(t, marks.At(1, json.RawMessage{}))
	require.False(t, marks.At(1, raw), "added")
}
