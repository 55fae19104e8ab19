package journal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Segments whose numbers overlap.
//
// Numbers increase from one segment to the next, and all that reads relies on that. Two
// journals that wrote to one directory, because the file LOCK was deleted under one of them,
// leave segments whose numbers overlap. So do old segments that are put back after numbers have
// started again at 1.
//
// Open finds them by the last number of each segment, which is at the end of the file. The
// events of a segment that begins below the last number of those before it are copied to a new
// segment with new numbers, higher than all others, so that every reader and every destination
// gets them; the original is moved to quarantine. The same is done with a file whose name has a
// number that no line can have, and with one whose name a sealed file with other events has.
//
// The copy is complete and durable before its original is moved. If Open was interrupted in
// between, the newest segment is that copy.

// renumber gives the events of overlapping segments new numbers, above last. A file that cannot
// be copied now is left for the next Open. It returns the sealed segments that there are then.
func (r *recovery) renumber() (sealed sealedSegments, err error) {
	names, err := r.currentNames()
	if err != nil {
		return sealed, err
	}
	segments, err := r.believed(parseNames(names))
	if err != nil {
		return sealed, err
	}
	ends := r.ends(segments)
	again := r.overlapping(segments, ends)
	again = append(again, r.rivals...)
	newest := entry{}
	if len(segments) > 0 {
		newest = segments[len(segments)-1]
	}
	for _, e := range again {
		r.renumberFile(e.name(), e.first, newest)
	}
	strangers := slices.DeleteFunc(names, func(name string) bool {
		_, form := segmentExt(name)
		e, ok := parseName(name)
		_, found := slices.BinarySearchFunc(segments, e, compareEntries)
		return !form || ok && found
	})
	for _, name := range strangers {
		r.log.Error("journal: no segment can have this number; setting the file aside", "file", name)
		r.renumberFile(name, 0, newest)
	}
	if len(again)+len(strangers) > 0 {
		if segments, err = listSegments(r.fs, r.dir); err != nil {
			return sealed, err
		}
		ends = r.ends(segments)
	}
	for i, e := range segments {
		if e.ext == extSealed {
			sealed.add(sealedSegment{first: e.first, size: ends[i].size, sealed: ends[i].written, found: true})
			r.lastSealed = max(r.lastSealed, ends[i].last)
		}
	}
	return sealed, nil
}

// overlapping returns the sealed segments that begin below the last number of an earlier one.
func (r *recovery) overlapping(segments []entry, ends []segmentEnd) (again []entry) {
	top := uint64(0) // the last number of those before
	for i, e := range segments {
		switch {
		case e.ext != extSealed:
		case e.first <= top:
			again = append(again, e)
		default:
			top = ends[i].last
		}
	}
	return again
}

// A segmentEnd is what is known of a sealed segment without reading all of it.
type segmentEnd struct {
	last    uint64 // the last number in it
	size    int64
	written time.Time // when the file was last written to
}

// exactEnd returns the last number of a good line of a segment, or the number before its first
// if it has none that can be read.
func (r *recovery) exactEnd(e entry) uint64 {
	s, err := r.scan(e, nil)
	if err != nil {
		r.log.Error("journal: segment unreadable; not compared with those that follow", "file", e.name(), "error", err)
		return max(e.first, 1) - 1
	}
	return s.last
}

// A disk answers several requests in little more time than one, so if there are many segments
// several are read concurrently.
const (
	endReaders = 4
	manyToRead = 256
)

// ends returns the end of each sealed segment. The last bytes have the last number; where that
// is not below the next segment, or not below the last number of all, it may be damage that
// looks like a number, so the segment is read.
func (r *recovery) ends(segments []entry) []segmentEnd {
	ends := make([]segmentEnd, len(segments))
	read := func(first, step int) {
		for i := first; i < len(segments); i += step {
			if segments[i].ext == extSealed {
				ends[i] = r.end(segments[i])
			}
		}
	}
	if len(segments) < manyToRead {
		read(0, 1)
	} else {
		var readers sync.WaitGroup
		for n := range endReaders {
			readers.Go(func() { read(n, endReaders) })
		}
		readers.Wait()
	}
	for i, end := range ends {
		if end.last > r.last || i+1 < len(ends) && end.last >= segments[i+1].first {
			ends[i].last = r.exactEnd(segments[i])
			r.raiseLast(ends[i].last)
		}
	}
	return ends
}

// end returns the end of a segment. Its last bytes have the last number, unless they are
// damaged.
func (r *recovery) end(e entry) segmentEnd {
	var tail [trailerLen]byte
	n, size, written, err := r.fs.ReadEnd(e.path(r.dir), tail[:])
	if err != nil {
		return segmentEnd{r.exactEnd(e), 0, time.Now()} // unknown is not a reason to remove it
	}
	if n == trailerLen && bytes.HasSuffix(tail[:], []byte(lineEnd)) {
		if seq, ok := lineSeq(tail[:trailerLen-crcTail]); ok {
			return segmentEnd{seq, size, written}
		}
	}
	return segmentEnd{r.exactEnd(e), size, written}
}

// renumberFile copies the good lines of a file to a new segment, with new numbers, and moves
// the file to quarantine. It only moves the file if the newest segment has its events already.
func (r *recovery) renumberFile(name string, first uint64, newest entry) {
	err := r.tryRenumber(name, first, newest)
	if err != nil {
		r.log.Error("journal: overlapping file not read; the next Open will try again", "file", name, "error", err)
	}
}

func (r *recovery) tryRenumber(name string, first uint64, newest entry) error {
	copied := false
	if newest.first > first && newest.name() != name {
		var err error
		if copied, err = r.sameFiles(name, first, newest.name(), newest.first, withoutTrailer); err != nil {
			return err
		}
	}
	target := entry{r.last + 1, extSealed}
	if !copied {
		if err := r.copyRenumbered(name, first, target); err != nil {
			return err
		}
	}
	err := r.quarantine(name)
	if _, _, statErr := r.fs.Stat(filepath.Join(r.dir, name)); err != nil && statErr == nil && !copied {
		err = errors.Join(err, r.fs.Remove(target.path(r.dir)), r.fs.SyncDir(r.dir)) // or it has them twice
	}
	return err
}

// copyRenumbered copies the good lines of a file to a new segment, with new numbers.
func (r *recovery) copyRenumbered(name string, first uint64, target entry) (err error) {
	tmp := target.path(r.dir) + extTemporary
	from, err := r.openScanner(name, first)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := r.fs.Create(tmp)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	oldFirst, oldLast, last := uint64(0), uint64(0), r.last
	for err = from.nextGood(); err == nil; err = from.nextGood() {
		if oldFirst == 0 {
			oldFirst = from.seq
		}
		oldLast = from.seq
		last++
		_, err = w.Write(renumbered(from.line, last))
		if err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err != nil || last == r.last {
		return errors.Join(err, r.fs.Remove(tmp))
	}
	r.saveLast(last, last)
	if err := r.rename(tmp, target.path(r.dir)); err != nil {
		return err
	}
	r.log.Warn("journal: numbers of a file are those of another; its events have new ones", "file", name,
		"events", last-r.last, "from", oldFirst, "to", oldLast, "newFrom", r.last+1, "newTo", last, "newFile", target.name())
	r.renumbered.add(int(last - r.last))
	r.last = last
	return nil
}

// renumbered gives a line another number, in place.
func renumbered(line []byte, seq uint64) []byte {
	completeLine(line, crcOf(withoutTrailer(line)), seq)
	return line
}

// withoutTrailer returns the part of a good line up to the digits of its number.
func withoutTrailer(line []byte) []byte { return line[:len(line)-crcTail-seqTail] }

// sameEvents reports whether two files have the same good lines.
func (r *recovery) sameEvents(a, b entry) (bool, error) {
	return r.sameFiles(a.name(), a.first, b.name(), b.first, func(line []byte) []byte { return line })
}

// sameFiles reports whether two files have the same good lines, as far as part returns them.
func (r *recovery) sameFiles(a string, firstA uint64, b string, firstB uint64, part func([]byte) []byte) (bool, error) {
	sa, err := r.openScanner(a, firstA)
	if err != nil {
		return false, err
	}
	defer sa.Close()
	sb, err := r.openScanner(b, firstB)
	if err != nil {
		return false, err
	}
	defer sb.Close()
	for {
		errA, errB := sa.nextGood(), sb.nextGood()
		endA, endB := errors.Is(errA, io.EOF), errors.Is(errB, io.EOF)
		switch {
		case endA && endB:
			return true, nil
		case errA != nil && !endA, errB != nil && !endB:
			return false, errors.Join(errA, errB)
		case endA || endB || !bytes.Equal(part(sa.line), part(sb.line)):
			return false, nil
		}
	}
}

// A fileScanner scans a file of the directory.
type fileScanner struct {
	*scanner
	io.Closer
}

func (r *recovery) openScanner(name string, first uint64) (*fileScanner, error) {
	f, err := r.fs.Open(filepath.Join(r.dir, name))
	if err != nil {
		return nil, err
	}
	s := newScanner(f, first)
	if first == 0 { // the name has no sequence number
		s.max = maxSeq
	}
	return &fileScanner{s, f}, nil
}

// nextGood moves to the next good line.
func (s *scanner) nextGood() error {
	for {
		if err := s.next(); err != nil || s.good {
			return err
		}
	}
}
