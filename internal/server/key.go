package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// KeyName is the file in the directory that holds the write key which was generated because none
// was given.
const KeyName = "write-key"

// maxKeyLength is the longest key that the API accepts as Basic credentials.
const maxKeyLength = 255

// AddKey adds a write key, as a flag does.
func (c *Config) AddKey(key string) error {
	isBlank := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	if key == "" || len(key) > maxKeyLength || strings.ContainsFunc(key, isBlank) {
		return fmt.Errorf("a key must have 1 to %d bytes, and no white space", maxKeyLength)
	}
	c.Keys = append(c.Keys, key)
	return nil
}

// ensureKey sets a key if there is none: that of an earlier start, or a new one. The journal is
// open, so no other process uses the directory.
func (c *Config) ensureKey() error {
	if len(c.Keys) > 0 {
		return nil
	}
	path := filepath.Join(c.Dir, KeyName)
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.generateKey(path)
	}
	if err != nil {
		return err
	}
	if err := c.AddKey(strings.TrimSpace(string(kept))); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// generateKey writes to another file first, and flushes it, so that after a crash path has the
// whole key or does not exist.
func (c *Config) generateKey(path string) error {
	c.Keys = []string{rand.Text()}
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(c.Keys[0] + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
