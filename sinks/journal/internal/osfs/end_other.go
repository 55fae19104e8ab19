//go:build !linux

package osfs

import (
	"errors"
	"io"
	"os"
	"time"
)

// ReadEnd implements [FS].
func (Disk) ReadEnd(name string, p []byte) (n int, size int64, written time.Time, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, time.Time{}, err
	}
	p = p[:min(int64(len(p)), info.Size())]
	n, err = f.ReadAt(p, info.Size()-int64(len(p)))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, info.Size(), info.ModTime(), err
}
