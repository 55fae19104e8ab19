package sinks_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// TestOptions is for all constructors: which arguments and options they refuse, and with
// which error.
func TestOptions(t *testing.T) {
	t.Parallel()
	store := new(sinks.Memory)
	all := func(*inlet.Event) bool { return true }
	rule := func(name string, s inlet.Sink) sinks.Rule { return sinks.Rule{Name: name, Match: all, Sink: s} }
	batch := func(o sinks.BatchOptions) error { return errorOf(sinks.NewBatch(store, &o)) }
	dedupe := func(o sinks.DedupeOptions) error { return errorOf(sinks.NewDedupe(store, &o)) }
	retry := func(o sinks.RetryOptions) error { return errorOf(sinks.NewRetry(store, &o)) }
	fanout := func(legs ...sinks.Leg) error { return errorOf(sinks.NewFanout(legs, nil)) }
	ndjson := func(d inlet.Durability) error {
		return errorOf(sinks.NewNDJSON(io.Discard, &sinks.NDJSONOptions{Durability: d}))
	}
	for _, tt := range []struct {
		name string
		err  error
		want string // one line for each fault
	}{
		{"Batch, no sink", errorOf(sinks.NewBatch(nil, nil)), "NewBatch: inner is nil"},
		{"Batch, MaxEvents", batch(sinks.BatchOptions{MaxEvents: -1}), "BatchOptions: MaxEvents is -1, must be at least 1"},
		{"Batch, MaxBytes", batch(sinks.BatchOptions{MaxBytes: -1}), "BatchOptions: MaxBytes is -1, must be at least 1"},
		{"Batch, MaxDelay", batch(sinks.BatchOptions{MaxDelay: -1}), "BatchOptions: MaxDelay is -1ns, must be at least 0s"},
		{"Batch, MaxPending", batch(sinks.BatchOptions{MaxPending: -1}), "BatchOptions: MaxPending is -1, must be at least 1"},
		{"Batch, MaxPendingBytes", batch(sinks.BatchOptions{MaxPendingBytes: -1}), "BatchOptions: MaxPendingBytes is -1, must be at least 1"},
		{"Batch, WriteTimeout", batch(sinks.BatchOptions{WriteTimeout: -1}), "BatchOptions: WriteTimeout is -1ns, must be at least 0s"},
		{"Batch, OnError", batch(sinks.BatchOptions{Async: true}), "BatchOptions: OnError is nil, but required with Async"},
		{
			"Batch, all faults", errorOf(sinks.NewBatch(nil, &sinks.BatchOptions{MaxEvents: -1, MaxBytes: -2})),
			"NewBatch: inner is nil\nsinks: BatchOptions: MaxEvents is -1, must be at least 1\nMaxBytes is -2, must be at least 1",
		},

		{"DeadLetter, no sink", errorOf(sinks.NewDeadLetter(nil, store, nil)), "NewDeadLetter: inner is nil"},
		{"DeadLetter, no letters", errorOf(sinks.NewDeadLetter(store, nil, nil)), "NewDeadLetter: letters is nil"},

		{"Dedupe, no sink", errorOf(sinks.NewDedupe(nil, nil)), "NewDedupe: inner is nil"},
		{"Dedupe, Window", dedupe(sinks.DedupeOptions{Window: -1}), "DedupeOptions: Window is -1ns, must be at least 0s"},
		{"Dedupe, MaxIDs", dedupe(sinks.DedupeOptions{MaxIDs: -1}), "DedupeOptions: MaxIDs is -1, must be at least 1"},
		{"Dedupe, too many MaxIDs", dedupe(sinks.DedupeOptions{MaxIDs: math.MaxInt32 + 1}), "DedupeOptions: MaxIDs is 2147483648, must be at most 2147483647"},
		{"Dedupe, Stored", dedupe(sinks.DedupeOptions{MaxIDs: 1, Stored: func(yield func(*inlet.Event, error) bool) {
			yield(nil, errInner)
		}}), "DedupeOptions: Stored yields an error: inner sink failed"},

		{"Fallback, nothing", errorOf(sinks.NewFallback(nil, nil, nil, nil)), "NewFallback: front is nil\nback is nil\ndrain is nil"},
		{
			"Fallback, options",
			errorOf(sinks.NewFallback(store, store, func(context.Context) error { return nil }, &sinks.FallbackOptions{Timeout: -1, MaxHold: -1})),
			"FallbackOptions: Timeout is -1ns, must be at least 1ns\nMaxHold is -1ns, must be at least 1ns",
		},
		{"Fanout, no leg", fanout(), "NewFanout: legs has no required leg"},
		{"Fanout, no required leg", fanout(sinks.Leg{Name: "a", Sink: store, BestEffort: true}), "NewFanout: legs has no required leg"},
		{"Fanout, no name", fanout(sinks.Leg{Name: "a", Sink: store}, sinks.Leg{Sink: store}), "NewFanout: legs[1].Name is empty"},
		{"Fanout, same name", fanout(sinks.Leg{Name: "a", Sink: store}, sinks.Leg{Name: "a", Sink: store}), `NewFanout: legs[1].Name is "a", as is legs[0].Name`},
		{"Fanout, no sink", fanout(sinks.Leg{Name: "a", Sink: store}, sinks.Leg{Name: "b"}), "NewFanout: legs[1].Sink is nil"},
		{"Fanout, all faults", fanout(sinks.Leg{BestEffort: true}), "NewFanout: legs[0].Sink is nil\nlegs has no required leg\nlegs[0].Name is empty"},

		{"Filter, no sink", errorOf(sinks.NewFilter(nil, all)), "NewFilter: inner is nil"},
		{"Filter, no function", errorOf(sinks.NewFilter(store, nil)), "NewFilter: keep is nil"},

		{"NDJSON, no writer", errorOf(sinks.NewNDJSON(nil, nil)), "NewNDJSON: w is nil"},
		{"NDJSON, durability too low", ndjson(-1), "NDJSONOptions: Durability is Durability(-1), must be one of [unknown memory OS buffer fsync replicated]"},
		{"NDJSON, durability too high", ndjson(inlet.DurabilityReplicated + 1), "NDJSONOptions: Durability is Durability(5), must be one of [unknown memory OS buffer fsync replicated]"},

		{"Retry, no sink", errorOf(sinks.NewRetry(nil, nil)), "NewRetry: inner is nil"},
		{"Retry, Attempts", retry(sinks.RetryOptions{Attempts: -1}), "RetryOptions: Attempts is -1, must be at least 1"},
		{"Retry, MinDelay", retry(sinks.RetryOptions{MinDelay: -1}), "RetryOptions: MinDelay is -1ns, must be at least 0s"},
		{"Retry, MaxDelay", retry(sinks.RetryOptions{MaxDelay: -1}), "RetryOptions: MaxDelay is -1ns, must be at least 50ms"},
		{"Retry, MaxDelay below MinDelay", retry(sinks.RetryOptions{MinDelay: 2 * time.Second}), "RetryOptions: MaxDelay is 1s, must be at least 2s"},

		{"Route, no name", errorOf(sinks.NewRoute([]sinks.Rule{rule("", store)}, store)), "NewRoute: rules[0].Name is empty"},
		{
			"Route, same name", errorOf(sinks.NewRoute([]sinks.Rule{rule("a", store), rule("b", store), rule("a", store)}, store)),
			`NewRoute: rules[2].Name is "a", as is rules[0].Name`,
		},
		{"Route, no function", errorOf(sinks.NewRoute([]sinks.Rule{{Name: "a", Sink: store}}, store)), "NewRoute: rules[0].Match is nil"},
		{"Route, no sink", errorOf(sinks.NewRoute([]sinks.Rule{rule("a", nil)}, store)), "NewRoute: rules[0].Sink is nil"},
		{"Route, no sink for other events", errorOf(sinks.NewRoute([]sinks.Rule{rule("a", store)}, nil)), "NewRoute: otherwise is nil"},

		{"Timeout, no sink", errorOf(sinks.NewTimeout(nil, time.Second, nil)), "NewTimeout: inner is nil"},
		{"Timeout, no limit", errorOf(sinks.NewTimeout(store, 0, nil)), "NewTimeout: limit is 0s, must be at least 1ns"},
		{"Timeout, negative limit", errorOf(sinks.NewTimeout(store, -1, nil)), "NewTimeout: limit is -1ns, must be at least 1ns"},
		{
			"Timeout, MaxHanging", errorOf(sinks.NewTimeout(store, time.Second, &sinks.TimeoutOptions{MaxHanging: -1})),
			"TimeoutOptions: MaxHanging is -1, must be at least 1",
		},

		{"Transform, no sink", errorOf(sinks.NewTransform(nil, unchanged)), "NewTransform: inner is nil"},
		{"Transform, no function", errorOf(sinks.NewTransform(store, nil)), "NewTransform: change is nil"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, tt.err, "sinks: "+tt.want)
		})
	}
}

// errorOf returns the error of a constructor. None may come with a sink.
func errorOf[T comparable](s T, err error) error {
	var none T
	if err != nil && s != none {
		return errors.Join(err, errors.New("and there is a sink"))
	}
	return err
}

// TestStats reads the counters of all sinks: they begin at 0, and can be read after Close.
func TestStats(t *testing.T) {
	t.Parallel()
	store := new(sinks.Memory)
	all := func(*inlet.Event) bool { return true }
	batch := newBatch(t, store, nil)
	deadLetter := newDeadLetter(t, store, store, nil)
	dedupe := newDedupe(t, store, &sinks.DedupeOptions{MaxIDs: 1})
	fanout := newFanout(t, nil, sinks.Leg{Name: "a", Sink: store})
	filter := newFilter(t, store, all)
	retry := newRetry(t, store, nil)
	timeout := newTimeout(t, store, time.Second, nil)
	discard := new(sinks.Discard)
	for range 2 {
		require.Zero(t, batch.Stats())
		require.Zero(t, deadLetter.Stats())
		require.Zero(t, dedupe.Stats())
		require.Equal(t, sinks.FanoutStats{Legs: []sinks.LegStats{{Name: "a"}}}, fanout.Stats())
		require.Zero(t, filter.Stats())
		require.Zero(t, retry.Stats())
		require.Zero(t, timeout.Stats())
		require.Zero(t, discard.Stats())
		for _, s := range []inlet.Sink{batch, deadLetter, dedupe, fanout, filter, retry, timeout, discard} {
			require.NoError(t, inlet.Close(context.Background(), s))
		}
	}
}
