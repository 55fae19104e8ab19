//go:build !unix

package osfs

// openNow is nothing where no name waits for its other end.
const openNow = 0
