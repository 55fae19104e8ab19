//go:build unix

package blocks

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var goalRow = regexp.MustCompile(`(?m)^\| (b?\d\d?) \| .* \| ([^|]+) \|$`)

// Each figure of the README is one of docs/PERFORMANCE.md, in the row of the same goal.
func TestFigures(t *testing.T) {
	t.Parallel()
	rows := goalRow.FindAllStringSubmatch(readFile(t, "README.md"), -1)
	require.Greater(t, len(rows), 4)
	for _, row := range rows {
		require.Regexp(t, `(?m)^\| `+row[1]+` \| .*\| `+regexp.QuoteMeta(row[2])+`(; .*)? \|`, readFile(t, "docs/PERFORMANCE.md"))
	}
}
