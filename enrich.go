package inlet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// An Enricher changes an event that has passed its checks, before it is written.
//
// Ownership: it may set any field, but must not write into the bytes of a raw one: they are
// slices of the request, which other events may share. A raw field that it sets must be valid
// JSON, and must not be changed afterwards.
//
// Context: that of the write. It has the values of the request, such as
// [SourceFromContext] and [VisitorFromContext].
//
// Concurrency: it is called concurrently, for different events.
type Enricher func(ctx context.Context, e *Event)

// When the client's clock is trusted.
const (
	// minSkew is what latency and rounding amount to.
	minSkew = 5 * time.Second
	// maxSkew is beyond what a wrong clock explains: more likely the client kept the request
	// in a queue while it was offline.
	maxSkew = 24 * time.Hour
	// maxFuture is how far ahead of our clock a time may be.
	maxFuture = 5 * time.Second
)

// stamp sets the event's times. Timestamp is what the client sent; it is corrected by the
// skew between the two clocks, as Segment's specification describes, if the client said when
// it sent the request. What that moves before the year 1 is no time, since no text can express
// it, and what it moves beyond 9999 is in the future.
func (e *Event) stamp(receivedAt time.Time) {
	e.ReceivedAt = receivedAt
	if e.Timestamp.IsZero() {
		e.Timestamp = receivedAt
		return
	}
	e.OriginalTimestamp = e.Timestamp
	if !e.SentAt.IsZero() {
		e.correct(receivedAt.Sub(e.SentAt))
	}
	if e.Timestamp.IsZero() || e.Timestamp.UTC().Year() < 1 {
		e.Timestamp = receivedAt
		e.Warnings |= WarnTimestampInvalid
	}
	if e.Timestamp.Sub(receivedAt) > maxFuture {
		e.Timestamp = receivedAt
		e.Warnings |= WarnTimestampClamped
	}
}

// stampForwarded sets what only the receiver of a forwarded event knows. Its times were
// corrected where it came from; only one that no clock there can have is not kept.
func (e *Event) stampForwarded(receivedAt time.Time, dialect string) {
	e.ReceivedAt = receivedAt
	e.Dialect = cmp.Or(e.Dialect, dialect)
	switch {
	case e.Timestamp.IsZero():
		e.Timestamp = receivedAt
	case e.Timestamp.Sub(receivedAt) > maxSkew:
		e.Timestamp = receivedAt
		e.Warnings |= WarnTimestampClamped
	}
}

func (e *Event) correct(skew time.Duration) {
	switch size := skew.Abs(); {
	case size > maxSkew:
		e.Warnings |= WarnSkewImplausible
	case size >= minSkew:
		e.Timestamp = e.Timestamp.Add(skew)
	}
}

// identify gives the event an id if the client sent none.
func (e *Event) identify(text *strings.Builder) {
	if e.MessageID == "" {
		e.MessageID = newID(text)
		e.Warnings |= WarnMessageIDGenerated
	}
}

// idLength is the length of an id that we generate.
const idLength = 36

// newID writes a random UUID to text and returns it.
func newID(text *strings.Builder) string {
	var id [16]byte
	rand.Read(id[:]) // never fails, as its documentation says
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	var out [idLength]byte
	hex.Encode(out[:8], id[:4])
	hex.Encode(out[9:13], id[4:6])
	hex.Encode(out[14:18], id[6:8])
	hex.Encode(out[19:23], id[8:10])
	hex.Encode(out[24:], id[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	start := text.Len()
	text.Write(out[:])
	return text.String()[start:]
}
