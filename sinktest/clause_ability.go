package sinktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
)

func checkStoresNothing(p *probe) error {
	before := p.count()
	if err := p.ask(checking); err != nil && !p.f.Fails {
		return fmt.Errorf("Check of a new sink fails: %w", err)
	}
	if after := p.count(); after != before {
		return fmt.Errorf("%d events were stored before the call and %d after it", before, after)
	}
	return nil
}

// count returns the number of stored events, 0 if they cannot be read.
func (p *probe) count() int {
	if p.reader == nil {
		return 0
	}
	return len(p.reader(p.sink))
}

func durabilityConstant(p *probe) error {
	declared := inlet.DurabilityOf(p.sink)
	switch {
	case declared < inlet.DurabilityUnknown || declared > inlet.DurabilityReplicated:
		return fmt.Errorf("%v is not one of the constants", declared)
	case declared < p.f.Durability:
		return fmt.Errorf("the sink declares %v, but Features.Durability is %v", declared, p.f.Durability)
	case p.f.Buffers && declared > inlet.DurabilityMemory:
		return fmt.Errorf("a sink with Features.Buffers declares %v, which is more than memory", declared)
	}
	if _, err := p.put(p.events(5)); err != nil {
		return err
	}
	if now := inlet.DurabilityOf(p.sink); now != declared {
		return fmt.Errorf("it was %v and is %v after a Write", declared, now)
	}
	p.close()
	if now := inlet.DurabilityOf(p.sink); now != declared {
		return fmt.Errorf("it was %v and is %v after Close", declared, now)
	}
	return nil
}

func flushesConcurrently(p *probe) error {
	var answers ledger
	c := p.writeConcurrently(&answers)
	for range 2 {
		c.run(func() error {
			for range writesEach {
				if err := p.flush(); err != nil && !p.f.Fails {
					return fmt.Errorf("flush: %w", err)
				}
			}
			return nil
		})
	}
	if err := c.wait(); err != nil {
		return err
	}
	return p.requireStored(answers.stored())
}

// flushStores flushes alone, and then from several goroutines, each of which writes and
// reads its own events.
func flushStores(p *probe) error {
	if err := p.flushed(p.events(12)); err != nil {
		return err
	}
	var c crowd
	for range 4 {
		c.run(func() error {
			for range 5 {
				if err := p.flushed(p.events(2)); err != nil {
					return fmt.Errorf("with concurrent calls: %w", err)
				}
			}
			return nil
		})
	}
	return c.wait()
}

// flushed writes events, flushes, and requires that they are stored.
func (p *probe) flushed(events []*inlet.Event) error {
	answers, err := p.put(events)
	if err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

// abilitiesReturn calls each ability while the store hangs and a Write hangs in it. Their
// errors do not matter, but a Close that succeeds must have stored what was acknowledged.
func abilitiesReturn(p *probe) error {
	answers, err := p.put(p.events(2))
	if err != nil {
		return err
	}
	release := p.hang(p.head(p.events(2)))
	closed, err := p.askAll(short)
	_, heldErr := release()
	err = errors.Join(err, heldErr)
	if err != nil || !closed || p.reader == nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

// askAll calls each ability with a timeout and reports whether Close succeeded.
func (p *probe) askAll(d time.Duration) (closed bool, err error) {
	for _, a := range p.abilities() {
		said, err := p.askFor(a, d)
		if err != nil {
			return false, err
		}
		closed = a.name == closing.name && said == nil
	}
	return closed, nil
}

func abilitiesAcceptBackground(p *probe) error {
	if _, err := p.put(p.events(3)); err != nil {
		return err
	}
	for _, a := range p.abilities() {
		if err := p.unbounded(a.name, func(ctx context.Context) error { return a.ask(ctx, p.sink) }); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}
