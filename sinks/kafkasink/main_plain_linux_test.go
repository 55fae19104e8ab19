//go:build !torture

package kafkasink

import (
	"flag"
	"os"
	"syscall"
	"testing"
)

func run(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for brokers more than they compute
	useMemory()
	return m.Run()
}

// useMemory has the tests keep their files in memory, where there is much of it: processes are
// killed, but not the machine, and brokers wait for the disk most of the time.
func useMemory() {
	const dir = "/dev/shm"
	var free syscall.Statfs_t
	if syscall.Statfs(dir, &free) == nil && free.Bavail*uint64(free.Bsize) > 2<<30 {
		_ = os.Setenv("TMPDIR", dir)
	}
}
