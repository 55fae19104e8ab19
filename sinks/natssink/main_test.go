//go:build linux && !torture

package natssink

import (
	"flag"
	"os"
	"syscall"
	"testing"
)

// TestMain runs the tests, or a server if this process is one.
func TestMain(m *testing.M) {
	serve()
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for servers more than they compute
	useMemory()
	os.Exit(m.Run())
}

// useMemory has the tests keep their files in memory, where there is much of it: processes are
// killed, but not the machine, and servers wait for the disk most of the time.
func useMemory() {
	const dir = "/dev/shm"
	var free syscall.Statfs_t
	if syscall.Statfs(dir, &free) == nil && free.Bavail*uint64(free.Bsize) > 2<<30 {
		_ = os.Setenv("TMPDIR", dir)
	}
}
