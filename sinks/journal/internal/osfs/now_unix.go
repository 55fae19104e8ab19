//go:build unix

package osfs

import "syscall"

// openNow opens a named pipe without waiting for its other end. It means nothing to a regular
// file.
const openNow = syscall.O_NONBLOCK
