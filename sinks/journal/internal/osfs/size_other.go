//go:build !(linux && (amd64 || arm64))

package osfs

import (
	"errors"
	"os"
)

// sizeOf is not supported here; os.Stat is used instead.
func sizeOf(string, os.FileInfo) (int64, error) { return 0, errors.ErrUnsupported }
