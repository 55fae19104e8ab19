//go:build !(darwin || linux)

package osfs

import "errors"

// Free implements [FS]. It is not supported here.
func (Disk) Free(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
