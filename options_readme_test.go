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
	p, err := o.Payload.withDefaults()
	require.NoError(t, err)
	for _, row := range []string{
		fmt.Sprintf("| single event | %s bytes (SegmentStream %s) |", grouped(o.Limits.EventBytes), grouped(o.Limits.HitBytes)),
		fmt.Sprintf("| batch | %s bytes decompressed, %s events |", grouped(int(o.Limits.BatchBytes)), grouped(o.Limits.Events)),
		fmt.Sprintf("| import | %d MiB decompressed |", o.Limits.ImportBytes>>20),
		fmt.Sprintf("a body may grow %d times, once %d KiB are out |", p.MaxRatio, ratioFrom>>10),
		fmt.Sprintf("| nesting, names in an event | %d, %s |", o.Limits.Depth, grouped(o.Limits.Members)),
		fmt.Sprintf("| `messageId` | %d characters |", o.Limits.MessageIDLength),
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
