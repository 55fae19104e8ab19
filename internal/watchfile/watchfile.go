// Package watchfile reads a file again and again, for what may be replaced while a program runs:
// keys, plans. A file that is missing or has an error changes nothing.
package watchfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure [Open]. All fields are required.
type Options struct {
	// Package is what errors begin with.
	Package string
	// MaxBytes is how large the file may be, in bytes.
	MaxBytes int
	// Interval is how often the file is read.
	Interval time.Duration
	// Failed is called when the file cannot be used, once for each reason, and Usable when it can
	// again. They are not called by [Open].
	Failed func(error)
	Usable func()
	// Use is called with the text of the file, without a byte order mark, whenever that differs
	// from the last one which was used. first is true until one was. If it returns an error, the
	// file is not used. It is not called concurrently.
	Use func(text []byte, first bool) error
}

// A File is a file that is watched. It is found by its path each time, so a path through symbolic
// links that are swapped, as a Kubernetes volume does, is followed. Its methods may be called
// concurrently.
type File struct {
	path    string
	options Options

	reading sync.Mutex
	used    bool
	content [sha256.Size]byte // of the last text that was used
	failure atomic.Pointer[error]

	stop    context.CancelFunc
	stopped chan struct{}
}

// Open reads a file, which must be usable, and starts a goroutine that reads it again until
// [File.Close].
func Open(path string, o *Options) (*File, error) {
	f := &File{path: path, options: *o, stopped: make(chan struct{})}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.poll(ctx)
	return f, nil
}

// poll reads the file until ctx is done.
func (f *File) poll(ctx context.Context) {
	defer close(f.stopped)
	ticker := time.NewTicker(f.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = f.Reload() // reported, and kept for Err
		}
	}
}

// Reload reads the file now. It returns why the file is not in use, or nil.
func (f *File) Reload() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	err := f.read()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", f.options.Package, f.path, err)
	}
	f.report(err)
	return err
}

// read uses the file if it has changed. The caller holds reading.
func (f *File) read() error {
	text, err := readFile(f.path, f.options.MaxBytes)
	if err != nil {
		return err
	}
	content := sha256.Sum256(text)
	if f.used && content == f.content {
		return nil
	}
	if err := f.options.Use(text, !f.used); err != nil {
		return err
	}
	f.used, f.content = true, content
	return nil
}

// readFile does not wait for a writer, as opening a pipe would.
func readFile(path string, maxBytes int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, int64(maxBytes)+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("is larger than %d MiB", maxBytes>>20)
	}
	return bytes.TrimPrefix(text, []byte("\uFEFF")), nil
}

// reason returns the error without the path, which the caller adds.
func reason(err error) error {
	if found, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", found.Op, found.Err)
	}
	return err
}

// report says once that the file cannot be used, for each reason, and once that it can again.
func (f *File) report(err error) {
	before := f.Err()
	f.failure.Store(&err)
	switch {
	case f.stop == nil: // Open returns it
	case err == nil && before != nil:
		f.options.Usable()
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.options.Failed(err)
	}
}

// Err returns why the file as it was last read is not in use, or nil.
func (f *File) Err() error {
	if err := f.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Close ends the goroutine and waits for it. It may be called more than once.
func (f *File) Close() {
	f.stop()
	<-f.stopped
}
