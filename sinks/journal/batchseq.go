package journal

import (
	"context"
	"slices"

	"github.com/inlet-go/inlet"
)

// BatchSeq returns the sequence numbers of the first and the last event of a Write that a
// delivery or a replay makes, from the context of that Write, so that a sink can name what it
// writes: two Writes of a destination with the same numbers have the same events, of those that
// DeliverOptions.Filter accepts. See DeliverOptions.StableBatches.
//
// It reports false in a Write with only some of the events between two numbers, such as the rest
// of a batch of which the destination has accepted a part; in a Redrive, whose events have the
// numbers of another journal; and outside of deliveries. A decorator that splits or joins Writes
// and passes on their context makes the numbers wrong: let none come between.
func BatchSeq(ctx context.Context) (first, last uint64, ok bool) {
	r, _ := ctx.Value(batchSeqKey{}).(batchSeq)
	return r.first, r.last, r.ok
}

type batchSeqKey struct{}

// A batchSeq is the value of a context that [BatchSeq] reads.
type batchSeq struct {
	first, last uint64
	ok          bool
}

// numberedEvents are the events of a batch in order, with their sequence numbers.
type numberedEvents struct {
	events []*inlet.Event
	seqs   []uint64
}

func (n *numberedEvents) clear() { n.events, n.seqs = n.events[:0], n.seqs[:0] }

func (n *numberedEvents) append(e *inlet.Event, seq uint64) {
	n.events, n.seqs = append(n.events, e), append(n.seqs, seq)
}

// last returns the number of the last event, 0 if there is none.
func (n *numberedEvents) last() uint64 {
	if len(n.seqs) == 0 {
		return 0
	}
	return n.seqs[len(n.seqs)-1]
}

// seqOf returns the numbers of events, if these follow each other in the batch.
func (n *numberedEvents) seqOf(events []*inlet.Event) batchSeq {
	if len(events) == 0 {
		return batchSeq{}
	}
	first := slices.Index(n.events, events[0])
	if first < 0 || first+len(events) > len(n.events) || !slices.Equal(events, n.events[first:first+len(events)]) {
		return batchSeq{}
	}
	return batchSeq{n.seqs[first], n.seqs[first+len(events)-1], true}
}

// A numbering is the sink right before a destination: it puts the numbers of the events of a
// Write into its context.
type numbering struct {
	inner inlet.Sink
	batch *numberedEvents
}

// Write writes to the destination.
func (n numbering) Write(ctx context.Context, events []*inlet.Event) error {
	return n.inner.Write(context.WithValue(ctx, batchSeqKey{}, n.batch.seqOf(events)), events)
}

// Unwrap returns the destination.
func (n numbering) Unwrap() inlet.Sink { return n.inner }
