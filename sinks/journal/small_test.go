package journal

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestSmallSegments(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	tests := map[string]struct {
		options     Options
		every       time.Duration // how often an event is written
		least, most int           // files after a month
	}{
		"an event every 10 minutes": {every: 10 * time.Minute, least: 30, most: 31},
		"an event an hour":          {every: time.Hour, least: 30, most: 31},
		"an event a day":            {every: 24 * time.Hour, least: 29, most: 31},
		"an event a week":           {every: 7 * 24 * time.Hour, least: 4, most: 5},
		"short age":                 {Options{SegmentAge: time.Minute}, 10 * time.Minute, 280, 301},
		"long age":                  {Options{SegmentAge: 72 * time.Hour}, time.Hour, 10, 11},
		"short retention":           {Options{RetainAge: 20 * time.Hour}, 10 * time.Minute, 10, 12},
		"turned off":                {Options{MinSegmentBytes: -1}, time.Hour, 720, 721},
		"worth sealing":             {Options{MinSegmentBytes: 1}, time.Hour, 720, 721},
		"by size":                   {Options{SegmentBytes: two}, time.Hour, 720, 721},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				j := openMem(t, m, test.options)
				for i := range int(month / test.every) {
					write(t, j, fmt.Sprint(i))
					time.Sleep(test.every)
				}
				n := len(segmentNames(m))
				require.GreaterOrEqual(t, n, test.least)
				require.LessOrEqual(t, n, test.most)
			})
		})
	}
	t.Run("sealed once it is worth it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{MinSegmentBytes: 3 * 600})
			for _, id := range []string{"a", "b"} {
				write(t, j, id)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				require.Equal(t, []string{part1}, names(m))
			}
			require.NoError(t, j.Write(t.Context(), events("c", 3)))
			synctest.Wait()
			require.Equal(t, []string{seg1}, names(m))
			require.Len(t, stored(t, j), 5)
		})
	})
	t.Run("flushed at its age under SyncNever", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{Sync: SyncNever})
			spared := func() int { return len(stored(t, openMem(t, m.PowerCut(), Options{}))) }
			for i := 1; i <= 3; i++ {
				write(t, j, fmt.Sprint(i))
				time.Sleep(10*time.Minute - time.Nanosecond)
				synctest.Wait()
				require.Equal(t, i-1, spared())
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				require.Equal(t, i, spared())
			}
			require.Equal(t, []string{part1}, names(m))
			require.Less(t, len(onlySyncs(ops(m))), 10, "and not again and again")
		})
	})
	t.Run("nothing else differs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			var acked []string
			for i := range 500 {
				id := fmt.Sprint(i)
				require.NoError(t, j.Write(t.Context(), []*inlet.Event{event(id)}))
				acked = append(acked, id)
				time.Sleep(10 * time.Minute)
				if i%50 != 0 {
					continue
				}
				require.Equal(t, acked, stored(t, openMem(t, m.PowerCut(), Options{})), "a power cut spares what is acknowledged")
			}
			closeNow(t, j)
			for _, name := range names(m) {
				require.True(t, strings.HasSuffix(name, extSealed), name)
			}
		})
	})
}
