//go:build !unix

package osfs

import "strings"

// SyncDir implements [FS]. It does nothing: a directory cannot be flushed separately
// here.
func (Disk) SyncDir(string) error { return nil }

// IsFull reports whether err means that the disk is full.
func IsFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "not enough space on the disk")
}

// IsNoDir returns false: the error is not known here.
func IsNoDir(error) bool { return false }

// IsScarce returns false: the errors that mean a shortage of file descriptors or memory
// are not known here.
func IsScarce(error) bool { return false }
