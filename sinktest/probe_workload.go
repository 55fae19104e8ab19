package sinktest

import (
	"context"

	"github.com/inlet-go/inlet"
)

// workload makes the calls that sinks treat each in its own way: of all sizes,
// with events that come again and such as are refused or dropped, with a context
// that is done, and several at once. then is called with each loan once its Write
// has returned.
func (p *probe) workload(then func(*loan) error) error {
	write := func(ctx context.Context, events []*inlet.Event) error {
		a, err := p.write(ctx, p.f.Patience, events)
		if err != nil {
			return err
		}
		return then(a.lent)
	}
	again := p.head(Events(5))
	for _, events := range p.calls(again) {
		if err := write(p.ctx, events); err != nil {
			return err
		}
	}
	done, cancel := context.WithCancel(p.ctx)
	cancel()
	if err := write(done, p.head(Events(2))); err != nil {
		return err
	}
	return p.atOnce(again, func(events []*inlet.Event) error { return write(p.ctx, events) })
}

// calls returns the events of the calls that follow each other. Some of them are
// again, which comes several times.
func (p *probe) calls(again []*inlet.Event) (calls [][]*inlet.Event) {
	for _, n := range append(batchSizes[:], 300) {
		calls = append(calls, p.head(Events(n)))
	}
	calls = append(calls, again, again, p.head([]*inlet.Event{again[0], again[0]}))
	for _, change := range []func(*inlet.Event){p.f.Refuse, p.f.Drop} {
		if change == nil {
			continue
		}
		all, mixed := p.head(Events(3)), p.head(Events(5))
		for _, e := range all {
			change(e)
		}
		change(mixed[len(mixed)/2])
		calls = append(calls, all, mixed)
	}
	return calls
}

// atOnce writes the same events from several goroutines, between others.
func (p *probe) atOnce(same []*inlet.Event, write func([]*inlet.Event) error) error {
	var c crowd
	for range 4 {
		c.run(func() error {
			for i := range 5 {
				for _, events := range [][]*inlet.Event{p.head(Events(1 + i%4)), same} {
					if err := write(events); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return c.wait()
}
