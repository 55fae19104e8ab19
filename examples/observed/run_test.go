package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test of all examples runs this one, now that what it needs is compiled.
func TestExample(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the example")
	}
	cmd := exec.Command("go", "test", "-count", "1", "-run", "^TestExamples$", "./examples", "-example", "observed")
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
