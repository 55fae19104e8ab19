package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	m.Put(seg1, lines(1, 2))
	m.Put(seg3, lines(3, 1)+"damaged\n"+lines(4, 2))
	j := openMem(t, m, Options{SegmentBytes: 1})
	write(t, j, "m6", "m7", "m8")
	t.Run("begin at the number asked for", func(t *testing.T) {
		for from := range 10 {
			var want []string
			for seq := max(from, 1); seq <= 8; seq++ {
				want = append(want, fmt.Sprintf("m%d", seq))
			}
			var got []string
			for r, err := range j.Events(t.Context(), uint64(from)) {
				require.NoError(t, err)
				got = append(got, r.Event.MessageID)
			}
			require.Equal(t, want, got)
		}
	})
	t.Run("end where the consumer does", func(t *testing.T) {
		for r := range j.Events(t.Context(), 2) {
			require.EqualValues(t, 2, r.Seq)
			break
		}
	})
	t.Run("end with the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var seen int
		for _, err := range j.Events(ctx, 0) {
			seen++
			if seen == 2 {
				require.ErrorIs(t, err, context.Canceled)
			}
			cancel()
		}
		require.Equal(t, 2, seen)
	})
	t.Run("go on after a file that cannot be read", func(t *testing.T) {
		m.Fault = func(op, name string, size int) (int, error) {
			if op == "open" && strings.HasSuffix(name, seg3) {
				return 0, errIO
			}
			return size, nil
		}
		var ids []string
		var failed int
		for r, err := range j.Events(t.Context(), 0) {
			if err != nil {
				failed++
				continue
			}
			ids = append(ids, r.Event.MessageID)
		}
		require.Equal(t, 1, failed)
		require.Equal(t, []string{"m1", "m2", "m6", "m7", "m8"}, ids)
	})
}

func TestEventsUnacknowledged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, g := memfs.New(), newGate("sync")
		m.Fault = g.fault
		j := openMem(t, m, Options{})
		write(t, j, "a")
		g.shut.Store(true)
		go j.Write(t.Context(), events("b", 1))
		synctest.Wait()
		require.Equal(t, []string{"a"}, stored(t, j))
		require.Zero(t, j.Stats().Damaged)
		g.shut.Store(false)
		close(g.open)
		require.NoError(t, j.Flush(t.Context()))
		require.Equal(t, []string{"a", "b-0"}, stored(t, j))
	})
}

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

func TestRecentIDs(t *testing.T) {
	t.Parallel()
	t.Run("bounded by age and number", func(t *testing.T) {
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
	})
	t.Run("context done, segment unreadable", func(t *testing.T) {
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
	})
	t.Run("dedupe after a restart", func(t *testing.T) {
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
	})
	t.Run("of incomplete lines", func(t *testing.T) {
		t.Parallel()
		line := lineOf(event("m1"), 1)
		for n := range line {
			require.NotPanics(t, func() { identify(line[:n], &inlet.Event{Source: new(inlet.Source)}) })
		}
		require.True(t, identify(line, &inlet.Event{Source: new(inlet.Source)}), "the usual line needs no parser")
	})
}

// FuzzIdentity checks that identify agrees with the parser.
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
