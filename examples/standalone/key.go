package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyFile holds the write key that was made when none was given.
const keyFile = "write-key"

// fillKeys sees to it that there is a key: without one from the flags, that of an
// earlier start, or a new one. The journal is open, so no other process is at it.
func (c *config) fillKeys() error {
	if len(c.keys) > 0 {
		return nil
	}
	path := filepath.Join(c.dir, keyFile)
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.makeKey(path)
	}
	if err != nil {
		return err
	}
	if err := c.addKey(strings.TrimSpace(string(kept))); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// makeKey writes beside path first: a crash leaves a whole key there or none.
func (c *config) makeKey(path string) error {
	c.keys = []string{rand.Text()}
	if err := os.WriteFile(path+".tmp", []byte(c.keys[0]+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
