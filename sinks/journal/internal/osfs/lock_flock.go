//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package osfs

import (
	"errors"
	"os"
	"syscall"
)

// Lock implements [FS]. It locks the open file, not its name or a process ID in it, so
// the lock ends with the process, however that ends. Child processes do not inherit it.
func (Disk) Lock(name string) (Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newFileLock(f)
}
