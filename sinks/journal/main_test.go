package journal

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(runChild(dir))
	}
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines outlive Close:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines in this package that do not end.
func leaked() (stacks string) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		buf := make([]byte, 1<<20)
		all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		stacks = ""
		for _, s := range all[1:] {
			if strings.Contains(s, "sinks/journal.") {
				stacks += s + "\n\n"
			}
		}
		if stacks == "" {
			return ""
		}
	}
	return stacks
}
