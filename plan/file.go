package plan

import (
	"bytes"
	"cmp"
	"io"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/watchfile"
)

// maxFileBytes is how large a file may be.
const maxFileBytes = 16 << 20

// FileOptions configure [Open]. A nil pointer means all defaults.
type FileOptions struct {
	// Parse reads the plan, as [Load] does, or with modes that its format does not have. Defaults
	// to Load without options.
	Parse func(io.Reader) (*Plan, error)
	// Interval is how often the file is read. Defaults to 1 second.
	Interval time.Duration
	// Logger gets one line when the plan changes, and one when the file cannot be used, with the
	// reason. Defaults to [slog.Default].
	Logger *slog.Logger
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *FileOptions) withDefaults() (FileOptions, error) {
	var filled FileOptions
	if o != nil {
		filled = *o
	}
	if filled.Parse == nil {
		filled.Parse = func(r io.Reader) (*Plan, error) { return Load(r, nil) }
	}
	filled.Interval = cmp.Or(filled.Interval, time.Second)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	return filled, check.Options("plan", "FileOptions", check.AtLeast("Interval", filled.Interval, 1))
}

// A File is a [Judge] by the plan in a file, which it reads again and again. While the file is
// missing or has an error, the last good plan stays in use. The file is found by its path each
// time, so a path through symbolic links that are swapped, as a Kubernetes volume does, is
// followed. A program that writes the file should write another one and rename it.
//
// Concurrency: its methods may be called concurrently. Make one with [Open].
type File struct {
	*Judge
	file *watchfile.File
}

// Open reads the plan in a file, and starts a goroutine that reads it again until [File.Close]. It
// fails if the file cannot be read or has an error.
func Open(path string, o *FileOptions) (*File, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	f := new(File)
	f.file, err = watchfile.Open(path, &watchfile.Options{
		Package: "plan", MaxBytes: maxFileBytes, Interval: filled.Interval,
		Failed: func(err error) {
			filled.Logger.Error("plan: file cannot be used; the last good plan stays in use", "error", err)
		},
		Usable: func() { filled.Logger.Info("plan: file in use again", "path", path) },
		Use: func(text []byte, first bool) error {
			p, err := filled.Parse(bytes.NewReader(text))
			if found, ok := err.(*loadError); ok { // the error begins with the package, and the file
				return found.cause
			}
			switch {
			case err != nil:
				return err
			case first:
				f.Judge = p.Judge(&JudgeOptions{Logger: filled.Logger})
				return nil
			}
			return f.Swap(p)
		},
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file now, for a program that knows that it has changed. It returns why the file
// is not in use, or nil.
func (f *File) Reload() error { return f.file.Reload() }

// Err returns why the file as it was last read is not in use, or nil, for a check of health.
func (f *File) Err() error { return f.file.Err() }

// Close ends the goroutine and waits for it. The plan stays in use. It may be called more than
// once, and always returns nil.
func (f *File) Close() error {
	f.file.Close()
	return nil
}
