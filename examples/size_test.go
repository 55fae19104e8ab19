package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The shop has everything that a host needs, and its tests, in one read. How it is run is tested
// as for all examples.
func TestShopIsShort(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("shop/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	lines := 0
	for _, file := range files {
		if filepath.Base(file) == "run_test.go" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		lines += strings.Count(string(text), "\n")
	}
	require.Less(t, lines, 250)
}
