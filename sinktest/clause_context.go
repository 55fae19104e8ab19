package sinktest

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
)

// short is the deadline of a write that is to be held up.
const short = 20 * time.Millisecond

// returnsWithContext writes concurrently with a short deadline, to a store that
// hangs if the sink can be made to.
func returnsWithContext(p *probe) error {
	release := func() {}
	if p.f.Stall != nil {
		release = p.f.Stall(p.sink)
	}
	answers := make([]answer, 8)
	var c crowd
	for i := range answers {
		c.run(func() (err error) {
			answers[i], err = p.write(p.ctx, short, p.head(Events(3)))
			return err
		})
	}
	err := c.wait()
	release()
	if err != nil {
		return err
	}
	return p.honest(answers)
}

func takesDoneContext(p *probe) error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	cancel(inlet.Permanent(context.Canceled)) // the cause must not make it permanent
	a, err := p.write(ctx, patience, p.head(Events(3)))
	if err != nil {
		return err
	}
	if err := p.honest([]answer{a}); err != nil {
		return err
	}
	answers, err := p.put(Events(3))
	if err != nil {
		return fmt.Errorf("in the call after it: %w", err)
	}
	return p.requireStored(storedOf(answers))
}

// honest requires that what the answers say is stored is, and that the failures
// are temporary: a context that ended is no fault of the events. Those that a
// flaky sink refuses cannot be told apart.
func (p *probe) honest(answers []answer) error {
	for _, a := range answers {
		if a.err != nil && inlet.IsPermanent(a.err) && !p.f.Fails {
			return fmt.Errorf("the failure is permanent: %w", a.err)
		}
	}
	return p.requireStored(storedOf(answers))
}
