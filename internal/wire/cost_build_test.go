//go:build !steps

package wire_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCost runs the tests of costs in a build that counts steps.
func TestCost(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the package once more")
	}
	command, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	out, err := exec.CommandContext(t.Context(), command, "test", "-tags", "steps", "-run", "^Test(Search)?Cost$", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
}
