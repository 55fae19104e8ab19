package keyfile

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// maxBytes is how large a file may be: some 100,000 keys.
const maxBytes = 16 << 20

// Options configure a [File]. A nil pointer means all defaults.
type Options struct {
	// Interval is how often the file is read, and so how long a revoked key works at most,
	// apart from the time that reading takes. Defaults to 1 second.
	Interval time.Duration
	// Logger gets one line when the keys change, and one when the file cannot be used, with
	// the reason. It never gets a key or a hash. Defaults to [slog.Default].
	Logger *slog.Logger
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var filled Options
	if o != nil {
		filled = *o
	}
	filled.Interval = cmp.Or(filled.Interval, time.Second)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	return filled, check.Options("keyfile", "Options", check.AtLeast("Interval", filled.Interval, 1))
}

// A File is an [inlet.Authenticator] of the keys in a file, which it reads again and again. What
// has been read replaces all keys at once. While the file is missing or has an error, the keys of
// the last good one stay in use.
//
// The file is found by its path each time, so a path through symbolic links that are swapped, as
// a Kubernetes volume does, is followed. A program that writes the file should write another one
// and rename it: a file that is read while it is being written has an error, and is read again
// an Interval later.
//
// Secrets: it holds digests, not the keys, and compares them in constant time.
//
// Concurrency: its methods may be called concurrently.
type File struct {
	path    string
	options Options
	keys    atomic.Pointer[keySet]

	reading sync.Mutex
	content [sha256.Size]byte // of the last good file
	failure atomic.Pointer[error]

	stop    context.CancelFunc
	stopped chan struct{}
}

var (
	_ inlet.Authenticator = (*File)(nil)
	_ io.Closer           = (*File)(nil)
)

// Open reads the keys in a file, and starts a goroutine that reads it again until [File.Close].
// It fails if the file cannot be read or has an error, which is named with the number of the
// entry, from 1, and without a key.
func Open(path string, o *Options) (*File, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &File{path: path, options: filled, stopped: make(chan struct{})}
	f.keys.Store(new(keySet))
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
			_ = f.Reload() // logged, and kept for Err
		}
	}
}

// Authenticate returns the source of the key, or [inlet.ErrUnknownKey].
func (f *File) Authenticate(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
	digest := sha256.Sum256([]byte(c.Key))
	found := f.keys.Load().sources[digest]
	if found == nil || subtle.ConstantTimeCompare(digest[:], found.digest[:]) != 1 {
		return nil, inlet.ErrUnknownKey
	}
	return &found.source, nil
}

// AllowsOrigin reports whether a key that is not disabled is bound to the origin, as a browser
// sends it. It is what [inlet.Keys.AllowsOrigin] is for a fixed set of keys.
func (f *File) AllowsOrigin(_ context.Context, origin string) bool {
	return f.keys.Load().origins.Has(origin)
}

// Reload reads the file now, for a program that knows that it has changed. It returns why the
// file is not in use, or nil.
func (f *File) Reload() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	err := f.read()
	if err != nil {
		err = fmt.Errorf("keyfile: %s: %w", f.path, err)
	}
	f.report(err)
	return err
}

// read replaces the keys if the file has changed. The caller holds reading.
func (f *File) read() error {
	text, err := readFile(f.path)
	if err != nil {
		return err
	}
	content := sha256.Sum256(text)
	before := f.keys.Load()
	if before.sources != nil && content == f.content {
		return nil
	}
	keys, err := parse(text)
	if err != nil {
		return err
	}
	f.keys.Store(keys)
	f.content = content
	if before.sources != nil {
		added, removed := keys.since(before)
		f.options.Logger.Info("keyfile: keys replaced", "path", f.path, "keys", len(keys.sources), "added", added, "removed", removed)
	}
	return nil
}

// readFile does not wait for a writer, as opening a pipe would.
func readFile(path string) ([]byte, error) {
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
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
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

// report logs once that the file cannot be used, for each reason, and once that it can again.
func (f *File) report(err error) {
	before := f.Err()
	f.failure.Store(&err)
	switch {
	case f.stop == nil: // Open returns it
	case err == nil && before != nil:
		f.options.Logger.Info("keyfile: file in use again", "path", f.path)
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.options.Logger.Error("keyfile: file cannot be used; the last good keys stay in use", "error", err)
	}
}

// Err returns why the file as it was last read is not in use, or nil, for a check of health.
func (f *File) Err() error {
	if err := f.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Close ends the goroutine and waits for it. The keys stay as they are. It may be called more
// than once, and always returns nil.
func (f *File) Close() error {
	f.stop()
	<-f.stopped
	return nil
}
