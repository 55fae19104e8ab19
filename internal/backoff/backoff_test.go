package backoff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelay(t *testing.T) {
	t.Parallel()
	t.Run("doubles up to the maximum, at random", func(t *testing.T) {
		t.Parallel()
		const minDelay, maxDelay = 100 * time.Millisecond, time.Second
		for failures, bound := range map[int]time.Duration{
			0: minDelay, 1: minDelay, 2: 2 * minDelay, 3: 4 * minDelay, 4: 8 * minDelay, 5: maxDelay, 1000: maxDelay,
		} {
			seen := map[time.Duration]bool{}
			longest := time.Duration(0)
			for range 500 {
				d := Delay(failures, minDelay, maxDelay)
				require.Positive(t, d)
				require.LessOrEqual(t, d, bound)
				seen[d], longest = true, max(longest, d)
			}
			require.Greater(t, longest, bound*9/10, "after %d failures", failures)
			require.Greater(t, len(seen), 400)
		}
	})
	t.Run("never exceeds the maximum", func(t *testing.T) {
		t.Parallel()
		require.LessOrEqual(t, Delay(1, time.Hour, time.Minute), time.Minute)
		require.Zero(t, Delay(3, 0, time.Minute))
	})
}
