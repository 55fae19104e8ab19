//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package osfs

import (
	"io"
	"os"
)

// Lock implements [FS] in part. It only creates the file, because there is no flock
// here: the host has to make sure that no two journals share a directory.
func (Disk) Lock(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
}
