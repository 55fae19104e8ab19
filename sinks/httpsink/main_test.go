package httpsink_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines outlive the tests:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines of the sink, and of connections that
// somebody still holds, if they do not end.
func leaked() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if left = running("sinks/httpsink.", "net/http.(*persistConn)"); left == nil {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
}

// running returns the stacks of the other goroutines in which one of the names
// stands.
func running(names ...string) (stacks []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] {
		for _, name := range names {
			if strings.Contains(stack, name) {
				stacks = append(stacks, stack)
				break
			}
		}
	}
	return stacks
}
