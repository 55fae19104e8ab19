//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/bench"
)

// A buffered store writes when it has 64 KiB, and once a second what it has.
type buffered struct {
	mu    sync.Mutex
	w     *bufio.Writer
	file  *os.File
	end   chan struct{}
	ended sync.WaitGroup
}

func newBuffered(dir string) (bench.Store, error) {
	file, err := bench.CreateEvents(dir)
	if err != nil {
		return nil, err
	}
	b := &buffered{w: bufio.NewWriterSize(file, 64<<10), file: file, end: make(chan struct{})}
	b.ended.Go(b.writeOften)
	return b, nil
}

// Add returns once the lines are in the buffer.
func (b *buffered) Add(lines []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.w.Write(lines)
	return err
}

func (b *buffered) writeOften() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.mu.Lock()
			_ = b.w.Flush() // a bufio.Writer returns its first error forever
			b.mu.Unlock()
		case <-b.end:
			return
		}
	}
}

// Close writes what is in the buffer, and closes the file.
func (b *buffered) Close() error {
	close(b.end)
	b.ended.Wait()
	return errors.Join(b.w.Flush(), b.file.Close())
}

// A flushed store writes and flushes the lines of each request.
type flushed struct {
	mu   sync.Mutex
	file *os.File
}

func newFlushed(dir string) (bench.Store, error) {
	file, err := bench.CreateEvents(dir)
	return &flushed{file: file}, err
}

// Add returns once the lines are flushed.
func (f *flushed) Add(lines []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.Write(lines); err != nil {
		return err
	}
	return bench.Flush(f.file)
}

// Close closes the file.
func (f *flushed) Close() error { return f.file.Close() }

// eachLine calls f with each complete line of a file that is not blank.
func eachLine(name string, f func(line []byte) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for r := bufio.NewReaderSize(file, 1<<20); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
}
