package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// The last number outlives its files.
//
// Sealed files may be moved away at any time, and so may those in quarantine. If all of them are,
// no name in the directory says which numbers were used, and events and files would get the same
// ones again: a destination would take new events for old ones, and an archive would replace old
// files by new ones. So the highest number is also in the file LAST, which is durable before a file
// is sealed, by a store or by Open. Its form is
//
//	{"last":"0000000000000123","sealed":"0000000000000120","_c":"9ae0daaf"}
//
// with a checksum like that of a line. Numbers up to "last" may have been used. Numbers up to
// "sealed" are in sealed files: those of them that cannot be found were moved away. The file only
// ever raises the number at which Open goes on. A directory without it, of an earlier version,
// gets it from the next Open.

const lastName = "LAST"

// lastNumbers are what the file has.
type lastNumbers struct{ used, sealed uint64 }

// lastFile is the file LAST of a directory. Open uses it, and then the committer.
type lastFile struct {
	fs          osfs.FS
	path        string
	lastNumbers // 0 if it does not exist
}

func newLastFile(fsys osfs.FS, dir string) *lastFile {
	return &lastFile{fs: fsys, path: filepath.Join(dir, lastName)}
}

var errDamagedLast = errors.New("damaged file")

// load reads the file. One that is damaged is as if it did not exist: the names of the segments,
// and their events, say which number is the last.
func (l *lastFile) load() error {
	data, err := readFile(l.fs, l.path, maxCursorLen)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var file struct {
		Last   string `json:"last"`
		Sealed string `json:"sealed"`
		Sum    string `json:"_c"`
	}
	if json.Unmarshal(data, &file) != nil || file.Sum != checksumOf(data) {
		return errDamagedLast
	}
	used, err1 := strconv.ParseUint(file.Last, 10, 64)
	sealed, err2 := strconv.ParseUint(file.Sealed, 10, 64)
	if err1 != nil || err2 != nil || sealed > used {
		return errDamagedLast
	}
	l.lastNumbers = lastNumbers{used, sealed}
	return nil
}

// believe returns an error if the file has a number that an event hardly can have, where highest is
// that of the events that there are. It is as if the file did not exist then.
func (l *lastFile) believe(highest uint64) error {
	if l.used <= max(highest, maxFirst) {
		return nil
	}
	err := fmt.Errorf("%w: %d", errNumberTooHigh, l.used)
	l.lastNumbers = lastNumbers{}
	return err
}

// raise makes numbers durable, if they are higher than those that the file has.
func (l *lastFile) raise(used, sealed uint64) error {
	n := lastNumbers{max(used, sealed, l.used), max(sealed, l.sealed)}
	if n == l.lastNumbers {
		return nil
	}
	if err := replaceFile(l.fs, l.path, n.encode()); err != nil {
		return err
	}
	l.lastNumbers = n
	return nil
}

func (n lastNumbers) encode() []byte {
	return withChecksum(fmt.Appendf(nil, `{"last":"%0*d","sealed":"%0*d"`, seqDigits, n.used, seqDigits, n.sealed))
}
