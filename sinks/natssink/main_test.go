//go:build linux && !torture

package natssink

import (
	"os"
	"testing"
)

// TestMain runs the tests, or a server if this process is one.
func TestMain(m *testing.M) {
	serve()
	os.Exit(m.Run())
}
