package journal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A fileSystem is what the journal needs of one. Tests inject faults by it.
type fileSystem interface {
	// MakeDir makes a directory and its parents, so that they survive a power
	// cut. One that exists is left as it is.
	MakeDir(dir string) error
	// List returns the names in a directory, in any order.
	List(dir string) ([]string, error)
	// Create makes a new file to append to. It fails if the name exists.
	Create(name string) (file, error)
	// SyncFile makes the content of a file that nobody writes to survive a
	// power cut.
	SyncFile(name string) error
	// Cut shortens a file that nobody writes to, so that this survives a power
	// cut.
	Cut(name string, size int64) error
	// Overwrite opens a file to write from its beginning on over what is there.
	Overwrite(name string) (file, error)
	// Open opens a file to read.
	Open(name string) (io.ReadSeekCloser, error)
	// Stat returns the size of a file, and when it was last written to.
	Stat(name string) (size int64, written time.Time, err error)
	// Rename replaces what has the new name.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a directory survive a power cut.
	SyncDir(dir string) error
	// Lock holds the lock file of that name until it is closed. It returns
	// ErrLocked if somebody else does.
	Lock(name string) (io.Closer, error)
	// Free returns the free and all bytes of the file system that holds dir, or
	// errors.ErrUnsupported.
	Free(dir string) (free, total int64, err error)
}

// A file is open to be written to, from where it was written last.
type file interface {
	io.WriteCloser
	// Sync makes the content survive a power cut.
	Sync() error
	Truncate(size int64) error
	// Size returns the size of what the file's name leads to now, and
	// fs.ErrNotExist if that is not this file.
	Size() (int64, error)
}

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// osFS is the operating system's file system.
type osFS struct{}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (f osFS) MakeDir(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.MakeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, dirMode)
	}
	if err == nil {
		return f.SyncDir(filepath.Dir(dir))
	}
	if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
		return nil
	}
	return err
}

func (osFS) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (osFS) Create(name string) (file, error) {
	return openFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL)
}

// Overwrite does without O_APPEND, which would lead to the end of the file.
func (osFS) Overwrite(name string) (file, error) {
	f, err := openFile(name, os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return &overFile{osFile: f}, nil
}

func openFile(name string, flag int) (*osFile, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &osFile{File: f, info: info}, nil
}

func (osFS) Open(name string) (io.ReadSeekCloser, error) { return os.Open(name) }

func (osFS) Stat(name string) (int64, time.Time, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, time.Time{}, err
	}
	return info.Size(), info.ModTime(), nil
}

func (osFS) SyncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (osFS) Cut(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type osFile struct {
	*os.File
	info os.FileInfo // which file it is
}

func (f *osFile) Sync() error { return syncFile(f.File) }

func (f *osFile) Size() (int64, error) {
	if size, err := sizeOf(f.Name(), f.info); !errors.Is(err, errors.ErrUnsupported) {
		return size, err
	}
	now, err := os.Stat(f.Name())
	if err != nil {
		return 0, err
	}
	if !os.SameFile(now, f.info) {
		return 0, fs.ErrNotExist
	}
	return now.Size(), nil
}

// An overFile is written at a position of its own.
type overFile struct {
	*osFile
	at int64
}

func (f *overFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *overFile) Truncate(size int64) error {
	f.at = size
	return f.osFile.Truncate(size)
}
