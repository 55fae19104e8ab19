package inlet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

var errDown = errors.New("down")

func TestPermanent(t *testing.T) {
	t.Parallel()
	permanent := inlet.Permanent(errDown)
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"an error", errDown, false},
		{"marked", permanent, true},
		{"wrapped", fmt.Errorf("x: %w", permanent), true},
		{"with a wait inside", inlet.Permanent(inlet.RetryAfter(errDown, 1)), true},
		{"with a wait outside", inlet.RetryAfter(permanent, 1), true},
		{"joined with its like", errors.Join(permanent, permanent), true},
		{"joined with a temporary one", errors.Join(permanent, errDown), false},
		{"wrapped twice with a temporary one", fmt.Errorf("%w, %w", permanent, errDown), false},
		{"joined deep inside", fmt.Errorf("x: %w", errors.Join(permanent, errors.Join(permanent, errDown))), false},
		{"marked as a whole", inlet.Permanent(errors.Join(permanent, errDown)), true},
		{"a batch of its like", itemError(0, permanent), true},
		{"a batch of a temporary one", itemError(0, errDown), false},
		{"a batch without items", &inlet.BatchError{}, false},
	}
	for _, test := range tests {
		require.Equal(t, test.want, inlet.IsPermanent(test.err), test.name)
	}
	require.NoError(t, inlet.Permanent(nil))
	require.ErrorIs(t, permanent, errDown)
	require.Equal(t, "down", permanent.Error())
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	second, minute := inlet.RetryAfter(errDown, time.Second), inlet.RetryAfter(errDown, time.Minute)
	tests := []struct {
		name string
		err  error
		want time.Duration
		ok   bool
	}{
		{"nil", nil, 0, false},
		{"an error", errDown, 0, false},
		{"marked", second, time.Second, true},
		{"marked with nothing", inlet.RetryAfter(errDown, 0), 0, true},
		{"marked twice", inlet.RetryAfter(minute, time.Second), time.Minute, true},
		{"wrapped", fmt.Errorf("x: %w", second), time.Second, true},
		{"joined", errors.Join(second, errDown, minute), time.Minute, true},
		{"in a batch", &inlet.BatchError{Items: []inlet.ItemError{{0, minute}, {1, second}}}, time.Minute, true},
		{"below a permanent mark", inlet.Permanent(second), time.Second, true},
	}
	for _, test := range tests {
		d, ok := inlet.RetryDelay(test.err)
		require.Equal(t, test.want, d, test.name)
		require.Equal(t, test.ok, ok, test.name)
	}
	require.NoError(t, inlet.RetryAfter(nil, time.Second))
	require.ErrorIs(t, second, errDown)
	require.False(t, inlet.IsPermanent(second))
}

func TestItemErrors(t *testing.T) {
	t.Parallel()
	t.Run("of a batch", func(t *testing.T) {
		t.Parallel()
		permanent := inlet.Permanent(errDown)
		batch := &inlet.BatchError{Items: []inlet.ItemError{{2, permanent}, {0, errDown}}}
		require.Nil(t, inlet.ItemErrors(nil, 3))
		require.Equal(t, []error{errDown, nil, permanent}, inlet.ItemErrors(batch, 3))
		require.Equal(t, []error{errDown, nil, permanent}, inlet.ItemErrors(fmt.Errorf("x: %w", batch), 3))
		require.Equal(t, []error{errDown, nil, permanent}, inlet.ItemErrors(inlet.RetryAfter(batch, 1), 3))
		require.Equal(t, []error{errDown, errDown}, inlet.ItemErrors(errDown, 2))
		joined := errors.Join(batch, errDown)
		require.Equal(t, []error{joined, joined, joined}, inlet.ItemErrors(joined, 3), "next to another error a batch error says nothing")
		for name, malformed := range map[string]*inlet.BatchError{
			"no item": {}, "out of range": {Items: []inlet.ItemError{{3, permanent}}}, "below zero": {Items: []inlet.ItemError{{-1, permanent}}},
			"twice": {Items: []inlet.ItemError{{1, permanent}, {1, permanent}}}, "no error": {Items: []inlet.ItemError{{1, nil}}},
		} {
			require.Error(t, itemerrors.Validate(malformed, 3), name)
			require.NotEmpty(t, malformed.Error())
			for _, err := range inlet.ItemErrors(malformed, 3) {
				require.Error(t, err, name)
				require.False(t, inlet.IsPermanent(err), name)
			}
		}
		require.NoError(t, itemerrors.Validate(batch, 3))
		require.ErrorContains(t, batch, "2 events failed, first at index 2: down")
		require.ErrorIs(t, batch, errDown)
	})
	t.Run("of a nil batch error", func(t *testing.T) {
		t.Parallel()
		var err error = (*inlet.BatchError)(nil)
		errs := inlet.ItemErrors(err, 2)
		require.Len(t, errs, 2)
		require.ErrorContains(t, errs[1], "without items")
		require.False(t, inlet.IsPermanent(errs[0]))
	})
}

// around is a decorator without abilities of its own.
type around struct{ inlet.Sink }

func (a around) Unwrap() inlet.Sink { return a.Sink }

// closing is a sink that can be closed, and nothing else.
type closing struct {
	*testsink.Keeper
	closed int
}

func (c *closing) Close(context.Context) error { c.closed++; return errDown }

func TestAbilities(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	inner := &flushing{Keeper: new(testsink.Keeper), durability: inlet.DurabilityFsync, checkErr: errDown}
	for _, s := range []inlet.Sink{inner, around{inner}, around{around{inner}}} {
		require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(s))
		require.ErrorIs(t, inlet.Check(ctx, s), errDown)
		require.NoError(t, inlet.Flush(ctx, s))
		require.NoError(t, inlet.Close(ctx, s), "no sink of the chain can be closed")
	}
	require.EqualValues(t, 3, inner.flushes.Load())

	outer := struct {
		around
		*flushing
	}{around{inner}, &flushing{durability: inlet.DurabilityMemory}}
	require.Equal(t, inlet.DurabilityMemory, inlet.DurabilityOf(struct {
		inlet.Sink
		inlet.Durable
	}{outer.around, outer.flushing}))

	hidden := inlet.SinkFunc(around{inner}.Write)
	require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(hidden), "a sink that does not unwrap hides what is in it")
	require.NoError(t, inlet.Check(ctx, hidden))

	c := &closing{Keeper: new(testsink.Keeper)}
	require.ErrorIs(t, inlet.Close(ctx, around{c}), errDown)
	require.Equal(t, 1, c.closed)
	require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(nil))
	require.NoError(t, inlet.Flush(ctx, around{nil}))

	found, ok := inlet.As[*closing](around{c})
	require.True(t, ok)
	require.Same(t, c, found)
	_, ok = inlet.As[*closing](hidden)
	require.False(t, ok)
}

func TestDurability(t *testing.T) {
	t.Parallel()
	for d, name := range map[inlet.Durability]string{
		inlet.DurabilityUnknown: "unknown", inlet.DurabilityMemory: "memory", inlet.DurabilityOSBuffer: "OS buffer",
		inlet.DurabilityFsync: "fsync", inlet.DurabilityReplicated: "replicated", -1: "Durability(-1)", 5: "Durability(5)",
	} {
		require.Equal(t, name, d.String())
	}
}
