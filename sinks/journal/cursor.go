package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// A cursor is the position of a destination as it is saved on the disk. Its file is
//
//	{"seq":"0000000000000123","holds":true,"_c":"9ae0daaf"}
//
// or, while a batch is in flight that is to be cut again as it was, with its end:
//
//	{"seq":"0000000000000123","holds":true,"batch":"0000000000000623","_c":"1d1cf0c5"}
//
// with a checksum as that of a line. It is a hint: the segments are the only truth, and
// without the cursor a destination gets events again.
type cursor struct {
	seq   uint64 // everything up to it is settled
	holds bool   // retention must keep what follows it
	batch uint64 // the last event of the batch in flight, 0 if that does not matter
}

const (
	cursorDir    = "cursors"
	maxCursorLen = 256
)

func (c cursor) encode() []byte {
	body := fmt.Appendf(nil, `{"seq":"%0*d","holds":%t`, seqDigits, c.seq, c.holds)
	if c.batch > 0 {
		body = fmt.Appendf(body, `,"batch":"%0*d"`, seqDigits, c.batch)
	}
	return withChecksum(body)
}

// withChecksum ends a small file with the checksum of its body.
func withChecksum(body []byte) []byte {
	return fmt.Appendf(body, `%s%08x%s`, crcMember, crcOf(body), lineEnd)
}

// checksumOf returns the checksum that a small file should have.
func checksumOf(data []byte) string {
	body, _, _ := bytes.Cut(data, []byte(crcMember))
	return fmt.Sprintf("%08x", crcOf(body))
}

var (
	errDamagedCursor = errors.New("damaged cursor file")
	errNumberTooHigh = errors.New("no event can have this sequence number")
)

func decodeCursor(data []byte) (cursor, error) {
	var file struct {
		Seq   string `json:"seq"`
		Holds bool   `json:"holds"`
		Batch string `json:"batch"`
		Sum   string `json:"_c"`
	}
	if json.Unmarshal(data, &file) != nil || file.Sum != checksumOf(data) {
		return cursor{}, errDamagedCursor
	}
	seq, err := strconv.ParseUint(file.Seq, 10, 64)
	if err != nil {
		return cursor{}, errDamagedCursor
	}
	at := cursor{seq: seq, holds: file.Holds}
	if file.Batch != "" {
		if at.batch, err = strconv.ParseUint(file.Batch, 10, 64); err != nil {
			return cursor{}, errDamagedCursor
		}
	}
	return at, nil
}

// cursors are the cursor files in a journal's directory.
type cursors struct {
	fs   osfs.FS
	dir  string
	last uint64 // the highest number of an event

	owner *owner // of the directory; nil before it is known
}

func newCursors(fsys osfs.FS, dir string) cursors {
	return cursors{fs: fsys, dir: filepath.Join(dir, cursorDir)}
}

// load returns the cursor of each destination. One whose file cannot be read begins at the
// oldest event, and holds: the destination may get events again, but loses none.
func (c cursors) load(damaged func(name string, err error)) (map[string]cursor, error) {
	names, err := c.fs.List(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	found := map[string]cursor{}
	for _, name := range names {
		if !validName(name) {
			continue // such as the temporary file of an interrupted save
		}
		at, err := c.readCursor(name)
		if err != nil {
			damaged(name, err)
			at = cursor{holds: true}
		}
		found[name] = at
	}
	return found, err
}

func (c cursors) readCursor(name string) (cursor, error) {
	data, err := readFile(c.fs, filepath.Join(c.dir, name), maxCursorLen)
	if err != nil {
		return cursor{}, err
	}
	at, err := decodeCursor(data)
	if err == nil && at.seq > max(c.last, maxFirst) {
		return cursor{}, fmt.Errorf("%w: %d", errNumberTooHigh, at.seq)
	}
	if at.batch > c.last { // its events are gone
		at.batch = 0
	}
	return at, err
}

// save replaces the file of a destination. After a power cut it is the old one or the new
// one.
func (c cursors) save(name string, at cursor) error {
	if c.owner != nil {
		if err := c.owner.verify(); err != nil {
			return err
		}
	}
	if err := c.fs.MakeDir(c.dir); err != nil {
		return err
	}
	return replaceFile(c.fs, filepath.Join(c.dir, name), at.encode())
}

// remove removes the file of a destination, durably.
func (c cursors) remove(name string) error {
	if err := c.fs.Remove(filepath.Join(c.dir, name)); err != nil {
		return err
	}
	return c.fs.SyncDir(c.dir)
}

// validName reports whether a destination may have the name. It is also the name of its
// files.
func validName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-"
	return len(name) > 0 && len(name) <= 64 && strings.Trim(name, letters) == ""
}

// readFile returns the first limit bytes of a file, or all of them.
func readFile(fsys osfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// replaceFile replaces the content of a small file atomically, also in case of a power cut.
func replaceFile(fsys osfs.FS, name string, data []byte) error {
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
