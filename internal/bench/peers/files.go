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
	"syscall"
	"time"
)

// A store keeps lines.
type store interface {
	add(lines []byte) error
	close() error
}

func create(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "events.ndjson"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// flush flushes as the journal does.
func flush(f *os.File) error { return os.NewSyscallError("fdatasync", syscall.Fdatasync(int(f.Fd()))) }

// A buffered store writes when it has 64 KiB, and once a second what it has.
type buffered struct {
	mu    sync.Mutex
	w     *bufio.Writer
	file  *os.File
	end   chan struct{}
	ended sync.WaitGroup
}

func newBuffered(dir string) (store, error) {
	file, err := create(dir)
	if err != nil {
		return nil, err
	}
	b := &buffered{w: bufio.NewWriterSize(file, 64<<10), file: file, end: make(chan struct{})}
	b.ended.Go(b.writeOften)
	return b, nil
}

func (b *buffered) add(lines []byte) error {
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

func (b *buffered) close() error {
	close(b.end)
	b.ended.Wait()
	return errors.Join(b.w.Flush(), b.file.Close())
}

// A flushed store writes and flushes the lines of each request.
type flushed struct {
	mu   sync.Mutex
	file *os.File
}

func newFlushed(dir string) (store, error) {
	file, err := create(dir)
	return &flushed{file: file}, err
}

func (f *flushed) add(lines []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.Write(lines); err != nil {
		return err
	}
	return flush(f.file)
}

func (f *flushed) close() error { return f.file.Close() }

// A grouped store writes and flushes together what arrives while it flushes.
type grouped struct {
	file  *os.File
	mu    sync.Mutex
	next  *group
	wake  chan struct{}
	ended sync.WaitGroup
}

type group struct {
	lines []byte
	done  chan struct{}
	err   error // once it is done
}

func newGroup(lines []byte) *group { return &group{lines: lines[:0], done: make(chan struct{})} }

func newGrouped(dir string) (store, error) {
	file, err := create(dir)
	if err != nil {
		return nil, err
	}
	g := &grouped{file: file, next: newGroup(nil), wake: make(chan struct{}, 1)}
	g.ended.Go(g.commit)
	return g, nil
}

func (g *grouped) add(lines []byte) error {
	g.mu.Lock()
	mine := g.next
	mine.lines = append(mine.lines, lines...)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	<-mine.done
	return mine.err
}

// commit commits one group after the other. Two groups take turns to use the same memory.
func (g *grouped) commit() {
	var spare []byte
	for range g.wake {
		g.mu.Lock()
		now := g.next
		g.next = newGroup(spare)
		g.mu.Unlock()
		if len(now.lines) > 0 {
			if _, now.err = g.file.Write(now.lines); now.err == nil {
				now.err = flush(g.file)
			}
		}
		close(now.done)
		spare = now.lines
	}
}

func (g *grouped) close() error {
	close(g.wake)
	g.ended.Wait()
	return g.file.Close()
}

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
