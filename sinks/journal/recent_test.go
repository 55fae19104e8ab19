package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// recentIDs returns the ids that RecentIDs yields.
func recentIDs(t *testing.T, j *Journal, age time.Duration, most int) (ids []string) {
	t.Helper()
	for e, err := range j.RecentIDs(t.Context(), age, most) {
		require.NoError(t, err)
		require.Equal(t, "web", e.Source.ID)
		ids = append(ids, e.MessageID)
	}
	return ids
}

func TestRecentIDsAreBoundedByAgeAndNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := openMem(t, memfs.New(), Options{SegmentBytes: two})
		require.Empty(t, recentIDs(t, j, time.Hour, 10))
		for i := range 10 {
			writeAt(t, j, fmt.Sprint(i), time.Now())
			time.Sleep(time.Hour)
		}
		all := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
		require.Equal(t, all, recentIDs(t, j, 24*time.Hour, 100))
		require.Equal(t, all[7:], recentIDs(t, j, 24*time.Hour, 3))
		require.Equal(t, all[6:], recentIDs(t, j, 4*time.Hour, 100))
		require.Empty(t, recentIDs(t, j, time.Minute, 100))
		require.Empty(t, recentIDs(t, j, 24*time.Hour, 0))
	})
}

func TestRecentIDsEndWithTheContextAndPassOverWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	j := openMem(t, m, Options{SegmentBytes: two})
	for i := range 6 {
		writeAt(t, j, fmt.Sprint(i), time.Now())
	}
	m.Fault = func(op, name string, size int) (int, error) {
		if op == "open" && name == memfs.Dir+"/00000000000000000003.ndjson" {
			return 0, errIO
		}
		return size, nil
	}
	require.Equal(t, []string{"0", "1", "4", "5"}, recentIDs(t, j, time.Hour, 100))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for e, err := range j.RecentIDs(ctx, time.Hour, 100) {
		if n++; n == 2 {
			require.ErrorIs(t, err, context.Canceled)
			break
		}
		require.Equal(t, "0", e.MessageID)
		cancel()
	}
	require.Equal(t, 2, n)
}

func TestARestartForgetsNoDuplicate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memfs.New()
		open := func() (*Journal, *sinks.Dedupe) {
			j := openMem(t, m, Options{SegmentBytes: two})
			d, err := sinks.NewDedupe(j, &sinks.DedupeOptions{Stored: j.RecentIDs(t.Context(), 24*time.Hour, 1000), MaxIDs: 1000})
			require.NoError(t, err)
			return j, d
		}
		send := func(d *sinks.Dedupe, id string) {
			e := event(id)
			e.ReceivedAt = time.Now()
			require.NoError(t, d.Write(t.Context(), []*inlet.Event{e}))
		}
		j, d := open()
		var want []string
		for i := range 7 {
			id := fmt.Sprintf("m%d \" \\ \u00e9\u2028", i) // with what has to be escaped
			want = append(want, id)
			send(d, id)
		}
		closeNow(t, j)
		time.Sleep(23 * time.Hour)
		j, d = open()
		for _, id := range want {
			send(d, id)
		}
		require.EqualValues(t, 7, d.Stats().Duplicates)
		require.Equal(t, want, stored(t, j))
		closeNow(t, j)
		time.Sleep(2 * time.Hour)
		j, d = open()
		send(d, want[0])
		require.Zero(t, d.Stats().Duplicates, "the window counts from when it was received first")
		require.Len(t, stored(t, j), 8)
	})
}

// What is read of the beginning of a line is what reading all of it gives.
func FuzzIdentity(f *testing.F) {
	f.Add("m1", "web", "Order Completed", "u1", uint8(0), true)
	f.Add("m\"1\\", "", "\u2028\x00", "\xff", uint8(3), false)
	f.Add("", "receivedAt", "messageId", `","messageId":"x`, uint8(1), true)
	f.Fuzz(func(t *testing.T, id, source, name, user string, warnings uint8, track bool) {
		e := &inlet.Event{
			Type: inlet.TypeIdentify, MessageID: id, UserID: user, AnonymousID: name, ReceivedAt: day.Add(time.Duration(warnings)),
			Source: &inlet.Source{ID: source}, Warnings: inlet.Warnings(warnings & 7),
		}
		if track {
			e.Type, e.Name, e.Properties = inlet.TypeTrack, name, json.RawMessage(`{"messageId":"other"}`)
		}
		line := lineOf(e, 1)
		whole, err := parseLine(slices.Clone(line))
		if err != nil || whole.Source == nil {
			t.Skip("an event that no sink is given")
		}
		got := &inlet.Event{Source: new(inlet.Source)}
		if !identify(line, got) {
			return
		}
		require.Equal(t, whole.MessageID, got.MessageID)
		require.Equal(t, whole.Source.ID, got.Source.ID)
		require.True(t, whole.ReceivedAt.Equal(got.ReceivedAt))
		require.Equal(t, whole.Warnings, got.Warnings)
	})
}

func TestIdentifyBearsAnything(t *testing.T) {
	t.Parallel()
	line := lineOf(event("m1"), 1)
	for n := range line {
		require.NotPanics(t, func() { identify(line[:n], &inlet.Event{Source: new(inlet.Source)}) })
	}
	require.True(t, identify(line, &inlet.Event{Source: new(inlet.Source)}), "the usual line needs no parser")
}
