package sinktest

import (
	"fmt"

	"github.com/inlet-go/inlet"
)

const (
	writers    = 8
	writesEach = 25
)

// together begins to write from many goroutines, and notes what was answered.
func (p *probe) together(said *ledger) *crowd {
	c := new(crowd)
	for range writers {
		c.run(func() error {
			for i := range writesEach {
				answers, err := p.put(Events(1 + i%4))
				if err != nil {
					return err
				}
				said.add(answers...)
			}
			return nil
		})
	}
	return c
}

func takesConcurrentWrites(p *probe) error {
	var said ledger
	if err := p.together(&said).wait(); err != nil {
		return err
	}
	return p.requireStored(said.stored())
}

func flushesConcurrently(p *probe) error {
	var said ledger
	c := p.together(&said)
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
	return p.requireStored(said.stored())
}

// flushStores flushes alone, and then from several goroutines that write, each of
// which looks for its own events.
func flushStores(p *probe) error {
	if err := p.flushed(Events(12)); err != nil {
		return err
	}
	var c crowd
	for range 4 {
		c.run(func() error {
			for range 5 {
				if err := p.flushed(Events(2)); err != nil {
					return fmt.Errorf("with other calls at once: %w", err)
				}
			}
			return nil
		})
	}
	return c.wait()
}

// flushed writes and flushes, and requires that the events are stored then.
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
