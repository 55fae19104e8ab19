//go:build unix

package testkit

import (
	"syscall"
	"time"
)

// ProcessorTime returns how much time processors have spent on this process, 0 where the system
// does not tell.
func ProcessorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
