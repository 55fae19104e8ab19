package journal

import (
	"context"

	"github.com/inlet-go/inlet"
)

// maxPooled is the largest buffer that is kept for reuse.
const maxPooled = 1 << 20

// A ticket is one Write (or, without lines, one Flush) on its way through the
// committer. Its caller owns it until it is in the queue, and again once it has
// received from done. A caller that stops waiting leaves it to the committer,
// and in the end to the garbage collector.
type ticket struct {
	buf   []byte
	lines []lineMark
	done  chan error // has room for the one outcome
}

func newTicket() *ticket { return &ticket{done: make(chan error, 1)} }

// fill encodes the events.
func (t *ticket) fill(events []*inlet.Event) {
	t.buf, t.lines = t.buf[:0], t.lines[:0]
	for _, e := range events {
		var mark lineMark
		t.buf, mark = appendLine(t.buf, e)
		t.lines = append(t.lines, mark)
	}
}

// complete gives the lines their sequence numbers, the first of which is seq.
func (t *ticket) complete(seq uint64) {
	for i, mark := range t.lines {
		completeLine(t.buf[:mark.end], mark.crc, seq+uint64(i))
	}
}

// wait returns the outcome, and whether it came before ctx was done.
func (t *ticket) wait(ctx context.Context) (err error, ok bool) {
	select {
	case err = <-t.done:
		return err, true
	case <-ctx.Done():
	}
	select { // both may have been ready
	case err = <-t.done:
		return err, true
	default:
		return unknownOutcome(ctx), false
	}
}
