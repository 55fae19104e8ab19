//go:build linux && !torture

package natssink

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs the tests, or a server if this process is one.
func TestMain(m *testing.M) {
	serve()
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for servers more than they compute
	os.Exit(m.Run())
}
