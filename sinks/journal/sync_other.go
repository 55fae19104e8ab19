//go:build !linux

package journal

import "os"

// syncFile flushes f. On macOS that is F_FULLFSYNC, through the disk's cache.
func syncFile(f *os.File) error { return f.Sync() }
