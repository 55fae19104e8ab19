package testkit

import (
	"os/exec"
	"testing"
)

// Example runs the test of all examples for one that is a module of its own. Its tests call this in
// its directory, when what it needs is compiled. The test is parallel, and is skipped in the short
// form.
func Example(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the example")
	}
	cmd := exec.Command("go", "test", "-count", "1", "-run", "^TestExamples$", "./examples", "-example", name)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
