package sinktest

import (
	"fmt"

	"github.com/inlet-go/inlet"
)

func checkStoresNothing(p *probe) error {
	before := p.count()
	if err := p.ask(checking); err != nil && !p.f.Fails {
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
