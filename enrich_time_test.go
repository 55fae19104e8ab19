package inlet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzTime(f *testing.F) {
	for _, text := range []string{
		"2026-03-01T10:30:15Z", "2026-03-01T10:30:15.123456789+02:00", "2026-03-01 10:30:15", "2026-03-01", "2026-03-01T10:30", "9999-12-31T23:59:59-01:00",
		"0001-01-01T00:00:00+01:00", "2026-03-01T10:30:15,5Z", "1772361015000", "2016-12-31T23:59:60Z", "2026-03-01T24:00:00Z", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, guessed, ok := parseTime([]byte(text))
		if want, err := time.Parse(time.RFC3339, text); err == nil && len(text) <= longestTime {
			inRange := want.UTC().Year() >= 1 && want.UTC().Year() <= 9999
			require.Equal(t, inRange, ok)
			if ok {
				require.True(t, want.Equal(got))
				require.False(t, guessed)
			}
		}
		unix, isUnix := parseUnix([]byte(text))
		require.False(t, ok && isUnix, "two readings of one text")
		for _, at := range []time.Time{got, unix} {
			if at.IsZero() {
				continue
			}
			require.Equal(t, time.UTC, at.Location())
			require.GreaterOrEqual(t, at.Year(), 1)
			require.LessOrEqual(t, at.Year(), 9999)
			again, err := time.Parse(time.RFC3339Nano, at.Format(time.RFC3339Nano))
			require.NoError(t, err)
			require.True(t, at.Equal(again))
		}
	})
}
