package journal

import "sync"

// A watermark says how far the journal is acknowledged: the segments before the one
// that it names as a whole, and that one up to a size. No reader goes further,
// for what follows may be half written, or may be taken back.
type watermark struct {
	segment uint64 // first number of the segment with the last acknowledged line
	size    int64  // of the whole lines in it
	last    uint64 // number of the last acknowledged line, 0 if there is none
}

// readable returns how many bytes readable the segment that begins with first may be read.
func (m watermark) readable(first uint64) int64 {
	const all = 1<<63 - 1
	switch {
	case first < m.segment:
		return all
	case first == m.segment:
		return m.size
	}
	return 0
}

// progress is the mark of the moment, and wakes who waits for it to move.
type progress struct {
	mu    sync.Mutex
	at    watermark
	moved chan struct{} // closed by the next set; nil if nobody waits
}

// set moves the mark on.
func (p *progress) set(m watermark) {
	p.mu.Lock()
	p.at = m
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
	p.mu.Unlock()
}

// now returns the mark.
func (p *progress) now() watermark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// watch returns the mark, and what is closed when there is another.
func (p *progress) watch() (watermark, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.at, p.moved
}
