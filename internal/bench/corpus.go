package bench

import (
	"bytes"
	"time"
)

// instant is the time of the events of a zero [Corpus].
var instant = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// WriteKey is the key in every payload of the corpus that carries one.
const WriteKey = "bench-write-key"

// How many distinct payloads a pool holds: enough that they do not all stay in the
// processor's cache, as one body sent repeatedly would. All pools of batches hold about
// the same number of events, so that batches of two sizes can be compared.
const (
	singles     = 256
	batchEvents = 6_000
	minBatches  = 4
)

// A Corpus is a set of payloads to measure with. The same fields give the same
// bytes every time; within a pool no two payloads are equal, and no two events
// share a messageId.
//
// Every event is valid in the dialect that its method names. URLs contain &, < and >, as
// browsers send them: they take JSON strings off the fast path of some parsers.
type Corpus struct {
	// At is the time around which the events happened and were sent. Defaults
	// to noon of 21 November 2026, UTC.
	At time.Time
}

// Tracks returns track calls of a browser: context, query strings, 714 bytes.
func (c Corpus) Tracks() [][]byte { return c.pool(singles, trackForm) }

// Pages returns page calls of a browser with a campaign, user agent data, a
// screen and the client's own bookkeeping, 1350 bytes.
func (c Corpus) Pages() [][]byte { return c.pool(singles, pageForm) }

// Identifies returns identify calls of 30 traits, among them a nested address
// and company, with escapes and text beyond ASCII, 1456 bytes.
func (c Corpus) Identifies() [][]byte { return c.pool(singles, identifyForm) }

// SegStream returns hits of the SegmentStream dialect, 523 bytes.
func (c Corpus) SegStream() [][]byte { return c.pool(singles, segStreamForm) }

// CAV1 returns events of Commanders Act 1.0, 1064 bytes.
func (c Corpus) CAV1() [][]byte { return c.pool(singles, caV1Form) }

// CAV2 returns the events of [Corpus.CAV1], one by one, in their 2.0 form.
func (c Corpus) CAV2() [][]byte { return c.pool(singles, caV2Form) }

// Batches returns batch calls of n events each, n at least 1, as server
// libraries send them: 60 % track, 30 % page, 10 % identify.
func (c Corpus) Batches(n int) [][]byte { return c.batches(n, mixedForm) }

// CAV1Batches returns batches of n events of Commanders Act 1.0.
func (c Corpus) CAV1Batches(n int) [][]byte {
	return c.batches(n, func(int) string { return caV1Form })
}

// CAV2Batches returns the batches of [Corpus.CAV1Batches] in their 2.0 form.
func (c Corpus) CAV2Batches(n int) [][]byte {
	return c.batches(n, func(int) string { return caV2Form })
}

// Batch returns one batch call of n events, mixed as those of [Corpus.Batches].
func (c Corpus) Batch(n int) []byte { return c.batch(0, n, mixedForm) }

// mixedForm returns the form of the i-th event of a pool of mixed batches.
func mixedForm(i int) string {
	switch i % 10 {
	case 1, 4, 7:
		return pageForm
	case 9:
		return identifyForm
	}
	return trackForm
}

func (c Corpus) pool(n int, form string) [][]byte {
	pool := make([][]byte, n)
	for i := range pool {
		pool[i] = c.payload(i).expand(form)
	}
	return pool
}

func (c Corpus) batches(n int, form func(i int) string) [][]byte {
	pool := make([][]byte, max(batchEvents/n, minBatches))
	for i := range pool {
		pool[i] = c.batch(i, n, form)
	}
	return pool
}

// batch returns the k-th batch of n events.
func (c Corpus) batch(k, n int, form func(i int) string) []byte {
	events := make([][]byte, n)
	for i := range events {
		events[i] = c.payload(k*n + i).expand(form(k*n + i))
	}
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	b.Write(bytes.Join(events, []byte{','}))
	b.Write(c.payload(k).expand(`],"writeKey":"${key}","sentAt":"${sent}"}`))
	return b.Bytes()
}

func (c Corpus) payload(i int) payload {
	at := c.At
	if at.IsZero() {
		at = instant
	}
	return payload{at: at.UTC(), index: uint64(i)}
}
