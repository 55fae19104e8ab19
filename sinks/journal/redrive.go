package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// How dead letters are sent again.
//
// Redrive reads the journal of the dead letters as a replay does, and writes the events to the
// destination with a deliverer of its own, next to the delivery. A letter stays where it is until
// retention removes it. That it was sent is noted in dead/NAME/REDRIVEN, which has the sequence
// numbers of all letters that are settled, as ranges:
//
//	{"redriven":[[1,20],[23,23]],"_c":"9ae0daaf"}
//
// with a checksum like that of a line. It is replaced, durably, after each batch that the
// destination has accepted and before the next one is sent. So after a crash at most one batch is
// sent again.

// Redrive sends the destination's dead letters again, as the events that were refused, while the
// delivery goes on. It sends those that were stored before the call, that were not sent again
// before, and that the filter accepts; a nil filter accepts all. The filter gets the letter, of
// which [sinks.RefusalOf] returns the reason, and must not change it. Redrive returns how many of
// the events the destination has accepted.
//
// Once: a letter is marked after the destination has accepted its event, durably and before the
// next batch is written, and no later Redrive sends it. If the process ends between the two, a
// Redrive after that sends the events of one Write again, at most DeliverOptions.MaxEvents, with
// the same MessageIDs: at least once, like every delivery. A letter that was excluded by the filter
// is not marked.
//
// Failures are those of a delivery: a temporary one is repeated until ctx is done or the delivery
// ends, after MaxAttempts if that is set. An event that is refused permanently again becomes a new
// letter, with the new reason; the old one is marked, and this call does not send the new one.
//
// Bounds: retention goes on, so letters may be removed before they are sent, which is logged.
// Letters do not become fewer by being sent: they are removed when others need the space.
//
// It fails if DeliverOptions.DeadLetter is set, if another Redrive of the destination runs, with
// [inlet.ErrClosed] if the delivery ends, and if letters cannot be read or marked. What was
// accepted before that is marked.
func (d *Delivery) Redrive(ctx context.Context, filter func(letter *inlet.Event) bool) (events uint64, err error) {
	if d.deadLetters == nil {
		return 0, fmt.Errorf("journal: destination %q: %w", d.name, errLettersElsewhere)
	}
	if !d.redriving.TryLock() {
		if d.stopping() {
			return 0, fmt.Errorf("journal: destination %q: %w", d.name, inlet.ErrClosed)
		}
		return 0, fmt.Errorf("journal: destination %q has a running Redrive", d.name)
	}
	defer d.redriving.Unlock()
	letters, err := d.deadLetters.open(ctx)
	if err == nil && letters != nil {
		events, err = d.redrive(ctx, letters, filter)
	}
	if err != nil {
		return events, fmt.Errorf("journal: redrive of destination %q: %w", d.name, err)
	}
	return events, nil
}

var errLettersElsewhere = errors.New("its dead letters go to a sink of the caller")

// A redrive is a Redrive that runs.
type redrive struct {
	deliverer
	marks    *redriven
	seqs     []uint64 // of the events of the batch
	refused  uint64   // events of the batch that became letters again
	loggedAt time.Time
}

// redrive sends the letters that a journal of letters has now.
func (d *Delivery) redrive(ctx context.Context, letters *Journal, filter func(*inlet.Event) bool) (events uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	marks, err := loadRedriven(letters)
	if err != nil {
		return 0, err
	}
	opts := d.deliverer.opts
	opts.OnSkipped = nil
	r := &redrive{marks: marks, deliverer: deliverer{
		tail: tail{j: letters, next: letters.removed.Load() + 1}, opts: opts,
		log: d.log.With("redrive", true), reading: func(time.Time) {}, paused: func() bool { return false },
	}}
	onLetter := func(ctx context.Context, letter *inlet.Event, err error) {
		r.refused++
		d.countDeadLetter(ctx, letter, err)
	}
	r.park = parker(d.letters, d.name, onLetter)
	if r.sink, err = sinks.NewDeadLetter(d.to, d.letters, &sinks.DeadLetterOptions{Name: d.name, OnLetter: onLetter}); err != nil {
		return 0, err
	}
	r.report = r.logFailure
	r.opts.Filter = func(letter *inlet.Event) bool {
		seq := r.tail.scan.seq
		if marks.has(seq) || filter != nil && !filter(letter) {
			return false
		}
		r.seqs = append(r.seqs, seq)
		return true
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	defer close(ended)
	go func() {
		defer close(stop)
		select {
		case <-d.stop:
		case <-ctx.Done():
		case <-ended:
		}
	}()
	r.stop = stop
	return r.sendAll(ctx, letters.progress.now(), &d.state)
}

// sendAll sends everything within m.
func (r *redrive) sendAll(ctx context.Context, m watermark, state *deliveryState) (events uint64, err error) {
	defer r.tail.close()
	defer r.logMissed(0)
	for {
		r.seqs, r.refused = r.seqs[:0], 0
		err := r.readBatch(ctx, m)
		r.reportMissed()
		switch {
		case errors.Is(err, io.EOF):
			return events, nil
		case errors.Is(err, errGone):
			r.tail.skipSegment()
			continue
		case err != nil:
			return events, err
		}
		settled, err := r.sendBatch(ctx)
		accepted := settled - r.refused
		events += accepted
		state.redriven.Add(accepted)
		switch {
		case err != nil && ctx.Err() != nil:
			return events, fmt.Errorf("%w; last attempt: %w", ctx.Err(), err)
		case err != nil:
			return events, err
		}
		select {
		case <-r.stop:
			return events, inlet.ErrClosed
		default:
		}
	}
}

// sendBatch writes the batch and marks what is settled, whatever else happens.
func (r *redrive) sendBatch(ctx context.Context) (settled uint64, err error) {
	batch := make(map[*inlet.Event]uint64, len(r.events))
	for i, letter := range r.events {
		e := sinks.WithoutRefusal(letter)
		r.events[i] = e
		batch[e] = r.seqs[i]
	}
	err = r.deliver(ctx)
	for _, e := range r.events {
		delete(batch, e)
	}
	seqs := make([]uint64, 0, len(batch))
	for _, seq := range batch {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return uint64(len(seqs)), errors.Join(err, r.marks.mark(seqs))
}

// logFailure logs a failure, at most once a minute.
func (r *redrive) logFailure(f failure) {
	if f.err == nil || time.Since(r.loggedAt) < blockedInterval {
		return
	}
	r.loggedAt = time.Now()
	attrs := []any{"attempts", f.attempts, "error", f.err}
	if f.alone != nil {
		attrs = append(attrs, "messageId", f.alone.MessageID)
	}
	r.log.Warn("journal: redrive failed; retrying", attrs...)
}

const (
	redrivenName = "REDRIVEN"
	// maxRedrivenLen is how much of the file is read: with a range for every other letter of
	// the default limit it has a few megabytes.
	maxRedrivenLen = 256 << 20
)

// redriven is the file REDRIVEN of a journal of dead letters.
type redriven struct {
	fs     osfs.FS
	path   string
	owner  *owner
	ranges seqRanges
}

// seqRanges are ascending ranges of sequence numbers, from the first to the last, that do not
// touch each other.
type seqRanges [][2]uint64

// loadRedriven reads the file. If it is damaged it is unknown which letters were sent, so all may
// be sent again; that is logged.
func loadRedriven(letters *Journal) (*redriven, error) {
	r := &redriven{fs: letters.opts.fs, path: filepath.Join(letters.dir, redrivenName), owner: letters.owner}
	ranges, err := readRedriven(r.fs, r.path)
	if errors.Is(err, errDamagedMarks) {
		letters.opts.Logger.Error("journal: file damaged; dead letters may be sent once more", "file", redrivenName)
		return r, nil
	}
	r.ranges = ranges.after(letters.removed.Load())
	return r, err
}

var errDamagedMarks = errors.New("damaged file " + redrivenName)

// readRedriven reads the file. Without it no letter was sent again.
func readRedriven(fsys osfs.FS, path string) (seqRanges, error) {
	data, err := readFile(fsys, path, maxRedrivenLen)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Redriven seqRanges `json:"redriven"`
		Sum      string    `json:"_c"`
	}
	if json.Unmarshal(data, &file) != nil || file.Sum != checksumOf(data) {
		return nil, errDamagedMarks
	}
	return file.Redriven, nil
}

func (r *redriven) has(seq uint64) bool { return r.ranges.has(seq) }

// mark adds ascending numbers, durably.
func (r *redriven) mark(seqs []uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	if err := r.owner.verify(); err != nil {
		return err
	}
	ranges := r.ranges.with(seqs)
	list, err := json.Marshal(ranges)
	if err == nil {
		err = replaceFile(r.fs, r.path, withChecksum(append([]byte(`{"redriven":`), list...)))
	}
	if err != nil {
		return fmt.Errorf("journal: dead letters not marked: %w", err)
	}
	r.ranges = ranges
	return nil
}

func (s seqRanges) has(seq uint64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i][1] >= seq })
	return i < len(s) && s[i][0] <= seq
}

// after returns the ranges without the numbers up to one.
func (s seqRanges) after(seq uint64) seqRanges {
	i := sort.Search(len(s), func(i int) bool { return s[i][1] > seq })
	return s[i:]
}

// with returns the ranges with ascending numbers in addition.
func (s seqRanges) with(seqs []uint64) seqRanges {
	merged := make(seqRanges, 0, len(s)+1)
	add := func(first, last uint64) {
		if n := len(merged); n > 0 && first <= merged[n-1][1]+1 {
			merged[n-1][1] = max(merged[n-1][1], last)
			return
		}
		merged = append(merged, [2]uint64{first, last})
	}
	for _, r := range append(s[:len(s):len(s)], [2]uint64{math.MaxUint64, math.MaxUint64}) {
		for len(seqs) > 0 && seqs[0] < r[0] {
			add(seqs[0], seqs[0])
			seqs = seqs[1:]
		}
		if r[0] != math.MaxUint64 {
			add(r[0], r[1])
		}
	}
	return merged
}
