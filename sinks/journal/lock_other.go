//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package journal

import (
	"io"
	"os"
)

// Lock only makes the file: there is no flock here, and the host must see to it
// that no two journals share a directory.
func (osFS) Lock(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
}
