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

// afterSpoiling overwrites lent memory after each Write has returned, and requires that
// nothing of that is stored.
func (p *probe) afterSpoiling(spoil func(*loan)) error {
	var lent lending
	if err := p.workload(func(l *loan) error {
		spoil(l)
		lent.add(l)
		return nil
	}); err != nil {
		return err
	}
	if _, err := p.read(); err != nil { // flushes
		return err
	}
	return lent.untouched(p.reader(p.sink))
}

// A lending records the events that were lent.
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

// untouched requires that none of the lent events is stored with overwritten content.
func (l *lending) untouched(stored []*inlet.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range stored {
		if id := strings.TrimSuffix(e.MessageID, mark); l.ids[id] && reached(e) {
			return fmt.Errorf("event %s is stored with bytes that were written into the lent memory after Write had returned: %.200s", id, e.AppendJSON(nil))
		}
	}
	return nil
}

func modifiesNothing(p *probe) error { return p.workload((*loan).changed) }

// givesUpTheBatch overwrites what it has lent to Writes that return while the store hangs.
// Their events may be stored later or not, but none with overwritten content.
func givesUpTheBatch(p *probe) error {
	release := p.hang(p.head(p.events(3)))
	answers, err := p.giveUp(p.head(p.events(3)))
	if err != nil {
		_, hungErr := release()
		return errors.Join(err, hungErr)
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
	if err := p.eventually(p.events(3)); err != nil {
		return fmt.Errorf("in the next call: %w", err)
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return lent.untouched(p.reader(p.sink))
}

// keepsApart makes many calls and reads their events only at the end, which detects a buffer
// that is reused. It also appends to the raw JSON that it has read, as an owner may, which
// must not change a neighbour.
func keepsApart(p *probe) error {
	var stored []*inlet.Event
	for i := range 20 {
		answers, err := p.put(p.events(1 + (20-i)%6*3))
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
