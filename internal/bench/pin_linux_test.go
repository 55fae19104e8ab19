package bench

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A processors is a set of processors as the kernel takes it.
type processors [16]uint64

func oneProcessor(n int) (set processors) {
	set[n/64] = 1 << (n % 64)
	return set
}

// allowed returns the processors that the n-th thread may run on, 0 for this
// one.
func allowed(thread int) (set processors, err error) {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	return set, errnoError(errno)
}

func allow(thread int, set processors) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	return errnoError(errno)
}

func errnoError(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// startOn starts cmd on one processor: a process inherits the set of the
// thread that starts it.
func startOn(cmd *exec.Cmd, processor int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := allowed(0)
	if err != nil {
		return err
	}
	if err := allow(0, oneProcessor(processor)); err != nil {
		return err
	}
	defer func() { _ = allow(0, before) }()
	return cmd.Start()
}

// stayOn keeps all threads of this process on one processor until the benchmark
// ends. Threads that start later inherit it from the one that starts them.
func stayOn(tb testing.TB, processor int) {
	tb.Helper()
	before, err := allowed(0)
	require.NoError(tb, err)
	processes := runtime.GOMAXPROCS(1)
	allowAll(tb, oneProcessor(processor))
	tb.Cleanup(func() {
		allowAll(tb, before)
		runtime.GOMAXPROCS(processes)
	})
}

func allowAll(tb testing.TB, set processors) {
	tb.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(tb, err)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		require.NoError(tb, err)
		if err := allow(id, set); err != syscall.ESRCH { // it may have ended
			require.NoError(tb, err)
		}
	}
}
