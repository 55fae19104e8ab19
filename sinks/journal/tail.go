package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// How the journal is read while it is written.
//
// advance moves to the next good line below the watermark. It reads on in the open segment
// as far as the watermark allows, since what follows may be half written (readLine). At the
// end it opens the next segment that may have wanted numbers (nextSegment). The active segment
// is the last one below the watermark: it is left only after the watermark has moved to
// another.
//
// All readers share one listing of the directory, from which they know the segments (listing.go).
// It is repeated only when a newer segment is wanted. So reading n segments takes
// one listing, not n. A segment may be renamed or removed between the listing and the open, or
// while it is read. So openSegment tries the names that it may have got meanwhile; if it has
// none of them, the directory is listed again; and an open file is read to its end whatever
// becomes of its name. If a segment cannot be opened or read, the caller decides: reopen tries
// it again, and skipSegment gives it up.

// A tail reads the good lines of the journal in order, and continues where it ended once
// there are more. It may not be used concurrently.
type tail struct {
	j    *Journal
	next uint64 // the lowest number that is wanted

	entry  entry             // the segment that is read
	file   io.ReadSeekCloser // nil if none is open
	window io.LimitedReader  // the part of the file that may be read
	limit  int64             // where that ends
	scan   *scanner
	after  uint64 // the next segment to open begins here or later
	gap    bool   // the rest of the last segment was given up

	missed missed // numbers that were removed, or given up, before they were read
}

// Why numbers were missed.
const (
	missedRemoved    = iota // retention removed their segment
	missedSegment           // their segment could not be read
	missedUnreadable        // their line is not an event, though its checksum is right: it was written like that
	missedCauses
)

// missed counts numbers by cause.
type missed [missedCauses]uint64

var missedNames = [missedCauses]string{"removed", "segment unreadable", "event unreadable"}

func (m *missed) sum() (n uint64) {
	for _, k := range m {
		n += k
	}
	return n
}

// advance moves to the next good line that is wanted and within m; it is the current line of
// scan then. It returns io.EOF if there is none.
func (t *tail) advance(ctx context.Context, m watermark) error {
	for ctx.Err() == nil {
		switch err := t.readLine(m); {
		case errors.Is(err, io.EOF):
			if err := t.nextSegment(m); err != nil {
				return err
			}
		case err != nil:
			return err
		case !t.scan.good:
			t.j.counters.damaged.add(1)
		case t.scan.seq >= t.next && t.scan.seq <= m.last:
			t.next = t.scan.seq + 1
			return nil
		}
	}
	return context.Cause(ctx)
}

// readLine reads a line of the open file.
func (t *tail) readLine(m watermark) error {
	if t.file == nil {
		return io.EOF
	}
	limit := m.readable(t.entry.first)
	t.window.N += limit - t.limit
	t.limit = limit
	err := t.scan.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("journal: read %s: %w", t.entry.name(), err)
	}
	return err
}

// nextSegment opens the next segment, or returns io.EOF if there is none yet. It leaves a
// file only if nothing more is written to it.
func (t *tail) nextSegment(m watermark) error {
	if t.file != nil && t.entry.first >= m.segment {
		return io.EOF
	}
	known := t.j.listing.known()
	if e, ok := known.pick(t.after, t.next, m); ok {
		if err := t.openSegment(e); !errors.Is(err, errGone) {
			return err
		}
	} else if known.covers(m) {
		return io.EOF
	}
	known, err := t.j.listing.refresh(known, m)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnlisted, err)
	}
	e, ok := known.pick(t.after, t.next, m)
	if !ok {
		return io.EOF
	}
	return t.openSegment(e)
}

// openSegment opens a segment, under the name that it has got since it was listed.
func (t *tail) openSegment(e entry) (err error) {
	t.close()
	t.entry, t.after = e, e.first
	for _, ext := range []string{e.ext, extSealed, extSuspect} {
		t.file, err = t.j.opts.fs.Open(entry{e.first, ext}.path(t.j.dir))
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		t.file = nil
		return openError(err)
	}
	t.countMissed(e.first - 1)
	t.window, t.limit = io.LimitedReader{R: t.file}, 0
	if t.scan == nil {
		t.scan = newScanner(&t.window, e.first)
	} else {
		t.scan.reset(&t.window, e.first)
	}
	t.after = e.first + 1
	return nil
}

var (
	errUnlisted = errors.New("journal: list segments")
	errGone     = errors.New("journal: segment is gone") // although it was listed
)

func openError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return fmt.Errorf("journal: %w", err)
}

// countMissed counts the wanted numbers up to last that are gone. Other numbers without a
// line never had one: they were used up by writes that failed.
func (t *tail) countMissed(last uint64) {
	t.count(missedRemoved, min(last, t.j.removed.Load()))
	if t.gap {
		t.count(missedSegment, last)
	}
	t.gap = false
}

// count counts the wanted numbers up to last.
func (t *tail) count(cause int, last uint64) {
	if t.next <= last {
		t.missed[cause] += last - t.next + 1
		t.next = last + 1
	}
}

// skipSegment gives up the rest of a segment that could not be opened or read.
func (t *tail) skipSegment() {
	t.close()
	t.after, t.gap = t.entry.first+1, true
}

// reopen makes the next advance open the segment again that could not be read.
func (t *tail) reopen() {
	t.close()
	t.after = t.entry.first
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
		t.file = nil
	}
}
