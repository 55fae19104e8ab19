package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"path/filepath"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// Deliver feeds a sink with the events of the journal, from a goroutine of its
// own, until [Delivery.Stop] or Close. The name is the destination's for good, as
// that of its cursor: 1 to 64 of a-z, 0-9, _ and -. Nil options mean the defaults.
//
// Delivery: in the order of the journal, at least once. A batch is written again
// until the sink has taken all of it, however long that takes, and the next one
// only then. How far the sink has come is noted on the disk after it said so, at
// least every second and every 4 MiB: what it took since, and the batch in flight,
// it gets again after a crash, with the same MessageIDs.
//
// Failures: what the sink refuses for good ([inlet.Permanent]) goes to the dead
// letters, with the reason, and nothing waits for it: of a batch that is refused as
// a whole the halves are tried, down to the events that are at fault. Any other
// failure, a panic included, is a reason to wait and try again; after five in a
// row with one event only, until the sink takes it.
//
// Isolation: destinations do not see each other, and a write to the journal
// does not wait for any of them, unless it holds as much as it is to retain; see
// [FullPolicy]. A destination with Block holds what it has not had also while it
// is not delivered to, until [Journal.Forget].
//
// It fails if the name is not valid or in use, if the options can never work, and
// if a new destination's cursor cannot be written.
func (j *Journal) Deliver(name string, sink inlet.Sink, o *DeliverOptions) (*Delivery, error) {
	opts := o.withDefaults()
	if !validName(name) {
		return nil, fmt.Errorf("journal: a destination cannot have the name %q", name)
	}
	if err := opts.check(sink); err != nil {
		return nil, err
	}
	d, err := j.newDelivery(name, sink, opts)
	if err != nil {
		return nil, err
	}
	at, found, err := j.destinations.begin(d)
	if err != nil {
		return nil, err
	}
	if err := d.start(at, found); err != nil {
		j.destinations.end(d)
		return nil, fmt.Errorf("journal: destination %s: %w", name, err)
	}
	go d.run()
	return d, nil
}

func (j *Journal) newDelivery(name string, sink inlet.Sink, opts DeliverOptions) (*Delivery, error) {
	d := &Delivery{
		name: name, j: j, log: j.opts.Logger.With("destination", name),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	letters := opts.DeadLetter
	if letters == nil {
		d.deadLetters = newDeadLetterJournal(j, name)
		letters = d.deadLetters
	}
	dead, err := sinks.NewDeadLetter(sink, letters, &sinks.DeadLetterOptions{Name: name, OnLetter: d.countDeadLetter})
	if err != nil {
		return nil, err
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.deliverer = deliverer{tail: tail{j: j}, sink: dead, opts: opts, log: d.log, stop: d.stop, report: d.recordAttempt}
	return d, nil
}

// Forget removes the cursor of a destination that is not delivered to now, so that
// the journal no longer holds anything for it. Its dead letters stay.
func (j *Journal) Forget(name string) error { return j.destinations.forget(name) }

// A Delivery feeds one destination. All methods may be called concurrently. Make
// one with [Journal.Deliver].
type Delivery struct {
	name      string
	j         *Journal
	log       *slog.Logger
	deliverer      deliverer
	deadLetters *deadLetterJournal // the dead letters, if they are the journal's own

	ctx      context.Context // of the sink's Writes
	cancel   context.CancelFunc
	stop     chan struct{} // closed to end it once the sink has returned
	stopOnce sync.Once
	done     chan struct{}
	err      error // of its end; set when done is closed

	settled progress // how far the sink has come
	state   deliveryState

	saving   sync.Mutex // its cursor, which the store may want saved at once
	left     bool       // nothing is saved any more
	savedAt  time.Time  // when the delivery itself last tried
	unsaved  int        // bytes that were settled since then
	failures int        // reads of the journal in a row that failed
}

// start finds where to begin, and makes sure that there is a cursor.
func (d *Delivery) start(at cursor, found bool) error {
	if !found {
		first, err := d.j.resolve(d.ctx, d.deliverer.opts.Start)
		if err != nil {
			return err
		}
		at.seq = first - 1
	}
	holds := d.deliverer.opts.WhenFull == Block
	d.deliverer.tail.next, d.deliverer.last = at.seq+1, at.seq
	d.settled.set(watermark{last: at.seq})
	d.state.saved.Store(at.seq)
	if found && at.holds == holds {
		return nil
	}
	d.savedAt = time.Now()
	return d.save()
}

// Name returns the name of the destination.
func (d *Delivery) Name() string { return d.name }

// Drain returns once everything that the journal had acknowledged when it was
// called is settled: taken by the sink, filtered out, or a dead letter. It fails
// when ctx is done, and with [inlet.ErrClosed] if the delivery ends before.
func (d *Delivery) Drain(ctx context.Context) error {
	want := d.j.progress.now().last
	for {
		at, moved := d.settled.watch()
		if at.last >= want {
			return nil
		}
		select {
		case <-moved:
		case <-d.done:
			if d.settled.now().last < want {
				return fmt.Errorf("journal: destination %s: %w", d.name, inlet.ErrClosed)
			}
		case <-ctx.Done():
			return fmt.Errorf("journal: destination %s: %w", d.name, ctx.Err())
		}
	}
}

// Stop ends the delivery and notes how far it has come; Deliver goes on there. It
// waits for the Write that runs, and cuts that short when ctx is done, which may
// make the sink get its events again. A sink that does not return then goes on
// alone: Stop returns, and the delivery ends with the Write.
func (d *Delivery) Stop(ctx context.Context) error {
	d.halt()
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		d.cancel()
	}
	return errors.Join(fmt.Errorf("journal: destination %s is still stopping", d.name), ctx.Err())
}

// halt makes the delivery end once the sink has returned.
func (d *Delivery) halt() { d.stopOnce.Do(func() { close(d.stop) }) }

const deadLetterDir = "dead"

// A deadLetterJournal keeps what a destination refuses for good, in a journal of its own,
// which is opened for the first letter. Only the delivery's goroutine uses it.
type deadLetterJournal struct {
	dir  string
	opts Options
	journal  *Journal
}

func newDeadLetterJournal(j *Journal, name string) *deadLetterJournal {
	o := &j.opts
	return &deadLetterJournal{
		dir:  filepath.Join(j.dir, deadLetterDir, name),
		opts: Options{LowWater: o.LowWater, Logger: o.Logger, fs: o.fs},
	}
}

// Write stores letters.
func (l *deadLetterJournal) Write(ctx context.Context, letters []*inlet.Event) (err error) {
	if l.journal == nil {
		l.journal, err = Open(l.dir, &l.opts)
	}
	if err != nil {
		return err
	}
	return l.journal.Write(ctx, letters)
}

func (l *deadLetterJournal) close() error {
	if l.journal == nil {
		return nil
	}
	return l.journal.Close(context.Background())
}
