package sinktest

import "github.com/inlet-go/inlet"

func keepsNoSlice(p *probe) error  { return p.afterSpoiling((*loan).spoilSlice) }
func keepsNoEvents(p *probe) error { return p.afterSpoiling((*loan).spoilStructs) }
func keepsNoRaw(p *probe) error    { return p.afterSpoiling((*loan).spoilRaw) }

// afterSpoiling requires that what was acknowledged is stored, and unchanged,
// after the suite has overwritten something that it had lent.
func (p *probe) afterSpoiling(spoil func(*loan)) error {
	var stored []*inlet.Event
	for _, n := range batchSizes {
		l := lend(p.head(Events(n)))
		a, err := p.writeLoan(p.ctx, patience, l)
		if err != nil {
			return err
		}
		spoil(l)
		stored = append(stored, a.stored()...)
	}
	return p.requireStored(stored)
}

func modifiesNothing(p *probe) error {
	for _, n := range batchSizes {
		l := lend(p.head(Events(n)))
		if _, err := p.writeLoan(p.ctx, patience, l); err != nil {
			return err
		}
		if err := l.changed(); err != nil {
			return err
		}
	}
	return nil
}

// keepsApart writes many calls, overwriting each, and looks at the first ones
// only in the end: a buffer that is used again shows then. It also appends to
// what it has read, as an owner may, which must not reach a neighbour.
func keepsApart(p *probe) error {
	var stored []*inlet.Event
	for i := range 20 {
		answers, err := p.put(Events(1 + (20-i)%6*3))
		if err != nil {
			return err
		}
		stored = append(stored, storedOf(answers)...)
	}
	if err := p.requireStored(stored); err != nil {
		return err
	}
	read, err := p.read()
	if err != nil {
		return err
	}
	for _, copies := range read {
		for _, e := range copies {
			for _, raw := range rawFields(e) {
				_ = append(*raw, "overwritten by a neighbour"...)
			}
		}
	}
	return p.compare(stored, read)
}
