package inletotel

import (
	"hash/maphash"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
)

// A spanID names a span.
type spanID struct {
	trace trace.TraceID
	span  trace.SpanID
}

func idOf(c trace.SpanContext) spanID { return spanID{c.TraceID(), c.SpanID()} }

// link returns a link to a sampled span.
func (id spanID) link() trace.Link {
	return trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id.trace, SpanID: id.span, TraceFlags: trace.FlagsSampled, Remote: true,
	})}
}

// A linkTable remembers from which span events came, up to a number of events. The oldest is
// forgotten first. An event is known by a hash with a secret seed of the ID of its source and its
// message id.
type linkTable struct {
	seed maphash.Seed
	most int

	mu     sync.Mutex
	places map[uint64]int // in ring, by hash
	ring   []linkEntry
	next   int // in ring, once that is full
}

type linkEntry struct {
	hash uint64
	from spanID
}

func newLinkTable(most int) *linkTable {
	return &linkTable{seed: maphash.MakeSeed(), most: max(most, 0), places: map[uint64]int{}}
}

func (t *linkTable) hash(e *inlet.Event) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	if e.Source != nil {
		_, _ = h.WriteString(e.Source.ID)
	}
	_ = h.WriteByte(0)
	_, _ = h.WriteString(e.MessageID)
	return h.Sum64()
}

// add remembers that events came from a span.
func (t *linkTable) add(events []*inlet.Event, from spanID) {
	if t.most == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		t.put(linkEntry{t.hash(e), from})
	}
}

// put adds an entry. It is called with mu held.
func (t *linkTable) put(entry linkEntry) {
	if i, known := t.places[entry.hash]; known {
		t.ring[i] = entry
		return
	}
	if len(t.ring) < t.most {
		t.places[entry.hash] = len(t.ring)
		t.ring = append(t.ring, entry)
		return
	}
	delete(t.places, t.ring[t.next].hash)
	t.ring[t.next], t.places[entry.hash] = entry, t.next
	t.next = (t.next + 1) % t.most
}

// find sets from[i] to the span that events[i] came from, where it is known.
func (t *linkTable) find(events []*inlet.Event, from []spanID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) == 0 {
		return
	}
	for i, e := range events {
		if at, known := t.places[t.hash(e)]; known {
			from[i] = t.ring[at].from
		}
	}
}

// maxLinks is how many spans a delivery is linked to. SDKs keep as many by default.
const maxLinks = 128

// linksOf returns the links of a batch, each once, and how many of its events have none.
func (t *Telemetry) linksOf(events []*inlet.Event) (links []trace.Link, unlinked int) {
	from := make([]spanID, len(events))
	t.links.find(events, from)
	seen := make(map[spanID]bool)
	for i, id := range from {
		if id == (spanID{}) && t.opts.StoredLinks {
			id = storedSpan(events[i])
		}
		switch {
		case seen[id]:
		case id == (spanID{}), len(links) == maxLinks:
			unlinked++
		default:
			seen[id] = true
			links = append(links, id.link())
		}
	}
	return links, unlinked
}
