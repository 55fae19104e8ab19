package osfs

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// ReadEnd implements [FS]. It is called for every segment of a directory when a journal is
// opened. An os.File costs about as much again as the system calls, because it is registered
// with the poller and for the garbage collector.
func (Disk) ReadEnd(name string, p []byte) (n int, size int64, written time.Time, err error) {
	var fd int
	err = uninterrupted(func() (err error) {
		fd, err = syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
		return err
	})
	if err != nil {
		return 0, 0, time.Time{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	var stat syscall.Stat_t
	err = uninterrupted(func() error { return syscall.Fstat(fd, &stat) })
	if p = p[:min(int64(len(p)), stat.Size)]; err == nil && len(p) > 0 {
		err = uninterrupted(func() (err error) {
			n, err = syscall.Pread(fd, p, stat.Size-int64(len(p)))
			return err
		})
	}
	if err = errors.Join(err, syscall.Close(fd)); err != nil {
		err = &os.PathError{Op: "read", Path: name, Err: err}
	}
	return max(n, 0), stat.Size, time.Unix(stat.Mtim.Unix()), err
}

// uninterrupted repeats a system call that a signal has interrupted.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
