package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// How a directory is read without its journal.
//
// Another process may write to it meanwhile, and its watermark is not known. So a reader goes by
// the lines: what has a right checksum was written as a whole. It stays in the newest segment,
// at the end of its last good line, until the directory has a newer one; what it has then still
// to read of the old one is complete. In a file that is being written a line may be half there
// when it is read, although the next one is complete. So a line that seems damaged is read twice.

// ReadOptions configure [Read] and [ReadLetters]. A nil pointer means all defaults.
type ReadOptions struct {
	// Start is where to begin. Defaults to FromOldest.
	Start Start
	// Filter reports whether an event is wanted. It must not change the event. Defaults to nil,
	// all events.
	Filter func(*inlet.Event) bool
	// Last is how many of the wanted events that there are now to yield, the newest ones.
	// Defaults to 0, all of them.
	Last int
	// Follow continues with events as they are written, until ctx is done. Defaults to false.
	Follow bool
	// Interval is how often Follow looks for more. Defaults to 250 milliseconds.
	Interval time.Duration

	fs osfs.FS // injected by tests; nil means the operating system's
}

func (o *ReadOptions) withDefaults() (ReadOptions, error) {
	var f ReadOptions
	if o != nil {
		f = *o
	}
	f.Interval = cmp.Or(f.Interval, 250*time.Millisecond)
	if f.fs == nil {
		f.fs = osfs.Disk{}
	}
	return f, check.Options("journal", "ReadOptions",
		check.AtLeast("Last", f.Last, 0),
		check.AtLeast("Interval", f.Interval, 1),
	)
}

// Read yields the events in the directory of a journal, in order, whether or not a process has
// that journal open: it takes no lock and changes nothing. Where the journal itself is at hand,
// use [Journal.Events], which yields acknowledged events only: Read may be ahead of the
// acknowledgement of an event, or yield one whose write failed later.
//
// Damaged lines are left out; [Verify] finds them. An error, such as that of a file which cannot
// be read, is yielded with a zero Record; if the consumer continues, the events follow that can
// be read. An error of the options, of the directory or of ctx ends it; with Follow, the end of
// ctx is no error.
func Read(ctx context.Context, dir string, o *ReadOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		opts, err := o.withDefaults()
		if err != nil {
			yield(Record{}, err)
			return
		}
		r := &dirReader{fs: opts.fs, dir: dir, opts: opts}
		defer r.close()
		if err := r.yieldAll(ctx, yield); err != nil {
			yield(Record{}, err)
		}
	}
}

// A dirReader reads the segments of a directory that may be written to.
type dirReader struct {
	fs   osfs.FS
	dir  string
	opts ReadOptions

	listed []entry   // segments, at the time of the last listing
	next   uint64    // the lowest number that is wanted
	since  time.Time // what was received before that is not wanted; zero once something was not

	entry entry             // the segment that is read
	file  io.ReadSeekCloser // nil if none is open
	scan  *scanner
	base  int64  // offset in the file at which the scan began
	doubt int64  // offset after which a line seemed damaged
	final bool   // nothing more is written to the file
	after uint64 // the next segment to open begins here or later
	alone bool   // only one segment is to be read, which is listed
}

// errEnough ends a read whose consumer wants no more.
var errEnough = errors.New("journal: enough")

// yieldAll yields everything that is wanted.
func (r *dirReader) yieldAll(ctx context.Context, yield func(Record, error) bool) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	if r.opts.Last > 0 {
		newest, err := r.newest(ctx)
		if err != nil {
			return err
		}
		for _, record := range newest {
			if !yield(record, nil) {
				return nil
			}
		}
		if !r.opts.Follow {
			return nil
		}
	}
	for {
		err := r.each(ctx, yield)
		switch {
		case errors.Is(err, errEnough):
			return nil
		case err != nil && (ctx.Err() == nil || !r.opts.Follow):
			return err
		case !r.opts.Follow:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(r.opts.Interval):
		}
	}
}

// each yields what there is now.
func (r *dirReader) each(ctx context.Context, yield func(Record, error) bool) error {
	for {
		record, err := r.wanted(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil, errors.Is(err, errUnlisted):
			return err
		}
		if !yield(record, err) {
			return errEnough
		}
	}
}

// wanted returns the next record that is wanted.
func (r *dirReader) wanted(ctx context.Context) (Record, error) {
	for {
		if err := r.advance(ctx); err != nil {
			return Record{}, err
		}
		event, err := parseLine(r.scan.line)
		if err != nil {
			return Record{}, fmt.Errorf("journal: %s: event %d: %w", r.entry.name(), r.scan.seq, err)
		}
		if event.ReceivedAt.Before(r.since) {
			continue
		}
		r.since = time.Time{}
		if r.opts.Filter == nil || r.opts.Filter(event) {
			return Record{r.scan.seq, event}, nil
		}
	}
}

// start moves to where the options say.
func (r *dirReader) start(ctx context.Context) error {
	if err := r.list(); err != nil {
		return err
	}
	s := r.opts.Start
	switch s.kind {
	case startSeq:
		r.next = s.seq
		if n := sort.Search(len(r.listed), func(i int) bool { return r.listed[i].first > s.seq }); n > 0 {
			r.after = r.listed[n-1].first
		}
	case startTime:
		r.since = s.at
		for _, e := range r.listed {
			if received, ok := r.firstReceived(e); ok && !received.Before(s.at) {
				break
			}
			r.after = e.first
		}
	case startNow:
		if len(r.listed) == 0 {
			return nil
		}
		r.after = r.listed[len(r.listed)-1].first
		for {
			err := r.advance(ctx)
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// firstReceived returns when the first event of a segment was received.
func (r *dirReader) firstReceived(e entry) (at time.Time, ok bool) {
	file, err := r.openFile(e)
	if err != nil {
		return at, false
	}
	defer func() { _ = file.Close() }()
	r.scanFrom(file, e.first)
	if r.scan.nextGood() != nil {
		return at, false
	}
	return receivedAt(r.scan.line), true
}

// newest returns the last of the wanted events that there are, in order, and moves to the end.
func (r *dirReader) newest(ctx context.Context) ([]Record, error) {
	n, segments, oldest := r.opts.Last, r.listed, r.after
	if len(segments) > 0 {
		r.after = max(oldest, segments[len(segments)-1].first)
	}
	kept, err := r.lastOf(ctx, n)
	for i := len(segments) - 2; err == nil && i >= 0 && len(kept) < n && segments[i].first >= oldest; i-- {
		var before []Record
		older := &dirReader{fs: r.fs, dir: r.dir, opts: r.opts, next: r.opts.Start.seq, since: r.opts.Start.at}
		older.listed, older.alone = segments[i:i+1], true
		before, err = older.lastOf(ctx, n-len(kept))
		older.close()
		kept = append(before, kept...)
	}
	return kept, err
}

// lastOf reads on to the end and returns the last n of what is wanted. What cannot be read is left
// out.
func (r *dirReader) lastOf(ctx context.Context, n int) (kept []Record, err error) {
	for {
		record, err := r.wanted(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return kept[max(0, len(kept)-n):], nil
		case err != nil && (ctx.Err() != nil || errors.Is(err, errUnlisted)):
			return nil, err
		case err != nil:
			continue
		}
		kept = append(kept, record)
		if more := len(kept) - n; more >= max(n, 64) {
			kept = append(kept[:0], kept[more:]...)
		}
	}
}

// advance moves to the next good line, which is that of scan then. It returns io.EOF at the end,
// where it can be called again.
func (r *dirReader) advance(ctx context.Context) error {
	for ctx.Err() == nil {
		if r.file == nil {
			if err := r.openNext(); err != nil {
				return err
			}
		}
		switch err := r.scan.next(); {
		case errors.Is(err, io.EOF) && r.final:
			r.close()
		case errors.Is(err, io.EOF):
			if err := r.atEnd(); err != nil {
				return err
			}
		case err != nil:
			r.close()
			return fmt.Errorf("journal: read %s: %w", r.entry.name(), err)
		case !r.scan.good && !r.final && r.doubt != r.base+r.scan.goodEnd:
			r.doubt = r.base + r.scan.goodEnd
			if err := r.rewind(); err != nil {
				return err
			}
		case r.scan.good && r.scan.seq >= r.next:
			r.next = r.scan.seq + 1
			return nil
		}
	}
	return context.Cause(ctx)
}

// atEnd is called at the end of a file that may grow. If there is a newer segment, this one does
// not grow any more, and the rest of it is read.
func (r *dirReader) atEnd() error {
	if err := r.rewind(); err != nil {
		return err
	}
	if err := r.list(); err != nil {
		return err
	}
	if r.final = r.isOld(r.entry); !r.final {
		return io.EOF
	}
	return nil
}

// rewind moves to the end of the last good line, so that what follows is read again.
func (r *dirReader) rewind() error {
	r.base += r.scan.goodEnd
	if _, err := r.file.Seek(r.base, io.SeekStart); err != nil {
		r.close()
		return fmt.Errorf("journal: read %s: %w", r.entry.name(), err)
	}
	r.scan.reset(r.file, r.scan.last+1)
	return nil
}

// isOld reports whether there is a newer segment than e, as far as is known.
func (r *dirReader) isOld(e entry) bool {
	return r.alone || len(r.listed) > 0 && r.listed[len(r.listed)-1].first > e.first
}

// openNext opens the next segment. Retention, or a repair, may have removed what was listed.
func (r *dirReader) openNext() error {
	for again := false; ; again = true {
		for i := sort.Search(len(r.listed), func(i int) bool { return r.listed[i].first >= r.after }); i < len(r.listed); i++ {
			e := r.listed[i]
			file, err := r.openFile(e)
			r.after = e.first + 1
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			r.entry = e
			if err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			r.file, r.base, r.doubt, r.final = file, 0, -1, r.isOld(e)
			r.scanFrom(file, e.first)
			return nil
		}
		if again || r.alone {
			return io.EOF
		}
		if err := r.list(); err != nil {
			return err
		}
	}
}

// openFile opens a segment, under the name that it has got since it was listed.
func (r *dirReader) openFile(e entry) (file io.ReadSeekCloser, err error) {
	for _, ext := range []string{e.ext, extSealed, extSuspect} {
		file, err = r.fs.Open(entry{e.first, ext}.path(r.dir))
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return nil, err
}

func (r *dirReader) scanFrom(file io.Reader, first uint64) {
	if r.scan == nil {
		r.scan = newScanner(file, first)
		return
	}
	r.scan.reset(file, first)
}

// list lists the segments.
func (r *dirReader) list() error {
	segments, err := listRegular(r.fs, r.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnlisted, err)
	}
	r.listed = segments
	return nil
}

// listRegular is listSegments without what is no regular file, which the next Open sets aside: to
// open a pipe would wait for its writer.
func listRegular(fsys osfs.FS, dir string) ([]entry, error) {
	segments, err := listSegments(fsys, dir)
	if err != nil {
		return nil, err
	}
	irregular, err := fsys.Irregular(dir)
	return slices.DeleteFunc(segments, func(e entry) bool { return slices.Contains(irregular, e.name()) }), err
}

func (r *dirReader) close() {
	if r.file != nil {
		_ = r.file.Close() // it was only read
		r.file = nil
	}
}

// receivedAt returns when the event of a good line was received.
func receivedAt(line []byte) time.Time {
	var at time.Time
	_, _ = receivedWriter{&at}.Write(line)
	return at
}

// A Letter is a dead letter as [ReadLetters] yields it.
type Letter struct {
	Record
	// Redriven reports whether [Delivery.Redrive] has sent the event again and the destination
	// has accepted it, or has refused it once more, as another letter.
	Redriven bool
}

// ReadLetters yields the dead letters of a destination in the directory of a journal, as [Read]
// yields events; [sinks.RefusalOf] has the reason of each. A destination without letters yields
// none. The marks of a Redrive are those at the beginning.
func ReadLetters(ctx context.Context, dir, name string, o *ReadOptions) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		opts, err := o.withDefaults()
		if err == nil && !validName(name) {
			err = fmt.Errorf("journal: %q cannot be the name of a destination", name)
		}
		if err != nil {
			yield(Letter{}, err)
			return
		}
		letters := filepath.Join(dir, deadLetterDir, name)
		marks, err := readRedriven(opts.fs, filepath.Join(letters, redrivenName))
		if err != nil && !yield(Letter{}, fmt.Errorf("journal: marks of the letters: %w", err)) {
			return
		}
		for r, err := range Read(ctx, letters, &opts) {
			if errors.Is(err, fs.ErrNotExist) && errors.Is(err, errUnlisted) {
				return // it never had a letter
			}
			if !yield(Letter{r, err == nil && marks.has(r.Seq)}, err) {
				return
			}
		}
	}
}
