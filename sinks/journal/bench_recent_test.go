package journal

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// BenchmarkRestore opens a journal of a million events and has Dedupe remember
// their ids: what a restart waits for at the most, with the defaults.
func BenchmarkRestore(b *testing.B) {
	dir := b.TempDir()
	j := openTest(b, dir, &Options{Sync: SyncNever, LowWater: -1})
	const batch = 1000
	for i := range 1_000_000 / batch {
		list := events(fmt.Sprintf("b%d", i), batch)
		for _, e := range list {
			e.ReceivedAt = time.Now()
		}
		require.NoError(b, j.Write(b.Context(), list))
	}
	b.ResetTimer()
	for range b.N {
		d, err := sinks.NewDedupe(j, &sinks.DedupeOptions{Stored: j.RecentIDs(b.Context(), 24*time.Hour, 1_000_000)})
		require.NoError(b, err)
		require.NoError(b, d.Write(b.Context(), []*inlet.Event{event("b7-0")}))
		require.EqualValues(b, 1, d.Stats().Duplicates)
	}
}
