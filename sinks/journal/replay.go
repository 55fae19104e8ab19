package journal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// Replay writes events to a sink that were acknowledged before the call: from
// Options.Start on, those that the filter wants. It returns once the sink has all
// of them, with how many that are; nil options mean the defaults, everything.
//
// The sink is written to as by [Journal.Deliver], but there is no cursor, and
// nothing is noted: a second Replay begins anew. It ends early when ctx is done;
// with an error of reading the journal; and, unless there are dead letters, at
// the first event that the sink refuses for good. What came before that the sink
// has, and some of the batch with it may be stored as well.
func (j *Journal) Replay(ctx context.Context, sink inlet.Sink, o *DeliverOptions) (events uint64, err error) {
	opts := o.withDefaults()
	if err := opts.check(sink); err != nil {
		return 0, err
	}
	p := deliverer{
		tail: tail{j: j}, sink: sink, opts: opts, log: j.opts.Logger,
		stop: ctx.Done(), report: func(failure) {}, strict: opts.DeadLetter == nil,
	}
	if !p.strict {
		if p.sink, err = sinks.NewDeadLetter(sink, opts.DeadLetter, nil); err != nil {
			return 0, err
		}
	}
	m := j.progress.now()
	if p.tail.next, err = j.resolve(ctx, opts.Start); err != nil {
		return 0, fmt.Errorf("journal: replay: %w", err)
	}
	events, err = p.replay(ctx, m)
	if err != nil {
		return events, fmt.Errorf("journal: replay, before number %d: %w", p.tail.next, err)
	}
	return events, nil
}

// replay moves everything within m.
func (p *deliverer) replay(ctx context.Context, m watermark) (events uint64, err error) {
	defer p.tail.close()
	for {
		err := p.readBatch(ctx, m)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		n := len(p.events)
		err = p.deliver(ctx)
		events += uint64(n - len(p.events))
		switch {
		case err != nil && ctx.Err() != nil:
			return events, fmt.Errorf("%w; the last attempt: %w", ctx.Err(), err)
		case err != nil:
			return events, err
		}
	}
}
