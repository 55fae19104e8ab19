package sinktest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/inlet-go/inlet"
)

func keepsNoSlice(p *probe) error  { return p.afterSpoiling((*loan).spoilSlice) }
func keepsNoEvents(p *probe) error { return p.afterSpoiling((*loan).spoilStructs) }
func keepsNoRaw(p *probe) error    { return p.afterSpoiling((*loan).spoilRaw) }

// afterSpoiling requires that what is stored is not what the suite has written over
// something that it had lent, after Write had returned.
func (p *probe) afterSpoiling(spoil func(*loan)) error {
	var lent lending
	if err := p.workload(func(l *loan) error {
		spoil(l)
		lent.add(l)
		return nil
	}); err != nil {
		return err
	}
	if _, err := p.read(); err != nil { // flushes what is buffered
		return err
	}
	return lent.untouched(p.reader(p.sink))
}

// A lending knows the events that were lent.
type lending struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (l *lending) add(lent *loan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil {
		l.ids = make(map[string]bool)
	}
	for _, e := range lent.want {
		l.ids[e.MessageID] = true
	}
}

// untouched requires that none of the events that were lent is stored as what was
// written over it.
func (l *lending) untouched(stored []*inlet.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range stored {
		if id := strings.TrimSuffix(e.MessageID, mark); l.ids[id] && reached(e) {
			return fmt.Errorf("event %s is stored as what the suite wrote into that memory later: %.200s", id, e.AppendJSON(nil))
		}
	}
	return nil
}

func modifiesNothing(p *probe) error { return p.workload((*loan).changed) }

// givesUpTheBatch overwrites what it has lent to Writes that return although the
// store hangs. What becomes of their events later is open, but none of them may
// be stored as what stands there now.
func givesUpTheBatch(p *probe) error {
	release := p.hang(p.head(Events(3)))
	answers, err := p.giveUp(p.head(Events(3)))
	if err != nil {
		_, heldErr := release()
		return errors.Join(err, heldErr)
	}
	var lent lending
	for _, a := range answers {
		a.lent.spoil()
		lent.add(a.lent)
	}
	if _, err := release(); err != nil {
		return err
	}
	p.linger()
	if err := p.eventually(Events(3)); err != nil {
		return fmt.Errorf("in a call after it: %w", err)
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return lent.untouched(p.reader(p.sink))
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
