package osfs

import (
	"os"
	"syscall"
)

// syncFile flushes the content and the size of f, which is all that is needed to read it
// back. Its times are not flushed.
func syncFile(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = conn.Control(func(fd uintptr) { syncErr = fdatasync(int(fd)) })
	if err == nil {
		err = syncErr
	}
	return os.NewSyscallError("fdatasync", err)
}

func fdatasync(fd int) error {
	for {
		if err := syscall.Fdatasync(fd); err != syscall.EINTR {
			return err
		}
	}
}
