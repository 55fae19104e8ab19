//go:build !linux

package osfs

import "os"

// syncFile flushes f. On macOS this is F_FULLFSYNC, which also flushes the disk's cache.
func syncFile(f *os.File) error { return f.Sync() }
