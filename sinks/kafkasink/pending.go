package kafkasink

import (
	"context"
	"fmt"
	"sync"

	"github.com/inlet-go/inlet"
)

// An attempt is the sending of a batch. It may outlast the Write that began it.
type attempt struct {
	*batch
	done chan struct{} // closed when each record has an outcome
	errs []error       // by record, or nil if all are stored; set before done is closed
}

// pending has the attempts that are not done.
type pending struct {
	limit int // of bytes

	mu       sync.Mutex
	attempts map[*attempt]struct{}
	records  int
	bytes    int
}

// add adds an attempt, unless there would be too many bytes.
func (p *pending) add(a *attempt) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes > 0 && p.bytes+a.bytes > p.limit {
		return fmt.Errorf("kafkasink: %d bytes have no outcome yet: %w", p.bytes, inlet.ErrOverloaded)
	}
	if p.attempts == nil {
		p.attempts = map[*attempt]struct{}{}
	}
	p.attempts[a] = struct{}{}
	p.records += len(a.records)
	p.bytes += a.bytes
	return nil
}

// remove removes an attempt.
func (p *pending) remove(a *attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.attempts, a)
	p.records -= len(a.records)
	p.bytes -= a.bytes
}

// wait waits for the attempts that there are now, until ctx is done. It returns how many records
// are left.
func (p *pending) wait(ctx context.Context) (left int) {
	p.mu.Lock()
	waiting := make([]*attempt, 0, len(p.attempts))
	for a := range p.attempts {
		waiting = append(waiting, a)
	}
	p.mu.Unlock()
	for _, a := range waiting {
		select {
		case <-a.done:
		case <-ctx.Done():
			return max(p.events(), 1)
		}
	}
	return 0
}

func (p *pending) events() int {
	records, _ := p.size()
	return records
}

func (p *pending) size() (records, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records, p.bytes
}
