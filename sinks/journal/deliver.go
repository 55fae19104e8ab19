package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// The files of deliveries:
//
//	deliver.go          Journal.Deliver and the methods of a Delivery
//	deliver_options.go  DeliverOptions
//	deliver_run.go      the goroutine of a Delivery: reads, delivers, saves, idles
//	skip.go             how an event that blocks the destination becomes a dead letter
//	redrive.go          a deliverer of dead letters
//	batchseq.go         the numbers of a batch, in the context of its Write
//	drain.go            waiting until destinations have what was acknowledged
//	deliverer.go        one batch: read from the journal, written until the sink accepts it
//	pause.go            when a delivery pauses, and how it probes then
//	checkpoint.go       the position of a delivery, and when its cursor is saved
//	deliveries.go       which deliveries run
//	deadletters.go      the journals of dead letters, and their share of the disk
//	replay.go           a deliverer without a cursor
//
// The sink of a deliverer is a [sinks.DeadLetter] around the destination's: it finds the
// events that the destination rejects permanently and stores them elsewhere, so that the
// deliverer sees temporary errors only.

// Deliver feeds a sink with the events of the journal, in a separate goroutine, until
// [Delivery.Stop] or Close. The name identifies the destination, and its cursor,
// permanently: 1 to 64 of a-z, 0-9, _ and -.
//
// Delivery: in the order of the journal, at least once. A batch is retried until the sink
// has accepted all of it, however long that takes, and the next one is written only then.
// The position is saved to the disk after the sink has accepted the events, at least every
// second and every 4 MiB: after a crash the sink receives again what it accepted since, and
// the batch in flight, with the same MessageIDs.
//
// Failures: events that the sink rejects permanently ([inlet.Permanent]) become dead
// letters, with the reason, and delay nothing: if a batch is rejected as a whole its halves
// are tried, down to the events that are at fault. After several batches in which every event
// is rejected in the same words the delivery pauses; see DeliverOptions.PauseAfter. Any other
// failure, a panic included, is
// followed by a wait and a retry; after five in a row with one event only, until the sink
// accepts it, [Delivery.Skip] skips it, or it was tried DeliverOptions.MaxAttempts times. That
// event is logged once a minute, and is in DeliveryStats.Blocking.
//
// Isolation: destinations do not affect each other. A Write to the journal does not wait
// for them, unless the journal has reached its retention limit; see [FullPolicy]. A
// destination with Block also holds the events that it has not received while it has no
// delivery, until [Journal.Forget].
//
// Deliver fails if the name is invalid or has a running delivery, if sink or an option is
// invalid, and if the cursor of a new destination cannot be saved.
func (j *Journal) Deliver(name string, sink inlet.Sink, o *DeliverOptions) (*Delivery, error) {
	opts := o.withDefaults()
	if !validName(name) {
		return nil, fmt.Errorf("journal: destination name %q is invalid, must be 1 to 64 of a-z, 0-9, _ and -", name)
	}
	if err := opts.check(sink); err != nil {
		return nil, err
	}
	d, err := j.newDelivery(name, sink, opts)
	if err != nil {
		return nil, err
	}
	if err := j.deliveries.begin(d); err != nil {
		return nil, err
	}
	if err := d.start(); err != nil {
		d.cancel()
		j.deliveries.end(d)
		close(d.done)
		return nil, fmt.Errorf("journal: destination %q: %w", name, err)
	}
	go d.run()
	return d, nil
}

func (j *Journal) newDelivery(name string, sink inlet.Sink, opts DeliverOptions) (*Delivery, error) {
	d := &Delivery{
		name: name, j: j, log: j.opts.Logger.With("destination", name),
		stop: make(chan struct{}), done: make(chan struct{}), skips: make(chan skipRequest), to: sink,
		hurry:      make(chan struct{}, 1),
		checkpoint: checkpoint{name: name, holds: opts.WhenFull == Block, table: j.checkpoints},
	}
	letters := opts.DeadLetter
	if letters == nil {
		d.deadLetters = &deadLetterJournal{name: name, all: j.dead, log: d.log}
		letters = d.deadLetters
	}
	d.refusals = refusals{inner: numbering{sink, &d.deliverer.read}, log: d.log, after: opts.PauseAfter}
	onLetter := func(ctx context.Context, letter *inlet.Event, err error) {
		d.refusals.count(letter, err)
		d.countDeadLetter(ctx, letter, err)
	}
	dead, err := sinks.NewDeadLetter(&d.refusals, letters, &sinks.DeadLetterOptions{Name: name, OnLetter: onLetter})
	if err != nil {
		return nil, err
	}
	d.letters = letters
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.deliverer = deliverer{
		tail: tail{j: j}, sink: dead, opts: opts, log: d.log, stop: d.stop,
		report: d.recordAttempt, reading: d.state.setOldest, paused: func() bool { return d.refusals.pausedBy() != "" },
		skips: d.skips, park: parker(letters, name, d.countParked),
	}
	if opts.StableBatches {
		d.deliverer.note = d.checkpoint.noteBatch
	}
	return d, nil
}

// Forget removes the cursor of a destination that has no running delivery, so that the
// journal no longer retains events for it. Its dead letters stay.
func (j *Journal) Forget(name string) error {
	return j.deliveries.whileIdle(name, func() error { return j.checkpoints.forget(name) })
}

// A Delivery feeds one destination. All methods may be called concurrently. Make one with
// [Journal.Deliver].
type Delivery struct {
	name        string
	j           *Journal
	log         *slog.Logger
	deliverer   deliverer
	refusals    refusals
	checkpoint  checkpoint
	to          inlet.Sink         // the destination itself
	deadLetters *deadLetterJournal // nil if the caller has given another sink

	ctx      context.Context // of the sink's Writes
	cancel   context.CancelFunc
	stop     chan struct{} // closed to end the delivery once the sink has returned
	stopOnce sync.Once
	done     chan struct{}
	err      error // result; set when done is closed

	drains atomic.Int32  // how many Drains wait
	hurry  chan struct{} // has a value after a Drain has begun

	skips         chan skipRequest
	blockedLogged time.Time  // when logBlocked has written its last line
	redriving     sync.Mutex // held by Redrive, and from the end on
	letters       inlet.Sink // of dead letters

	state        deliveryState
	readFailures int // consecutive ones, of reading the journal
}

// start finds the position to begin at, and makes sure that there is a cursor.
func (d *Delivery) start() error {
	at, found := d.j.checkpoints.cursor(d.name)
	if !found {
		first, err := d.j.resolve(d.ctx, d.deliverer.opts.Start)
		if err != nil {
			return err
		}
		at.seq = first - 1
	}
	d.deliverer.tail.next, d.deliverer.last = at.seq+1, at.seq
	if d.deliverer.opts.StableBatches {
		d.deliverer.until = at.batch
	} else {
		at.batch = 0
	}
	switch start := d.deliverer.opts.Start; { // until the first batch is read
	case at.seq >= d.j.progress.now().last:
	case found, start.kind == startSeq:
		d.state.setOldest(d.j.receivedBy(d.ctx, at.seq+1))
	case start.kind == startTime:
		d.state.setOldest(start.at)
	default: // the first line that is read has it
		d.state.setOldest(time.Now())
	}
	return d.checkpoint.open(at, !found || at.holds != d.checkpoint.holds)
}

// receivedBy returns when the first event was received of the segment that has the sequence
// number: shortly before the event of that number, which is not searched for. If it cannot be
// read it returns now.
func (j *Journal) receivedBy(ctx context.Context, seq uint64) time.Time {
	m := j.progress.now()
	t := tail{j: j, next: seq}
	defer t.close()
	err := t.nextSegment(m)
	if err == nil {
		t.next = t.entry.first
		err = t.advance(ctx, m)
	}
	e := inlet.Event{Source: new(inlet.Source)}
	if err != nil || !t.identify(&e) {
		return time.Now()
	}
	return e.ReceivedAt
}

// Name returns the name of the destination.
func (d *Delivery) Name() string { return d.name }

// Stop ends the delivery and saves its position, where the next Deliver continues. It waits
// for the Write in progress, and cancels that when ctx is done, after which the sink may
// receive the batch again. If the sink does not return then, Stop returns an error, and the
// delivery ends when the Write does.
func (d *Delivery) Stop(ctx context.Context) error {
	d.halt()
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		d.cancel()
	}
	return errors.Join(fmt.Errorf("journal: destination %q is still stopping", d.name), ctx.Err())
}

// halt makes the delivery end once the sink has returned.
func (d *Delivery) halt() { d.stopOnce.Do(func() { close(d.stop) }) }
