package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// VerifyOptions configure [Verify]. A nil pointer means all defaults.
type VerifyOptions struct {
	// MaxFaults is how many faults and gaps are listed, of each the first ones; the others are
	// counted. Defaults to 1,000.
	MaxFaults int

	fs osfs.FS // injected by tests; nil means the operating system's
}

// A Report is what is in the directory of a journal. See [Verify].
type Report struct {
	Segments     []SegmentReport     // in the order of their events
	Destinations []DestinationReport // sorted by name

	Events        uint64    // good lines
	Bytes         int64     // of all segments
	FirstSeq      uint64    // number of the first event, 0 if there is none
	LastSeq       uint64    // number of the last event
	FirstReceived time.Time // when the first event was received, zero if there is none
	LastReceived  time.Time // when the last event was received

	Gaps       []Gap   // numbers without an event between the first and the last
	GapCount   uint64  // how many gaps there are, also those that are not listed
	Missing    uint64  // how many numbers are in all gaps
	Faults     []Fault // in the order in which they were found, those of dead letters too
	FaultCount uint64  // how many there are, also those that are not listed

	QuarantineFiles int   // files in quarantine
	QuarantineBytes int64 // their size
}

// A SegmentReport is what is in a segment.
type SegmentReport struct {
	File                        string    // its name
	Bytes                       int64     // its size
	Events                      uint64    // good lines
	FirstSeq, LastSeq           uint64    // of its events, 0 if there are none
	FirstReceived, LastReceived time.Time // of its events, zero if there are none
	Damaged                     int       // damaged lines
	Unfinished                  int       // bytes at the end of an active file that are no event yet
	Active                      bool      // it is being written, or the next Open will seal it
}

// A DestinationReport is what is known of a destination: by its cursor, and by its dead letters.
type DestinationReport struct {
	Name     string // of the destination
	Cursor   bool   // false: only dead letters are left of it
	Position uint64 // everything up to it is settled, as it was last saved
	Behind   uint64 // events after Position
	Holds    bool   // retention keeps what it has not received
	// DeadLetters is the report of its dead letters, nil if it never had any.
	DeadLetters *Report
}

// A Gap is numbers without an event, from First to Last. Writes that failed leave gaps, and so does
// a renumbered file: a gap alone is no fault. A segment that somebody has deleted leaves one, too.
type Gap struct {
	First, Last uint64 // numbers
	File        string // the segment whose events follow
}

// A Fault is something that is not as the journal has written it.
type Fault struct {
	File   string // below the directory
	Offset int64  // in bytes, of the line
	Bytes  int    // length of the line, 0 if the fault is of the file
	Text   string // what is wrong
}

// String returns the fault, in one line.
func (f Fault) String() string {
	if f.Bytes == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Text)
	}
	return fmt.Sprintf("%s: offset %d, %d bytes: %s", f.File, f.Offset, f.Bytes, f.Text)
}

// Verify reads everything in the directory of a journal: the checksum of each line, whether the
// numbers ascend within a file and from file to file, the cursors, the dead letters of each
// destination, and what has the name of a segment. It takes no lock, changes nothing and needs no
// journal; a process may have it open. What was removed while Verify ran is left out.
//
// Faults are what the journal does not cause itself, in particular damaged lines. The next
// [Open] does not change sealed files, so a damaged line there stays, costs its own event only,
// and is skipped by all readers. It is not a fault that the active file ends in an unfinished line.
//
// Verify fails if the directory or a file cannot be read, and if ctx is done; the report then has
// what was found before.
func Verify(ctx context.Context, dir string, o *VerifyOptions) (*Report, error) {
	var opts VerifyOptions
	if o != nil {
		opts = *o
	}
	opts.MaxFaults = cmp.Or(opts.MaxFaults, 1000)
	if opts.fs == nil {
		opts.fs = osfs.Disk{}
	}
	if err := check.Options("journal", "VerifyOptions", check.AtLeast("MaxFaults", opts.MaxFaults, 1)); err != nil {
		return new(Report), err
	}
	v := &verification{opts: opts, dir: dir, report: new(Report)}
	if err := v.verify(ctx); err != nil {
		return v.report, fmt.Errorf("journal: verify %s: %w", dir, err)
	}
	return v.report, nil
}

// A verification makes a report of a directory.
type verification struct {
	opts   VerifyOptions
	dir    string
	below  string // the directory, as it is named in faults
	report *Report
	scan   *scanner
	top    uint64 // the highest number of the files before
}

func (v *verification) verify(ctx context.Context) error {
	if err := v.names(); err != nil {
		return err
	}
	segments, err := listRegular(v.opts.fs, v.dir)
	if err != nil {
		return err
	}
	for i, e := range segments {
		newest := i == len(segments)-1
		before, top := *v.report, v.top
		err := v.segment(ctx, e, newest)
		if newest && err == nil && v.report.FaultCount > before.FaultCount {
			// A file that is being written may show its end before its middle.
			*v.report, v.top = before, top
			err = v.segment(ctx, e, newest)
		}
		if err != nil {
			return err
		}
	}
	last := newLastFile(v.opts.fs, v.dir)
	if err := last.load(); err != nil {
		v.fault(Fault{File: lastName, Text: err.Error()})
	}
	v.quarantine()
	if err := v.destinations(max(v.top, last.used)); err != nil {
		return err
	}
	return v.deadLetters(ctx)
}

// fault adds a fault.
func (v *verification) fault(f Fault) {
	f.File = filepath.ToSlash(filepath.Join(v.below, f.File))
	v.report.FaultCount++
	if len(v.report.Faults) < v.opts.MaxFaults {
		v.report.Faults = append(v.report.Faults, f)
	}
}

// names finds what has the name of a segment and cannot be one.
func (v *verification) names() error {
	irregular, err := v.opts.fs.Irregular(v.dir)
	if err != nil {
		return err
	}
	for _, name := range irregular {
		if _, ours := segmentExt(name); ours {
			v.fault(Fault{File: name, Text: "not a regular file"})
		}
	}
	names, err := v.opts.fs.List(v.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		_, form := segmentExt(name)
		if _, ok := parseName(name); form && !ok {
			v.fault(Fault{File: name, Text: "no segment can have this number"})
		}
	}
	return nil
}

// segment reads a segment.
func (v *verification) segment(ctx context.Context, e entry, newest bool) error {
	r := dirReader{fs: v.opts.fs, dir: v.dir, scan: v.scan}
	file, err := r.openFile(e)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed since
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	r.scanFrom(file, e.first)
	v.scan = r.scan
	s := SegmentReport{File: e.name(), Active: e.ext != extSealed}
	faults, err := v.lines(ctx, &s)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name(), err)
	}
	s.Bytes, s.Damaged = v.scan.offset, v.scan.damaged
	if e.ext == extActive && newest {
		s.Unfinished, s.Damaged = v.scan.damagedTail, v.scan.damagedBefore
		faults = slices.DeleteFunc(faults, func(f Fault) bool { return f.Offset >= v.scan.goodEnd })
	}
	for _, f := range faults {
		v.fault(f)
	}
	v.report.FaultCount += uint64(max(s.Damaged-len(faults), 0)) // those that are not listed
	v.include(s)
	return nil
}

// lines reads the lines of a segment, and returns the first ones that are damaged.
func (v *verification) lines(ctx context.Context, s *SegmentReport) (faults []Fault, err error) {
	var last []byte
	damaged := 0
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return faults, context.Cause(ctx)
		}
		switch err := v.scan.next(); {
		case errors.Is(err, io.EOF):
			if s.Events > 0 {
				s.LastReceived = receivedAt(last)
			}
			return faults, nil
		case err != nil:
			return faults, err
		}
		if v.scan.damaged > damaged {
			damaged = v.scan.damaged
			if len(faults) < v.opts.MaxFaults {
				faults = append(faults, v.lineFault(s.File))
			}
		}
		if !v.scan.good {
			continue
		}
		if s.Events == 0 {
			s.FirstSeq, s.FirstReceived = v.scan.seq, receivedAt(slices.Clone(v.scan.line))
		}
		v.number(s)
		s.Events, s.LastSeq = s.Events+1, v.scan.seq
		last = append(last[:0], v.scan.line...)
	}
}

// lineFault says what is wrong with the current line.
func (v *verification) lineFault(file string) Fault {
	f := Fault{File: file, Offset: v.scan.offset - int64(len(v.scan.line)), Bytes: len(v.scan.line), Text: "damaged: the checksum is wrong"}
	seq, ok := checkLine(v.scan.line)
	switch {
	case v.scan.good:
		f.Text = "the newline after the event is damaged"
	case ok && seq > v.scan.max:
		f.Text = fmt.Sprintf("the number %d is too high", seq)
	case ok:
		f.Text = fmt.Sprintf("the number %d is not above that of the line before, %d", seq, v.scan.last)
	}
	return f
}

// number compares the number of the current event with those before it.
func (v *verification) number(s *SegmentReport) {
	seq := v.scan.seq
	switch {
	case seq <= v.top:
		if s.Events == 0 {
			v.fault(Fault{File: s.File, Text: fmt.Sprintf("its first number, %d, is not above %d of an earlier segment", seq, v.top)})
		}
		return
	case v.report.Events+s.Events > 0 && seq > v.top+1:
		v.report.GapCount++
		v.report.Missing += seq - v.top - 1
		if len(v.report.Gaps) < v.opts.MaxFaults {
			v.report.Gaps = append(v.report.Gaps, Gap{v.top + 1, seq - 1, s.File})
		}
	}
	v.top = seq
}

// include includes a segment in the report.
func (v *verification) include(s SegmentReport) {
	r := v.report
	r.Segments = append(r.Segments, s)
	r.Bytes += s.Bytes
	if s.Events == 0 {
		return
	}
	if r.Events == 0 {
		r.FirstSeq, r.FirstReceived = s.FirstSeq, s.FirstReceived
	}
	r.Events += s.Events
	r.LastSeq, r.LastReceived = max(r.LastSeq, s.LastSeq), s.LastReceived
}

// quarantine measures what is set aside.
func (v *verification) quarantine() {
	dir := filepath.Join(v.dir, quarantineDir)
	names, _ := v.opts.fs.List(dir) // there is none, or its size is unknown
	v.report.QuarantineFiles, v.report.QuarantineBytes = len(names), dirSize(v.opts.fs, dir)
}

// destinations reads the cursors. The last number that may have been used is given.
func (v *verification) destinations(last uint64) error {
	files := newCursors(v.opts.fs, v.dir)
	files.last = last
	found, err := files.load(func(name string, err error) {
		v.fault(Fault{File: filepath.Join(cursorDir, name), Text: err.Error()})
	})
	if err != nil {
		return err
	}
	for name, at := range found {
		v.report.Destinations = append(v.report.Destinations, DestinationReport{
			Name: name, Cursor: true, Position: at.seq, Holds: at.holds, Behind: v.report.after(at.seq),
		})
	}
	return nil
}

// after returns how many events have a number above seq. In the segment that has both, events are
// counted as if there were no gaps.
func (r *Report) after(seq uint64) (n uint64) {
	for _, s := range r.Segments {
		switch {
		case s.FirstSeq > seq:
			n += s.Events
		case s.LastSeq > seq:
			n += min(s.Events, s.LastSeq-seq)
		}
	}
	return n
}

// deadLetters makes the reports of the dead letters.
func (v *verification) deadLetters(ctx context.Context) error {
	names, err := v.opts.fs.List(filepath.Join(v.dir, deadLetterDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r := v.report
	for _, name := range names {
		if !validName(name) {
			continue
		}
		below := filepath.Join(deadLetterDir, name)
		letters := &verification{
			opts: v.opts, dir: filepath.Join(v.dir, below), below: filepath.Join(v.below, below), report: new(Report), scan: v.scan,
		}
		letters.opts.MaxFaults = max(v.opts.MaxFaults-len(r.Faults), 0)
		switch err := letters.verify(ctx); {
		case osfs.IsNoDir(err):
			v.fault(Fault{File: below, Text: "not a directory"})
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", below, err)
		}
		if _, err := readRedriven(v.opts.fs, filepath.Join(letters.dir, redrivenName)); err != nil {
			letters.fault(Fault{File: redrivenName, Text: err.Error()})
		}
		r.Faults = append(r.Faults, letters.report.Faults...)
		r.FaultCount += letters.report.FaultCount
		i := slices.IndexFunc(r.Destinations, func(d DestinationReport) bool { return d.Name == name })
		if i < 0 {
			i = len(r.Destinations)
			r.Destinations = append(r.Destinations, DestinationReport{Name: name})
		}
		r.Destinations[i].DeadLetters = letters.report
	}
	slices.SortFunc(r.Destinations, func(a, b DestinationReport) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
