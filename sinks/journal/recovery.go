package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// What Open does to a directory before the journal writes to it.
//
//	setIrregularAside moves what has the name of a segment and is no file to quarantine
//	removeTemporary   removes the temporary files of an interrupted recovery
//	checkWritable     fails if no file can be created
//	recoverSegment    for each file that is active or suspect:
//	    without damage    flushed and sealed
//	    damaged tail      copied to quarantine, cut off, and sealed
//	    damage elsewhere  its good lines are copied to a sealed file, and it is moved to
//	    or suspect        quarantine
//	readNewest        finds the last number of a sealed file
//	renumber          gives the events of files whose numbers overlap new ones (overlap.go)
//
// The files are the only state, and every step can be interrupted at any point and repeated
// by the next Open: a copy is complete and durable before its original is moved. Nothing is
// deleted except blank lines and empty files. Of sealed files only the end is read; damage
// before it is found when they are read.

// A recovery makes a directory consistent.
type recovery struct {
	dir     string
	fs      osfs.FS
	log     *slog.Logger
	damaged *atomicCount

	renumbered *atomicCount
	saved      *lastFile

	last       uint64          // the highest sequence number that may have been used
	lastSealed uint64          // the highest number in a sealed file
	rivals     []entry         // files whose name a sealed file with other events has
	names      []string        // in the directory; nil if they are not known
	taken      map[string]bool // the names in quarantine; nil if they are not known
}

// run returns the highest sequence number that may have been used. It fails only if the
// directory cannot be used at all: a file that cannot be repaired now is left for the next
// Open.
func (r *recovery) run() (last uint64, err error) {
	if err := r.setIrregularAside(); err != nil {
		return 0, err
	}
	r.ignoreLast(r.saved.load())
	names, err := r.fs.List(r.dir)
	if err != nil {
		return 0, err
	}
	if r.names, err = r.removeTemporary(names); err != nil {
		return 0, err
	}
	if err := r.checkWritable(); err != nil {
		return 0, err
	}
	segments, err := r.believed(parseNames(names))
	if err != nil {
		return 0, err
	}
	for _, e := range segments {
		r.raiseLast(max(e.first, 1) - 1)
		if e.ext == extSealed {
			continue
		}
		r.names = nil
		if err := r.recoverSegment(e); err != nil {
			r.log.Error("journal: file not recovered; its good lines are still read",
				"file", e.name(), "error", err)
		}
	}
	err = r.readNewest(segments)
	r.ignoreLast(r.saved.believe(r.last))
	r.raiseLast(r.saved.used)
	return r.last, err
}

// ignoreLast logs why the file with the last number is ignored, if it is.
func (r *recovery) ignoreLast(err error) {
	if err != nil {
		r.log.Error("journal: file ignored; numbers go on after those of the segments and the cursors", "file", lastName, "error", err)
	}
}

// saveLast saves which number was used, and which is the highest in the file that is about to be
// sealed. If that fails, the file has it.
func (r *recovery) saveLast(used, sealed uint64) {
	if err := r.saved.raise(used, sealed); err != nil {
		r.log.Warn("journal: last number not saved; do not move all sealed files", "file", lastName, "error", err)
	}
}

// believed returns the segments without those whose number is hardly possible, unless they
// have events with such numbers.
func (r *recovery) believed(segments []entry) ([]entry, error) {
	end, _ := slices.BinarySearchFunc(segments, entry{first: maxFirst + 1}, compareEntries)
	kept := slices.Clone(segments[:end])
	for _, e := range segments[end:] {
		s, err := r.scan(e, nil)
		if err != nil {
			return nil, err
		}
		if s.lines > 0 {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// raiseLast records that a number may have been used.
func (r *recovery) raiseLast(seq uint64) { r.last = max(r.last, seq) }

// setIrregularAside moves what has the name of a segment, or of its temporary file, or of the file
// with the last number, but is a directory, a symbolic link or a device to quarantine. None of it
// is read or written to.
func (r *recovery) setIrregularAside() error {
	names, err := r.fs.Irregular(r.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ours := segmentExt(strings.TrimSuffix(name, extTemporary)); !ours && name != lastName {
			continue
		}
		r.log.Error("journal: not a regular file; setting it aside", "file", name)
		if err := r.quarantine(name); err != nil {
			return err
		}
	}
	return r.setCursorsAside()
}

// setCursorsAside does the same with what is in place of a cursor. Its destination begins at
// the oldest event then, as with a damaged cursor.
func (r *recovery) setCursorsAside() error {
	cursors := newCursors(r.fs, r.dir)
	names, err := r.fs.Irregular(cursors.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if !validName(strings.TrimSuffix(name, extTemporary)) {
			continue
		}
		r.log.Error("journal: cursor is not a regular file; setting it aside", "file", filepath.Join(cursorDir, name))
		if err := r.quarantine(filepath.Join(cursorDir, name)); err != nil {
			return err
		}
		if validName(name) {
			if err := cursors.save(name, cursor{holds: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// currentNames returns the names in the directory.
func (r *recovery) currentNames() ([]string, error) {
	if r.names != nil {
		return r.names, nil
	}
	return r.fs.List(r.dir)
}

// removeTemporary removes the temporary files of an interrupted recovery. It returns names, or
// nil if it has removed any.
func (r *recovery) removeTemporary(names []string) ([]string, error) {
	left := names
	for _, name := range names {
		base, temporary := strings.CutSuffix(name, extTemporary)
		if _, ours := parseName(base); !temporary || !ours {
			continue
		}
		if err := r.fs.Remove(filepath.Join(r.dir, name)); err != nil {
			return nil, err
		}
		left = nil
	}
	return left, nil
}

// checkWritable fails if no file can be created in the directory. A full disk does not count,
// since space may become free.
func (r *recovery) checkWritable() error {
	name := entry{0, extActive}.path(r.dir) + extTemporary
	f, err := r.fs.Create(name)
	if err == nil {
		err = errors.Join(f.Close(), r.fs.Remove(name))
	}
	if isFull(err) {
		return nil
	}
	return err
}

// readNewest finds the last number of the newest segment, if that is sealed; others were
// scanned already. The last line has it, unless the end is damaged.
func (r *recovery) readNewest(segments []entry) error {
	if len(segments) == 0 || segments[len(segments)-1].ext != extSealed {
		return nil
	}
	s, err := r.scanFrom(segments[len(segments)-1], nil, maxTailBytes)
	if err == nil && (s.lines == 0 || s.damagedTail > 0) {
		s, err = r.scan(segments[len(segments)-1], nil)
	}
	if err != nil {
		return err
	}
	r.raiseLast(s.maxSeq())
	return nil
}

// maxTailBytes is how much of the end of a sealed file is read first.
const maxTailBytes = 64 << 10

// scan reads a segment and copies its good lines to w, unless that is nil.
func (r *recovery) scan(e entry, w io.Writer) (*scanner, error) {
	return r.scanFrom(e, w, math.MaxInt64)
}

// scanFrom is scan for the last tail bytes of a segment.
func (r *recovery) scanFrom(e entry, w io.Writer, tail int64) (*scanner, error) {
	f, err := r.fs.Open(e.path(r.dir))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := seekTail(f, tail); err != nil {
		return nil, err
	}
	s := newScanner(f, e.first)
	for {
		err := s.next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err == nil && s.good && w != nil {
			_, err = w.Write(s.line)
		}
		if err != nil {
			return s, err
		}
	}
}

func seekTail(f io.Seeker, n int64) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(max(0, size-n), io.SeekStart)
	}
	return err
}

// recoverSegment turns an active or suspect file into a sealed one. If it was repaired
// already, the sealed file of that number is its copy, and only the original has to be moved.
// If that has other events, two journals have written to the directory.
func (r *recovery) recoverSegment(e entry) error {
	s, err := r.scan(e, nil)
	if s != nil {
		r.raiseLast(s.maxSeq())
	}
	if err != nil {
		return err
	}
	sealed := entry{e.first, extSealed}
	if _, _, err := r.fs.Stat(sealed.path(r.dir)); err == nil {
		return r.recoverRepaired(e, sealed)
	}
	switch {
	case s.damaged == 0 && s.lines == 0:
		return r.fs.Remove(e.path(r.dir)) // empty
	case s.damaged == 0 && e.ext == extActive:
		return r.seal(e, s)
	}
	r.damaged.add(s.damaged)
	r.log.Warn("journal: file is damaged; repairing it", "file", e.name(), "damagedLines", s.damaged)
	return r.repair(e, s)
}

// recoverRepaired moves a file to quarantine whose good lines the sealed one has.
func (r *recovery) recoverRepaired(e, sealed entry) error {
	same, err := r.sameEvents(e, sealed)
	switch {
	case err != nil:
		return err
	case !same:
		r.rivals = append(r.rivals, e)
		return nil
	}
	return r.quarantine(e.name())
}

// repair makes a sealed file of the good lines, and keeps what was damaged. If all damage is
// at the end of an active file it is cut off; else the good lines are copied, as are those of
// every suspect file.
func (r *recovery) repair(e entry, s *scanner) error {
	switch {
	case s.lines == 0:
		return r.quarantine(e.name())
	case s.damagedBefore == 0 && e.ext == extActive:
		if err := r.copyTail(e, s); err != nil {
			return err
		}
		return r.seal(e, s)
	}
	if err := r.copyGood(e); err != nil {
		return err
	}
	return r.quarantine(e.name())
}

// seal cuts off what follows the last good line and gives the file its final name. It flushes
// the file in any case, since its last lines may never have been.
func (r *recovery) seal(e entry, s *scanner) error {
	name := e.path(r.dir)
	if s.offset > s.goodEnd {
		if err := r.fs.Cut(name, s.goodEnd); err != nil {
			return err
		}
	} else if err := r.fs.SyncFile(name); err != nil {
		return err
	}
	r.saveLast(s.last, s.last)
	return r.rename(name, entry{e.first, extSealed}.path(r.dir))
}

// copyTail copies the damaged bytes after the last good line to quarantine, without the blank
// lines at their end.
func (r *recovery) copyTail(e entry, s *scanner) (err error) {
	from, err := r.fs.Open(e.path(r.dir))
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.Seek(s.goodEnd, io.SeekStart); err != nil {
		return err
	}
	name, err := r.quarantineName(e.name())
	if err != nil {
		return err
	}
	f, err := r.fs.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.LimitReader(from, s.damagedEnd-s.goodEnd))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), r.fs.SyncDir(filepath.Dir(name)))
}

// copyGood copies the good lines to a sealed file. That is the only way to trust the content
// of a suspect file again, of which the system may have dropped cached pages.
func (r *recovery) copyGood(e entry) (err error) {
	tmp := e.path(r.dir) + extTemporary
	f, err := r.fs.Create(tmp)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	s, err := r.scan(e, w)
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, r.fs.Remove(tmp))
	}
	r.saveLast(s.last, s.last)
	return r.rename(tmp, entry{e.first, extSealed}.path(r.dir))
}

// quarantine moves a file of the directory to quarantine, under an unused name.
func (r *recovery) quarantine(file string) error {
	name, err := r.quarantineName(filepath.Base(file))
	if err != nil {
		return err
	}
	return r.rename(filepath.Join(r.dir, file), name)
}

// quarantineName returns an unused name in the quarantine directory, which it makes if
// necessary.
func (r *recovery) quarantineName(file string) (string, error) {
	dir := filepath.Join(r.dir, quarantineDir)
	if r.taken == nil {
		if err := r.fs.MakeDir(dir); err != nil {
			return "", err
		}
		names, err := r.fs.List(dir)
		if err != nil {
			return "", err
		}
		r.taken = map[string]bool{}
		for _, name := range names {
			r.taken[name] = true
		}
	}
	name := file
	for i := 2; r.taken[name]; i++ {
		name = fmt.Sprintf("%s.%d", file, i)
	}
	r.taken[name] = true
	return filepath.Join(dir, name), nil
}

// rename moves a file durably. If it changes directories, the new name is flushed first.
func (r *recovery) rename(from, to string) error {
	if err := r.fs.Rename(from, to); err != nil {
		return err
	}
	if dir := filepath.Dir(to); dir != filepath.Dir(from) {
		if err := r.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return r.fs.SyncDir(filepath.Dir(from))
}
