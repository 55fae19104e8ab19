package keyfile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/watchfile"
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
	file *watchfile.File
	keys atomic.Pointer[keySet]
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
	f := new(File)
	f.file, err = watchfile.Open(path, &watchfile.Options{
		Package: "keyfile", MaxBytes: maxBytes, Interval: filled.Interval,
		Use: func(text []byte, first bool) error { return f.use(text, first, path, filled.Logger) },
		Failed: func(err error) {
			filled.Logger.Error("keyfile: file cannot be used; the last good keys stay in use", "error", err)
		},
		Usable: func() { filled.Logger.Info("keyfile: file in use again", "path", path) },
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// use replaces the keys by those in a text.
func (f *File) use(text []byte, first bool, path string, logger *slog.Logger) error {
	keys, err := parse(text)
	if err != nil {
		return err
	}
	before := f.keys.Swap(keys)
	if !first {
		added, removed := keys.since(before)
		logger.Info("keyfile: keys replaced", "path", path, "keys", len(keys.sources), "added", added, "removed", removed)
	}
	return nil
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
func (f *File) Reload() error { return f.file.Reload() }

// Err returns why the file as it was last read is not in use, or nil, for a check of health.
func (f *File) Err() error { return f.file.Err() }

// Close ends the goroutine and waits for it. The keys stay as they are. It may be called more
// than once, and always returns nil.
func (f *File) Close() error {
	f.file.Close()
	return nil
}
