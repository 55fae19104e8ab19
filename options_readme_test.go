package inlet

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README's table of limits says what the defaults are.
func TestTheReadmeNamesTheDefaults(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	o, err := (*Options)(nil).withDefaults()
	require.NoError(t, err)
	l, err := Limits{}.withDefaults()
	require.NoError(t, err)
	p, err := PayloadLimits{}.withDefaults()
	require.NoError(t, err)
	for _, row := range []string{
		fmt.Sprintf("| single event | %s bytes (SegmentStream %s) |", grouped(l.EventBytes), grouped(maxHitBytes)),
		fmt.Sprintf("| batch | %s bytes decompressed, %s events |", grouped(int(l.BatchBytes)), grouped(l.Events)),
		fmt.Sprintf("| import | %d MiB decompressed |", maxImportBytes>>20),
		fmt.Sprintf("a body may grow %d times, once 64 KiB are out |", p.MaxRatio),
		fmt.Sprintf("| nesting, names in an event | %d, %s |", l.Depth, grouped(l.Members)),
		fmt.Sprintf("| `messageId` | %d characters |", l.MessageIDLength),
		fmt.Sprintf("| %.0f s, %.0f s |", p.ReadTimeout.Seconds(), o.WriteTimeout.Seconds()),
		fmt.Sprintf("| %s; %d MiB; then 503 |", grouped(o.MaxInFlight), p.MaxBytesInFlight>>20),
		fmt.Sprintf("| about %d ms, then 503 |", o.MaxQueueTime.Milliseconds()),
	} {
		require.Contains(t, string(readme), row)
	}
}

// grouped writes a number with a comma before each three digits.
func grouped(n int) string {
	digits, groups := strconv.Itoa(n), regexp.MustCompile(`(\d)(\d{3})(,|$)`)
	for groups.MatchString(digits) {
		digits = groups.ReplaceAllString(digits, "$1,$2$3")
	}
	return digits
}
