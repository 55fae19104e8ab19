package backoff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelayDoublesUpToTheMostAndIsRandom(t *testing.T) {
	t.Parallel()
	const least, most = 100 * time.Millisecond, time.Second
	for failures, bound := range map[int]time.Duration{0: least, 1: least, 2: 2 * least, 3: 4 * least, 4: 8 * least, 5: most, 1000: most} {
		seen := map[time.Duration]bool{}
		longest := time.Duration(0)
		for range 500 {
			d := Delay(failures, least, most)
			require.Positive(t, d)
			require.LessOrEqual(t, d, bound)
			seen[d], longest = true, max(longest, d)
		}
		require.Greater(t, longest, bound*9/10, "after %d failures", failures)
		require.Greater(t, len(seen), 400)
	}
}

func TestDelayIsNeverMoreThanTheMost(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, Delay(1, time.Hour, time.Minute), time.Minute)
	require.Zero(t, Delay(3, 0, time.Minute))
}
