package kafkasink

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
)

// Names of headers. Together, source and message ID identify an event.
const (
	headerSource    = "inlet-source"
	headerMessageID = "inlet-message-id"
	headerType      = "inlet-type"
	headerEvent     = "inlet-event"
)

// headersEach is how many headers a record has at most.
const headersEach = 4

// A batch is the records of a Write or of a part of one. Its memory is reused once each record has
// an outcome.
type batch struct {
	data    []byte // the bytes of all records
	ends    []int  // where values, keys and headers end in data, in the order of fill
	headers []kgo.RecordHeader
	records []kgo.Record
	sent    []*kgo.Record
	custom  [][]byte // keys of Options.Key
	bytes   int      // of the records, as MaxBuffered counts them
}

// recordOverhead is about how many bytes a record needs in addition to its data.
const recordOverhead = 32

// fill replaces the records by those of events, which go to Options.Topic if topics is nil.
func (b *batch) fill(events []*inlet.Event, topics []string, o *Options) {
	b.data, b.ends, b.custom = b.data[:0], b.ends[:0], b.custom[:0]
	for _, e := range events {
		b.append(e, o.Key)
	}
	// The data does not move any more.
	n := len(events)
	b.records = resize(b.records, n)
	b.headers = resize(b.headers, n*headersEach)
	b.sent = resize(b.sent, n)
	b.bytes = len(b.data) + n*recordOverhead
	r := reader{data: b.data, ends: b.ends}
	for i, e := range events {
		record := &b.records[i]
		*record = kgo.Record{Topic: o.Topic, Timestamp: e.ReceivedAt, Value: r.next()}
		if topics != nil {
			record.Topic = topics[i]
		}
		if o.EventTime {
			record.Timestamp = e.Timestamp
		}
		record.Timestamp = record.Timestamp.Truncate(time.Millisecond)
		if record.Key = r.next(); o.Key != nil {
			record.Key = b.custom[i]
			b.bytes += len(record.Key)
		}
		headers := b.headers[i*headersEach : i*headersEach : (i+1)*headersEach]
		headers = append(headers,
			kgo.RecordHeader{Key: headerSource, Value: r.next()},
			kgo.RecordHeader{Key: headerMessageID, Value: r.next()},
			kgo.RecordHeader{Key: headerType, Value: r.next()})
		if name := r.next(); len(name) > 0 {
			headers = append(headers, kgo.RecordHeader{Key: headerEvent, Value: name})
		}
		record.Headers = headers
		b.sent[i] = record
	}
}

// append appends the bytes of an event.
func (b *batch) append(e *inlet.Event, key func(*inlet.Event) []byte) {
	b.data = e.AppendJSON(b.data)
	b.end()
	if key == nil {
		b.data = append(b.data, keyOf(e)...)
	} else {
		b.custom = append(b.custom, key(e))
	}
	b.end()
	b.data = append(b.data, e.Source.ID...)
	b.end()
	b.data = append(b.data, e.MessageID...)
	b.end()
	b.data = append(b.data, e.Type...)
	b.end()
	b.data = append(b.data, e.Name...)
	b.end()
}

func (b *batch) end() { b.ends = append(b.ends, len(b.data)) }

// clear drops what the records refer to, so that the pool does not keep it.
func (b *batch) clear() {
	clear(b.records)
	clear(b.headers)
	clear(b.custom)
}

// isLarge reports whether the memory is not worth keeping.
func (b *batch) isLarge() bool { return cap(b.data) > 4<<20 || cap(b.records) > 10_000 }

// A reader returns the parts of data one after the other.
type reader struct {
	data []byte
	ends []int
	at   int
}

func (r *reader) next() []byte {
	from, to := r.at, r.ends[0]
	r.at, r.ends = to, r.ends[1:]
	return r.data[from:to:to]
}

// resize returns a slice of n elements, in the memory of s if it suffices.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// keyOf returns the key that the record of an event has without Options.Key: the user ID, else the
// anonymous ID, else the message ID.
func keyOf(e *inlet.Event) string {
	switch {
	case e.UserID != "":
		return e.UserID
	case e.AnonymousID != "":
		return e.AnonymousID
	}
	return e.MessageID
}
