package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// How events are erased.
//
// Erase opens the journal, so that no other process has it and every segment is sealed. Each
// segment that has something to erase is copied without it to a temporary file, which is flushed
// and renamed over the segment: after a crash there is the one or the other, and the next Open
// removes what is left of a copy. The lines that stay are the same bytes. A segment without events
// stays as an empty file, so that no reader takes what is gone for removed by retention.
//
// In quarantine are damaged lines, and copies of lines that segments have, too. It is cleaned in
// the same way; a copy that is being made there has a name in the directory, where Open removes it.
// The dead letters of each destination are a journal of their own.

// EraseOptions configure [Erase]. A nil pointer means all defaults.
type EraseOptions struct {
	// Texts identify what is no readable event: a damaged line that contains one of them as it
	// is, such as the id of a user, is erased. An empty text is an error. Defaults to none: damaged
	// lines stay, unless Damaged is set.
	Texts []string
	// Damaged erases all damaged lines: part of a damaged line may be missing, so that no text
	// tells that it is of the person. Defaults to false.
	Damaged bool
	// Logger receives what [Open] does to the directory. Defaults to [slog.Default].
	Logger *slog.Logger

	fs osfs.FS // injected by tests; nil means the operating system's
}

func (o *EraseOptions) withDefaults() (EraseOptions, error) {
	var f EraseOptions
	if o != nil {
		f = *o
	}
	f.Logger = cmp.Or(f.Logger, slog.Default())
	if f.fs == nil {
		f.fs = osfs.Disk{}
	}
	shortest := 1
	for _, text := range f.Texts {
		shortest = min(shortest, len(text))
	}
	return f, check.Options("journal", "EraseOptions", check.AtLeast("length of each of Texts", shortest, 1))
}

// An Erasure is what [Erase] has done.
type Erasure struct {
	Events      uint64 // that were erased from segments
	Segments    int    // that were written again without them
	Letters     uint64 // dead letters that were erased, of all destinations
	Quarantined uint64 // lines that were erased from quarantine, copies of events among them
	Damaged     uint64 // damaged lines that were erased from segments

	// Destinations are those that have a cursor or dead letters, sorted by name.
	Destinations []ErasedDestination
	// Unreadable is how many damaged lines are left, in segments and in quarantine: nothing in
	// them says that they are to be erased.
	Unreadable uint64
	// Unchecked are the names, below the directory, of what was left alone: what is no regular
	// file, and what is no directory among the dead letters.
	Unchecked []string
}

// An ErasedDestination is what a destination has of the events that were erased. Erase cannot
// change that: the destination has to be asked.
type ErasedDestination struct {
	Name     string // of the destination
	Received uint64 // erased events up to its cursor: it has them, unless its filter excluded them
	Pending  uint64 // erased events after its cursor: it does not get them
	Letters  uint64 // dead letters that were erased: it has refused these events
}

// Erase removes every event that match accepts from the directory of a journal: from its segments,
// from the dead letters of all destinations, and from quarantine. It must not change the event,
// which for a dead letter is the letter; the reason and what a client sent are in its refusal: see
// package sinks, RefusalOf. Afterwards no file in the directory that a journal has written has
// such an event. Blocks of the disk that files have had before may: what the file system and the
// disk do with them is theirs.
//
// The other events stay as they are, with their numbers and checksums. Numbers are not given out
// again. Message ids that are gone are not recognised as repeats any more: a client's retry of an
// erased event is a new event. A batch that was in flight with DeliverOptions.StableBatches is sent
// again without what is gone, and then may have other numbers in [BatchSeq]: a destination that
// recognises batches by them may store the rest of it twice.
//
// It takes the lock, and fails with [ErrLocked] while a journal has the directory open; each of the
// journals of dead letters is locked, too. It opens the journal as [Open] does, without limits for
// dead letters and quarantine. It needs free space for a copy of the largest segment.
//
// Atomicity: each file is replaced as a whole, durably. After an error, or a crash, some files have
// been replaced and others not; everything that was to stay is there, once. Call it again: what
// is left is erased then. With an error the Erasure says what was done before that. After a crash,
// Received and Pending of the next call leave out what the first one has erased.
func Erase(ctx context.Context, dir string, match func(*inlet.Event) bool, o *EraseOptions) (*Erasure, error) {
	opts, err := o.withDefaults()
	done := new(Erasure)
	if match == nil {
		err = errors.Join(errors.New("journal: match is nil"), err)
	}
	if err != nil {
		return done, err
	}
	if _, err := opts.fs.List(dir); err != nil {
		return done, fmt.Errorf("journal: erase: %w", err)
	}
	e := &eraser{ctx: ctx, fs: opts.fs, opts: opts, match: match, dir: dir, done: done}
	if err := e.eraseAll(); err != nil {
		return done, fmt.Errorf("journal: erase in %s: %w", dir, err)
	}
	return done, nil
}

// An eraser erases events in a directory.
type eraser struct {
	ctx   context.Context
	fs    osfs.FS
	opts  EraseOptions
	match func(*inlet.Event) bool
	dir   string
	below string // the directory, as it is named in the Erasure
	done  *Erasure

	owner *owner
	seqs  []uint64 // of the erased events
	buf   []byte
	scan  *scanner // of the file that is read
}

func (e *eraser) eraseAll() (err error) {
	const unlimited = math.MaxInt64 / 4
	j, err := Open(e.dir, &Options{
		DeadLetterBytes: unlimited, QuarantineBytes: unlimited, LowWater: -1, Logger: e.opts.Logger, fs: e.fs,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close(context.WithoutCancel(e.ctx))) }()
	e.owner = j.owner
	if err := e.keepNumbers(j.progress.now().last); err != nil {
		return err
	}
	cursors := j.checkpoints.cursors()
	defer func() { e.countDestinations(cursors) }()
	segments, err := listSegments(e.fs, e.dir)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(segments, func(s entry) bool { return s.ext != extSealed }); i >= 0 {
		// The next Open compares it with its sealed copy, if it has one.
		return fmt.Errorf("%s could not be repaired: see the log", segments[i].name())
	}
	for _, s := range segments {
		if err := e.segment(s); err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	if err := e.quarantine(); err != nil {
		return err
	}
	// An earlier Erase may have replaced files and ended before that was durable.
	if err := e.fs.SyncDir(e.dir); err != nil {
		return err
	}
	return e.deadLetters()
}

// keepNumbers makes sure that the last number outlives its event.
func (e *eraser) keepNumbers(last uint64) error {
	saved := newLastFile(e.fs, e.dir)
	if err := saved.load(); err != nil && !errors.Is(err, errDamagedLast) {
		return err
	}
	return saved.raise(last, saved.sealed)
}

// What becomes of a line.
type verdict int

const (
	keepLine verdict = iota
	eraseEvent
	eraseDamaged
	keepDamaged
)

// judge returns what becomes of a line, and its number if it is an event.
func (e *eraser) judge(line []byte) (verdict, uint64) {
	seq, ok := checkLine(line)
	if ok {
		e.buf = append(e.buf[:0], line...) // parseLine overwrites it
		if event, err := parseLine(e.buf); err == nil {
			if e.match(event) {
				return eraseEvent, seq
			}
			return keepLine, seq
		}
	}
	if e.opts.Damaged || slices.ContainsFunc(e.opts.Texts, func(text string) bool { return bytes.Contains(line, []byte(text)) }) {
		return eraseDamaged, 0
	}
	return keepDamaged, 0
}

// Counts of a file's lines, by verdict.
type verdicts [keepDamaged + 1]uint64

// segment erases events from a segment.
func (e *eraser) segment(s entry) error {
	seqs := len(e.seqs)
	counts, err := e.file(s.path(e.dir), s.path(e.dir)+extTemporary, s.first, false)
	if err != nil {
		e.seqs = e.seqs[:seqs]
		return err
	}
	e.done.Events += counts[eraseEvent]
	e.done.Damaged += counts[eraseDamaged]
	e.done.Unreadable += counts[keepDamaged]
	if counts[eraseEvent]+counts[eraseDamaged] > 0 {
		e.done.Segments++
	}
	return nil
}

// file erases lines from a file. If there are any, what stays is copied to a temporary file, which
// replaces it; if nothing stays, the file is removed if that is wanted.
func (e *eraser) file(name, temporary string, first uint64, removeEmpty bool) (counts verdicts, err error) {
	if err := e.ctx.Err(); err != nil {
		return counts, err
	}
	if counts, err = e.lines(name, first, nil); err != nil {
		return counts, err
	}
	switch {
	case counts[eraseEvent]+counts[eraseDamaged] == 0:
		return counts, nil
	case counts[keepLine]+counts[keepDamaged] == 0 && removeEmpty:
		if err := errors.Join(e.owner.verify(), e.fs.Remove(name)); err != nil {
			return counts, err
		}
		return counts, e.fs.SyncDir(filepath.Dir(name))
	}
	return counts, e.replace(name, temporary, first)
}

// replace replaces a file by a copy without the lines that are erased.
func (e *eraser) replace(name, temporary string, first uint64) error {
	f, err := e.fs.Create(temporary)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	seqs := len(e.seqs)
	_, err = e.lines(name, first, w)
	e.seqs = e.seqs[:seqs] // they were noted before
	if err = errors.Join(err, w.Flush(), f.Sync(), f.Close(), e.owner.verify()); err == nil {
		err = e.fs.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, e.fs.Remove(temporary))
	}
	return e.fs.SyncDir(filepath.Dir(name))
}

// lines judges each line of a file, and copies those that stay to w, unless that is nil.
func (e *eraser) lines(name string, first uint64, w io.Writer) (counts verdicts, err error) {
	f, err := e.fs.Open(name)
	if err != nil {
		return counts, err
	}
	defer func() { _ = f.Close() }()
	if e.scan == nil {
		e.scan = newScanner(nil, 0)
	}
	s := e.scan
	s.reset(f, first)
	for n := 0; ; n++ {
		if n%1024 == 0 && e.ctx.Err() != nil {
			return counts, e.ctx.Err()
		}
		switch err := s.next(); {
		case errors.Is(err, io.EOF):
			return counts, nil
		case err != nil:
			return counts, err
		}
		v, seq := e.judge(s.line)
		counts[v]++
		switch {
		case v == eraseEvent:
			e.seqs = append(e.seqs, seq)
		case v != eraseDamaged && w != nil:
			if _, err := w.Write(s.line); err != nil {
				return counts, err
			}
		}
	}
}

// quarantine erases lines from the files that were set aside.
func (e *eraser) quarantine() error {
	dir := filepath.Join(e.dir, quarantineDir)
	names, err := e.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	irregular, err := e.fs.Irregular(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	seqs := len(e.seqs)
	for _, name := range names {
		file := filepath.Join(quarantineDir, name)
		if slices.Contains(irregular, name) {
			e.done.Unchecked = append(e.done.Unchecked, filepath.ToSlash(filepath.Join(e.below, file)))
			continue
		}
		// Its copy has the name of a segment that no journal has, which Open removes.
		counts, err := e.file(filepath.Join(dir, name), entry{0, extSealed}.path(e.dir)+extTemporary, 0, true)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		e.done.Quarantined += counts[eraseEvent] + counts[eraseDamaged]
		e.done.Unreadable += counts[keepDamaged]
	}
	e.seqs = e.seqs[:seqs] // segments have these events, too
	return e.fs.SyncDir(dir)
}

// deadLetters erases the letters of each destination.
func (e *eraser) deadLetters() error {
	names, err := e.fs.List(filepath.Join(e.dir, deadLetterDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if !validName(name) {
			continue
		}
		below := filepath.Join(deadLetterDir, name)
		if _, err := e.fs.List(filepath.Join(e.dir, below)); osfs.IsNoDir(err) {
			e.done.Unchecked = append(e.done.Unchecked, filepath.ToSlash(filepath.Join(e.below, below)))
			continue
		}
		letters := &eraser{
			ctx: e.ctx, fs: e.fs, opts: e.opts, match: e.match, scan: e.scan, dir: filepath.Join(e.dir, below), below: below, done: new(Erasure),
		}
		err := letters.eraseAll()
		e.include(name, letters.done)
		if err != nil {
			return fmt.Errorf("%s: %w", below, err)
		}
	}
	return nil
}

// include includes what was erased from the letters of a destination.
func (e *eraser) include(name string, letters *Erasure) {
	e.done.Letters += letters.Events
	e.done.Quarantined += letters.Quarantined
	e.done.Damaged += letters.Damaged
	e.done.Unreadable += letters.Unreadable
	e.done.Unchecked = append(e.done.Unchecked, letters.Unchecked...)
	e.done.Destinations = append(e.done.Destinations, ErasedDestination{Name: name, Letters: letters.Events})
}

// countDestinations counts which of the erased events each destination has.
func (e *eraser) countDestinations(cursors map[string]cursor) {
	all := e.done.Destinations
	for name, at := range cursors {
		i := slices.IndexFunc(all, func(d ErasedDestination) bool { return d.Name == name })
		if i < 0 {
			i, all = len(all), append(all, ErasedDestination{Name: name})
		}
		for _, seq := range e.seqs {
			if seq <= at.seq {
				all[i].Received++
			} else {
				all[i].Pending++
			}
		}
	}
	slices.SortFunc(all, func(a, b ErasedDestination) int { return cmp.Compare(a.Name, b.Name) })
	e.done.Destinations = all
}
