//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package osfs

import "os"

// Lock implements [FS] in part. It only creates the file, because there is no flock
// here: the host has to make sure that no two journals share a directory.
func (Disk) Lock(name string) (Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	return newFileLock(f)
}
