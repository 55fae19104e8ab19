// Package osfs is the file system as the journal sees it: an interface that says what
// survives a power cut, and its implementation by the operating system. All that differs
// between operating systems is in this package. Package memfs has a second
// implementation, for tests.
//
// The files are:
//
//	osfs.go          the interfaces, and Disk as far as it is the same everywhere
//	end_*.go         reading the end of a file
//	errors_*.go      which errors mean a full disk or a lack of descriptors; SyncDir
//	free_*.go        free space
//	lock_*.go        the lock on a directory
//	now_*.go         opening without waiting
//	size_*.go        the size of an open file, and whether its name still leads to it
//	sync_*.go        flushing a file
package osfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked is returned by [FS.Lock] if the lock is held.
var ErrLocked = errors.New("lock is held by another process")

// An FS is what the journal needs of a file system. Its methods may be called
// concurrently. Names are paths; a new name, a rename and a removal survive a power cut
// only after SyncDir of their directory.
type FS interface {
	// MakeDir makes a directory and its parents, durably. A directory that exists is
	// left as it is.
	MakeDir(dir string) error
	// List returns the names in a directory, in any order.
	List(dir string) ([]string, error)
	// Irregular returns the names in a directory of what is no regular file: of
	// directories, symbolic links and devices.
	Irregular(dir string) ([]string, error)
	// Create makes a new file and opens it for appending. It fails with
	// [fs.ErrExist] if the name exists.
	Create(name string) (File, error)
	// Overwrite opens a file for writing over its content, from the beginning.
	Overwrite(name string) (File, error)
	// Open opens a file for reading. It fails, and does not wait for a writer, if the name is
	// that of a directory, a named pipe or a device.
	Open(name string) (io.ReadSeekCloser, error)
	// Stat returns the size of a file, and when it was last written to.
	Stat(name string) (size int64, written time.Time, err error)
	// ReadEnd reads the last bytes of a file into p, as many as fit, and returns what Stat
	// does.
	ReadEnd(name string, p []byte) (n int, size int64, written time.Time, err error)
	// SyncFile makes the content of a file durable that is not open for writing.
	SyncFile(name string) error
	// Cut shortens a file that is not open for writing, durably.
	Cut(name string, size int64) error
	// Rename replaces the file that has the new name, if there is one. A directory or
	// a symbolic link is renamed itself.
	Rename(from, to string) error
	// Remove removes a file. It fails with [fs.ErrNotExist] if there is none.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock creates a lock file if need be, and holds its lock until the result is
	// closed or the process ends. It returns [ErrLocked] if the lock is held.
	Lock(name string) (Lock, error)
	// Free returns how much an ordinary user may still store in the file system of
	// dir and how large that is, both in bytes, or [errors.ErrUnsupported].
	Free(dir string) (free, total int64, err error)
}

// A Lock is held until it is closed.
type Lock interface {
	io.Closer
	// Held returns nil if the name still leads to the locked file, and an error if
	// that was deleted, moved or replaced: then another process may hold the lock of
	// that name. It may be called concurrently.
	Held() error
}

// A File is open for writing. It may not be used concurrently. Write continues where the
// last one ended.
type File interface {
	io.WriteCloser
	// Sync makes the content durable.
	Sync() error
	// Truncate cuts the file; the next Write continues there.
	Truncate(size int64) error
	// Size returns the size of the file that the name leads to now. It fails with
	// [fs.ErrNotExist] if that is no longer this file.
	Size() (int64, error)
}

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// Disk is the operating system's file system.
type Disk struct{}

// MakeDir implements [FS].
func (d Disk) MakeDir(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.MakeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, dirMode)
	}
	if err == nil {
		return d.SyncDir(filepath.Dir(dir))
	}
	if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
		return nil
	}
	return err
}

// List implements [FS].
func (Disk) List(dir string) ([]string, error) {
	d, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// Irregular implements [FS].
func (Disk) Irregular(dir string) ([]string, error) {
	d, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	var names []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// openDir opens a directory. What is none fails when it is read.
func openDir(dir string) (*os.File, error) { return os.OpenFile(dir, os.O_RDONLY|openNow, 0) }

// Create implements [FS].
func (Disk) Create(name string) (File, error) {
	return openFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL)
}

// Overwrite implements [FS]. It does without O_APPEND, which would write to the end.
func (Disk) Overwrite(name string) (File, error) {
	f, err := openFile(name, os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return &overwriteFile{diskFile: f}, nil
}

func openFile(name string, flag int) (*diskFile, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &diskFile{File: f, info: info}, nil
}

// Open implements [FS].
func (Disk) Open(name string) (io.ReadSeekCloser, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|openNow, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: name, Err: errIrregular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

var errIrregular = errors.New("not a regular file")

// Stat implements [FS].
func (Disk) Stat(name string) (size int64, written time.Time, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, time.Time{}, err
	}
	return info.Size(), info.ModTime(), nil
}

// SyncFile implements [FS].
func (Disk) SyncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Cut implements [FS].
func (Disk) Cut(name string, size int64) error {
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

// Rename implements [FS].
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [FS].
func (Disk) Remove(name string) error { return os.Remove(name) }

// A fileLock is the open file that is locked.
type fileLock struct {
	*os.File
	info os.FileInfo
}

// newFileLock returns the lock that f holds, or closes f.
func newFileLock(f *os.File) (Lock, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileLock{f, info}, nil
}

func (l *fileLock) Held() error {
	_, err := sizeOfFile(l.Name(), l.info)
	return err
}

// A diskFile is a file that is appended to.
type diskFile struct {
	*os.File
	info os.FileInfo // identifies the file
}

func (f *diskFile) Sync() error { return syncFile(f.File) }

func (f *diskFile) Size() (int64, error) { return sizeOfFile(f.Name(), f.info) }

// sizeOfFile returns the size of the named file, and fs.ErrNotExist if it is not the file of
// info.
func sizeOfFile(name string, info os.FileInfo) (int64, error) {
	if size, err := sizeOf(name, info); !errors.Is(err, errors.ErrUnsupported) {
		return size, err
	}
	now, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	if !os.SameFile(now, info) {
		return 0, fs.ErrNotExist
	}
	return now.Size(), nil
}

// An overwriteFile has a write position of its own.
type overwriteFile struct {
	*diskFile
	at int64
}

func (f *overwriteFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *overwriteFile) Truncate(size int64) error {
	f.at = size
	return f.diskFile.Truncate(size)
}
