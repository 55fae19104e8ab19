// Package body reads the bodies of requests: once, within bounds, decompressed.
//
// A body reserves its buffer in the account of its request before the bytes arrive, in
// steps: 32 KiB on the mere announcement of a body, and more only as bytes arrive, so that
// a large Content-Length alone cannot exhaust the budget. Files: read.go reads what the
// client sends, buffer.go has the buffers, encoding.go finds out which encoding a body has,
// decompress.go and zstd.go decompress, errors.go has the sentinels.
//
// The package knows no code of the root package. It returns the sentinels of errors.go,
// which the root maps to codes in one place.
package body

import (
	"context"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/lanes"
)

// MaxBytes is the largest body that the index of its JSON can address.
const MaxBytes = 1 << 30

// Options bound bodies. There are no defaults here: every field is required.
type Options struct {
	// MaxBytes bounds a body after decompression, MaxWireBytes as it is sent.
	MaxBytes, MaxWireBytes int64
	// MaxRatio bounds how many times larger a body gets by decompression, from 64 KiB on.
	MaxRatio int64
	// ReadTimeout is how long a body may take to arrive.
	ReadTimeout time.Duration
}

// graceTime is how long a body may take before its rate counts.
const graceTime = 2 * time.Second

// A Reader reads bodies within its options. It may be used concurrently.
type Reader struct {
	options Options
	watches [lanes.Count]watch
}

// NewReader returns a reader.
func NewReader(o Options) *Reader {
	return &Reader{options: o}
}

// A Worker decides when a body that has arrived, of a length and perhaps compressed, may be
// decoded. An error of it is that of reading the body.
type Worker interface {
	Work(ctx context.Context, length int64, compressed bool) error
}

// Terms are those of one body.
type Terms struct {
	// Account is where its memory is reserved. It must have a user.
	Account *account.Account
	// Limit bounds the decompressed body, in bytes, if it is smaller than MaxBytes.
	Limit int64
	// Arrived is when its request did. Begin is when its deadline begins to count.
	Arrived, Begin time.Time
	// Lane is that of its request.
	Lane lanes.Lane
	// MinRate is the slowest that it may arrive on average, in bytes per second, at every moment
	// after its first two seconds.
	MinRate int64
	// JSON says that it is known to be JSON: it is decompressed by what it is, whatever its
	// header says, and returned without a byte order mark.
	JSON bool
	// Worker decides when it is decoded; nil for at once.
	Worker Worker
}

// Read reads the body of r, decompresses it, and returns it with its length as it was sent. The
// caller frees the buffer.
//
// A compressed body is decompressed after it has arrived: a slow client holds the bytes
// that it has sent, and no decoder.
func (rd *Reader) Read(w http.ResponseWriter, r *http.Request, t Terms) (*Buffer, int64, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return new(Buffer), 0, nil
	}
	named, err := contentEncoding(r)
	if err != nil {
		return nil, 0, err
	}
	limit := min(t.Limit, rd.options.MaxBytes)
	wireLimit := limit
	if named != "" {
		wireLimit += limit/64 + 1024 // what an encoding adds to bytes that it cannot shorten
	}
	buf, err := rd.readWire(w, r, min(wireLimit, rd.options.MaxWireBytes), t)
	if err != nil {
		return nil, 0, err
	}
	size := int64(len(buf.Bytes))
	found := named
	if t.JSON && (named != "" || !isObject(buf.Bytes)) {
		found = encodingOf(buf.Bytes, named)
	}
	if t.Worker != nil {
		if err := t.Worker.Work(r.Context(), size, found != ""); err != nil {
			buf.Free()
			return nil, 0, err
		}
	}
	if buf, err = rd.decode(buf, found, limit, t.JSON); err != nil {
		return nil, 0, err
	}
	buf.Coding = Coding{named, found}
	buf.correct()
	return buf, size, nil
}

// decode returns the text of a body that has arrived, and frees the body if it is not the
// text itself.
func (rd *Reader) decode(buf *Buffer, encoding string, limit int64, json bool) (_ *Buffer, err error) {
	switch {
	case encoding != "":
		if buf, err = rd.decompress(buf, encoding, limit); err != nil {
			return nil, err
		}
	case int64(len(buf.Bytes)) > limit: // it was let in as a compressed one
		buf.Free()
		return nil, &TooLargeError{limit}
	}
	if !json || isObject(buf.Bytes) {
		return buf, nil
	}
	if err = checkText(buf.Bytes); err != nil {
		buf.Free()
		return nil, err
	}
	buf.unmark()
	return buf, nil
}

// readWire reads the body of r as it is sent, before its deadline.
func (rd *Reader) readWire(w http.ResponseWriter, r *http.Request, limit int64, t Terms) (*Buffer, error) {
	if r.ContentLength > limit {
		return nil, &TooLargeError{limit}
	}
	expected := r.ContentLength
	if expected < 0 {
		expected = limit
	}
	buf, err := announce(t.Account, r.ContentLength, expected)
	if err != nil {
		return nil, err
	}
	buf.source = arrival{
		boundedReader: boundedReader{src: r.Body, left: limit, limit: limit},
		w:             deadlineOf(w), start: t.Begin, end: t.Begin.Add(rd.options.ReadTimeout), minRate: t.MinRate, announced: r.ContentLength,
	}
	err = buf.source.readInto(buf, r, expected, t.Arrived, &rd.watches[t.Lane%lanes.Count])
	buf.source = arrival{}
	if err != nil {
		buf.Free()
		return nil, readError(err)
	}
	return buf, nil
}

// A deadliner sets the deadline of a request's body.
type deadliner interface{ SetReadDeadline(time.Time) error }

// deadlineOf returns the writer inside w that has the deadline, nil if the server supports
// none. It is what [http.ResponseController] does, once for many calls.
func deadlineOf(w http.ResponseWriter) deadliner {
	d, _ := unwrapped(w).(deadliner)
	return d
}

// unwrapped returns the first writer inside w that has deadlines, or else the last one.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	for {
		switch t := w.(type) {
		case deadliner:
			return w
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return w
		}
	}
}

// LastWriter returns the writer inside w, or w itself, behind which none with deadlines can be
// found. It returns nil if there is one with deadlines.
func LastWriter(w http.ResponseWriter) http.ResponseWriter {
	last := unwrapped(w)
	if _, ok := last.(deadliner); ok {
		return nil
	}
	return last
}

// An arrival reads what a client sends, and fails when too little of it has arrived in
// time.
type arrival struct {
	boundedReader
	start, end time.Time
	minRate    int64
	announced  int64 // the length of the body, -1 if unknown

	// The watch that it is on, whose lock guards the fields below.
	watch      *watch
	w          deadliner // nil if the server supports no deadlines
	due        time.Time // when more must have arrived
	armed      bool      // the deadline is set
	seen       bool      // by the watch
	prev, next *arrival
}

// readInto reads the body of r into a buffer, before its deadline. A server without deadlines
// cannot end it; what comes too late is refused.
func (a *arrival) readInto(buf *Buffer, r *http.Request, expected int64, arrived time.Time, w *watch) (err error) {
	w.add(a, a.end.Sub(a.start) < 4*lookTime || endsSoon(r, a.start.Sub(arrived)))
	defer func() {
		w.remove(a)
		if a.w == nil {
			if err == nil && !time.Now().Before(a.due) {
				err = os.ErrDeadlineExceeded
			}
			return
		}
		switch {
		case err != nil && !a.armed: // the server, which reads the rest before it answers, keeps the deadline
			_ = a.w.SetReadDeadline(a.due)
		case err == nil && a.armed:
			_ = a.w.SetReadDeadline(time.Time{})
		}
	}()
	return buf.readFrom(a, a.limit, expected)
}

// endsSoon reports whether the server may have set a deadline of its own that passes soon, if the
// request arrived some time ago: that of the body has to replace it. It counts from the first byte
// of the header.
func endsSoon(r *http.Request, ago time.Duration) bool {
	s, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || s.ReadTimeout <= 0 {
		return false
	}
	return s.ReadHeaderTimeout <= 0 || s.ReadTimeout-s.ReadHeaderTimeout-ago < 4*lookTime
}

// Read reads, and moves the deadline by what has arrived, unless all has.
func (a *arrival) Read(dst []byte) (int, error) {
	n, err := a.boundedReader.Read(dst)
	if err == nil && a.limit-a.left != a.announced && a.move() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// dueNow returns when the average falls below the minimum, unless more arrives.
func (a *arrival) dueNow() time.Time {
	arrived := a.limit - a.left
	due := a.start.Add(graceTime + time.Duration(float64(arrived)/float64(a.minRate)*float64(time.Second)))
	if due.After(a.end) {
		due = a.end
	}
	return due
}

// boundedReader fails when src has more bytes than the limit.
type boundedReader struct {
	src         io.Reader
	left, limit int64
}

// Read reads at most what is left, and one byte more to find out whether that is all.
func (b *boundedReader) Read(dst []byte) (int, error) {
	if int64(len(dst)) > b.left+1 {
		dst = dst[:b.left+1]
	}
	n, err := b.src.Read(dst)
	if int64(n) > b.left {
		return int(b.left), &TooLargeError{b.limit}
	}
	b.left -= int64(n)
	return n, err
}
