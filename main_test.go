package inlet_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the package if its tests leave goroutines behind: the handler
// promises to start none that outlives a request.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !fuzzing() {
		if leaked := leakedGoroutines(5 * time.Second); len(leaked) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(leaked), strings.Join(leaked, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// fuzzing reports whether this process searches for inputs: the fuzzing engine
// has goroutines of its own.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// leakedGoroutines returns the stacks of the goroutines that are still there when
// the time is over.
func leakedGoroutines(patience time.Duration) (leaked []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if leaked = foreignStacks(); len(leaked) == 0 {
			return nil
		}
	}
	return leaked
}

// foreignStacks returns the stacks of all goroutines but this one and those of
// the standard library that live as long as the process.
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
