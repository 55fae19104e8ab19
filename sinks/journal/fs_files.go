package journal

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
)

// readFile returns what a file holds, limit bytes at the most.
func readFile(fsys fileSystem, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// replaceFile makes a small file hold data, or leaves it as it was, also through
// a power cut.
func replaceFile(fsys fileSystem, name string, data []byte) error {
	temporary := name + extTemporary
	if err := fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(temporary))
	}
	if err := fsys.Rename(temporary, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
