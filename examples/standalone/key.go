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

// keyFile holds the write key that was generated because none was given.
const keyFile = "write-key"

// ensureKey sets a key if the flags have none: that of an earlier start, or a new one. The
// journal is open, so no other process uses the directory.
func (c *config) ensureKey() error {
	if len(c.keys) > 0 {
		return nil
	}
	path := filepath.Join(c.dir, keyFile)
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.generateKey(path)
	}
	if err != nil {
		return err
	}
	if err := c.addKey(strings.TrimSpace(string(kept))); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// generateKey writes to another file first, so that after a crash path has the whole key or does
// not exist.
func (c *config) generateKey(path string) error {
	c.keys = []string{rand.Text()}
	if err := os.WriteFile(path+".tmp", []byte(c.keys[0]+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
