//go:build !unix

package journal

import (
	"errors"
	"strings"
)

// SyncDir does nothing: a directory cannot be flushed by itself here.
func (osFS) SyncDir(string) error { return nil }

// isFull reports whether err says that there is no room for more.
func isFull(err error) bool {
	return errors.Is(err, ErrStorageFull) ||
		err != nil && strings.Contains(err.Error(), "not enough space on the disk")
}

// isScarce is not known here.
func isScarce(error) bool { return false }
