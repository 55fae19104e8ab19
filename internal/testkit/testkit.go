// Package testkit holds what the tests of several packages need: the check for leaked
// goroutines, whether the race detector is on, the processor time of the process, the runner
// of golden files, and readers of documents. It does not import the root package, so that the
// root's internal tests can use it too; test sinks are in its package testsink.
package testkit

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package and ends the process. It fails the package if its
// tests leave goroutines behind: the module promises to start none that outlives its
// owner. Call it as the last statement of TestMain. The functions of after run after
// the tests and before the check, whether or not the tests have passed.
func Main(m *testing.M, after ...func()) {
	code := m.Run()
	for _, f := range after {
		f()
	}
	if code == 0 && !fuzzing() {
		code = reportLeaks()
	}
	os.Exit(code)
}

func reportLeaks() int {
	leaked := leakedGoroutines(20 * time.Second)
	if len(leaked) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "leaked %d goroutines:\n\n%s\n", len(leaked), strings.Join(leaked, "\n\n"))
	return 1
}

// fuzzing reports whether this process searches for inputs: the fuzzing engine
// has goroutines of its own.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// leakedGoroutines returns the stacks of the goroutines that still run after the
// grace period.
func leakedGoroutines(grace time.Duration) (leaked []string) {
	for end := time.Now().Add(grace); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if leaked = foreignStacks(); len(leaked) == 0 {
			return nil
		}
	}
	return leaked
}

// foreignStacks returns the stacks of all goroutines except this one and those of the
// standard library that live as long as the process.
func foreignStacks() (stacks []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for i, stack := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		if i > 0 && !strings.Contains(stack, "os/signal.") && !strings.Contains(stack, "runtime.ensureSigM") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// SlowUnderRace skips a test that has one goroutine, and in which the race detector can find
// nothing, in the short form of the tests under the race detector. It takes minutes there.
func SlowUnderRace(t testing.TB) {
	t.Helper()
	if Race && testing.Short() {
		t.Skip("has one goroutine, and is slow under the race detector")
	}
}
