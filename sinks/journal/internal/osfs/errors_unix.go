//go:build unix

package osfs

import (
	"errors"
	"syscall"
)

// SyncDir implements [FS].
func (Disk) SyncDir(dir string) error {
	d, err := openDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// IsFull reports whether err means that the disk, or the user's quota, is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsNoDir reports whether err means that a name is not that of a directory.
func IsNoDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// IsScarce reports whether err means that the process or the machine lacks file
// descriptors or memory: a passing shortage, not a fault of the file.
func IsScarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}
