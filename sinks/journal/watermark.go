package journal

import "sync"

// A watermark says how far the journal is acknowledged: all segments before the one that it
// names, and that one up to a size. Readers go no further, because what follows may be half
// written, or may be cut off again.
type watermark struct {
	segment uint64 // first number of the segment with the last acknowledged line
	size    int64  // of its acknowledged lines
	last    uint64 // number of the last acknowledged line, 0 if there is none
}

// readable returns how many bytes may be read of the segment that begins with first.
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

// newest returns the first number of the newest segment that has acknowledged lines, at most:
// after Open the watermark names a segment that does not exist yet.
func (m watermark) newest() uint64 { return min(m.segment, m.last) }

// progress is the present watermark. It wakes those that wait for it to move.
type progress struct {
	mu    sync.Mutex
	at    watermark
	moved chan struct{} // closed by the next set; nil if nothing waits
}

// set moves the watermark.
func (p *progress) set(m watermark) {
	p.mu.Lock()
	p.at = m
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
	p.mu.Unlock()
}

// now returns the watermark.
func (p *progress) now() watermark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// watch returns the watermark, and a channel that is closed when it moves.
func (p *progress) watch() (at watermark, moved <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.at, p.moved
}
