package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// Replay writes events to a sink that were acknowledged before the call: those from
// DeliverOptions.Start on that the filter accepts. It returns once the sink has accepted all
// of them, with their number.
//
// It writes to the sink as [Journal.Deliver] does, but without a cursor, and saves nothing:
// a second Replay starts over. It goes on where retention has removed what it was about to
// read, which is logged and reported by DeliverOptions.OnSkipped: those events are not counted.
// It ends early when ctx is done; with any other error of reading the journal; and, if there
// is no DeadLetter, at the first event that the sink rejects permanently. The sink has
// accepted every event before that one, and may have accepted others of the same batch.
func (j *Journal) Replay(ctx context.Context, sink inlet.Sink, o *DeliverOptions) (events uint64, err error) {
	opts := o.withDefaults()
	if err := opts.check(sink); err != nil {
		return 0, err
	}
	d := deliverer{
		tail: tail{j: j}, sink: sink, opts: opts, log: j.opts.Logger,
		stop: ctx.Done(), report: func(failure) {}, reading: func(time.Time) {},
		paused: func() bool { return false }, strict: opts.DeadLetter == nil,
	}
	d.sink = numbering{sink, &d.read}
	if !d.strict {
		if d.sink, err = sinks.NewDeadLetter(d.sink, opts.DeadLetter, nil); err != nil {
			return 0, err
		}
		d.park = parker(opts.DeadLetter, "", nil)
	}
	m := j.progress.now()
	if d.tail.next, err = j.resolve(ctx, opts.Start); err != nil {
		return 0, fmt.Errorf("journal: replay: %w", err)
	}
	events, err = d.replay(ctx, m)
	if err != nil {
		return events, fmt.Errorf("journal: replay stopped before sequence number %d: %w", d.tail.next, err)
	}
	return events, nil
}

// replay delivers everything within m, and returns how many events the sink has accepted.
func (d *deliverer) replay(ctx context.Context, m watermark) (events uint64, err error) {
	defer d.tail.close()
	defer d.logMissed(0)
	for {
		err := d.readBatch(ctx, m)
		d.reportMissed()
		switch {
		case errors.Is(err, io.EOF):
			return events, nil
		case errors.Is(err, errGone):
			d.tail.skipSegment()
			continue
		case err != nil:
			return events, err
		}
		n := len(d.events)
		err = d.deliver(ctx)
		events += uint64(n - len(d.events))
		switch {
		case err != nil && ctx.Err() != nil:
			return events, fmt.Errorf("%w; last attempt: %w", ctx.Err(), err)
		case err != nil:
			return events, err
		}
	}
}
