package sinktest

import (
	"fmt"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

const (
	writers    = 8
	writesEach = 25
)

// together writes from many goroutines and returns what was acknowledged.
func (p *probe) together(c *crowd) func() []*inlet.Event {
	var mu sync.Mutex
	var stored []*inlet.Event
	for range writers {
		c.run(func() error {
			for i := range writesEach {
				answers, err := p.put(Events(1 + i%4))
				if err != nil {
					return err
				}
				mu.Lock()
				stored = append(stored, storedOf(answers)...)
				mu.Unlock()
			}
			return nil
		})
	}
	return func() []*inlet.Event { return stored }
}

func takesConcurrentWrites(p *probe) error {
	var c crowd
	stored := p.together(&c)
	if err := c.wait(); err != nil {
		return err
	}
	return p.requireStored(stored())
}

func flushesConcurrently(p *probe) error {
	var c crowd
	stored := p.together(&c)
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
	return p.requireStored(stored())
}

func flushStores(p *probe) error {
	answers, err := p.put(Events(12))
	if err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

func checkStoresNothing(p *probe) error {
	before := p.count()
	if err := p.bounded(p.ctx, patience, "Check", p.askCheck); err != nil && !p.f.Fails {
		return fmt.Errorf("a new sink says that it cannot store: %w", err)
	}
	if after := p.count(); after != before {
		return fmt.Errorf("there were %d events stored before and %d after it", before, after)
	}
	return nil
}

// count returns how many events are stored, 0 if that cannot be read.
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
		return fmt.Errorf("%v is not known", declared)
	case declared < p.f.Durability:
		return fmt.Errorf("the sink declares %v, its features %v", declared, p.f.Durability)
	case p.f.Buffers && declared > inlet.DurabilityMemory:
		return fmt.Errorf("a sink that acknowledges before it stores declares %v", declared)
	}
	if _, err := p.put(Events(5)); err != nil {
		return err
	}
	if now := inlet.DurabilityOf(p.sink); now != declared {
		return fmt.Errorf("it was %v and is %v after a write", declared, now)
	}
	p.close()
	if now := inlet.DurabilityOf(p.sink); now != declared {
		return fmt.Errorf("it was %v and is %v after Close", declared, now)
	}
	return nil
}

// pause lets concurrent writes begin before what they are to run beside.
func (p *probe) pause() {
	select {
	case <-time.After(time.Millisecond):
	case <-p.ctx.Done():
	}
}
