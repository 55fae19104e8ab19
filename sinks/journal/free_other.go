//go:build !(darwin || linux)

package journal

import "errors"

func (osFS) Free(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
