package inlet

import (
	"cmp"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// PayloadOptions bound what a request may make us read. Nil is all defaults.
type PayloadOptions struct {
	// MaxBytes bounds a body after decompression. The routes of a handler have
	// lower limits of their own. Defaults to 4 MiB.
	MaxBytes int64
	// MaxWireBytes bounds a body as it was sent. Defaults to MaxBytes.
	MaxWireBytes int64
	// MaxRatio bounds how many times larger a body gets by decompression, from
	// 64 KiB on. Defaults to 200.
	MaxRatio int64
	// ReadTimeout is how long a body may take to arrive; it stands in for the
	// server's own ReadTimeout. Defaults to 10 seconds.
	ReadTimeout time.Duration
}

// ratioFrom is the size up to which a body may grow without regard to MaxRatio.
const ratioFrom = 64 << 10

func (o *PayloadOptions) withDefaults() (PayloadOptions, error) {
	var filled PayloadOptions
	if o != nil {
		filled = *o
	}
	filled.MaxBytes = cmp.Or(filled.MaxBytes, 4<<20)
	filled.MaxWireBytes = cmp.Or(filled.MaxWireBytes, filled.MaxBytes)
	filled.MaxRatio = cmp.Or(filled.MaxRatio, 200)
	filled.ReadTimeout = cmp.Or(filled.ReadTimeout, 10*time.Second)
	return filled, errors.Join(
		atLeast("MaxBytes", filled.MaxBytes, 1),
		atMost("MaxBytes", filled.MaxBytes, maxPayload),
		atLeast("MaxWireBytes", filled.MaxWireBytes, 1),
		atLeast("MaxRatio", filled.MaxRatio, 1),
		atLeast("ReadTimeout", filled.ReadTimeout, 1),
	)
}

// maxPayload is what the index of a body can address.
const maxPayload = 1 << 30

// A Payload is the decoded body of a request, read once and shared by every
// layer that needs it.
//
// Ownership: whoever got a payload from [PayloadReader.Read] may use its bytes,
// read-only, until it calls Release, and must call it exactly once. When the
// last one has, the memory is used for another request. A layer that panics
// does not release, and its memory is left to the collector.
//
// Concurrency: Release and the reader that stands in r.Body may be called
// concurrently; Bytes may not be used concurrently with one's own Release.
type Payload struct {
	holders atomic.Int32
	memory  *payloadMemory
	size    int64 // as sent
	// received is the length of the body as it came, decoded, which limits are
	// about even where a layer has put another one in its place.
	received int
	body     payloadBody
}

// payloadMemory is what requests share one after another.
type payloadMemory struct {
	bytes    []byte
	document wire.Document
	body     boundedReader // what bytes are read from
}

// keptMemory is how much memory a payload may leave to the next one; what a
// rare large body needed goes back to the collector.
const keptMemory = 1 << 20

var payloadPool = sync.Pool{New: func() any { return new(payloadMemory) }}

// Bytes returns the decoded body.
func (p *Payload) Bytes() []byte { return p.memory.bytes }

// WireSize returns the length of the body as it was sent.
func (p *Payload) WireSize() int64 { return p.size }

// Release gives up the caller's hold. It does nothing on a nil payload.
func (p *Payload) Release() {
	if p == nil || p.holders.Add(-1) != 0 {
		return
	}
	m := p.memory
	p.memory = nil
	if cap(m.bytes) <= keptMemory {
		m.document.Reset()
		payloadPool.Put(m)
	}
}

// acquire adds a holder, unless the last one has left.
func (p *Payload) acquire() bool {
	for {
		n := p.holders.Load()
		if n == 0 {
			return false
		}
		if p.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// document returns the structure of the body. It is read on the first call, and
// again if the limits are others.
func (p *Payload) document(limits wire.Limits) (*wire.Document, error) {
	d := &p.memory.document
	if d.Limits() == limits {
		return d, nil
	}
	if err := d.Read(p.memory.bytes, batchMember, limits); err != nil {
		return nil, documentError(err)
	}
	return d, nil
}

// batchMember is the root member that lists events, in every dialect that has
// batches at all.
const batchMember = `"batch"`

func documentError(err error) *Error {
	var syntax *wire.SyntaxError
	var fault *wire.FaultError
	switch {
	case errors.As(err, &syntax):
		return &Error{Code: CodeInvalidJSON, Message: syntax.Error(), Offset: syntax.Offset}
	case errors.As(err, &fault):
		p := problemOf(fault.Fault)
		return &Error{Code: p.Code, Message: p.Message, Field: p.Field}
	case errors.Is(err, wire.ErrTooManyItems):
		return &Error{Code: CodeTooManyEvents}
	}
	return &Error{Code: CodeInvalidRequest, Message: "the body must be a JSON object"}
}

// payloadBody stands in r.Body for a payload. It copies out: what it is read
// into is the reader's own, whatever becomes of the payload.
type payloadBody struct {
	payload *Payload
	offset  atomic.Int64
}

// Read copies from the payload, and fails once its last holder has left.
func (b *payloadBody) Read(dst []byte) (int, error) {
	if !b.payload.acquire() {
		return 0, http.ErrBodyReadAfterClose
	}
	defer b.payload.Release()
	n := copy(dst, b.payload.memory.bytes[b.offset.Load():])
	if n == 0 && len(dst) > 0 {
		return 0, io.EOF
	}
	b.offset.Add(int64(n))
	return n, nil
}

// Close does nothing: the body that was read belongs to the server.
func (b *payloadBody) Close() error { return nil }

// A PayloadReader reads bodies within bounds. It may be used concurrently.
type PayloadReader struct{ options PayloadOptions }

// NewPayloadReader returns a reader with the given bounds. The error names the
// field of the options that is out of range.
func NewPayloadReader(o *PayloadOptions) (*PayloadReader, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("inlet: PayloadOptions: %w", err)
	}
	return &PayloadReader{filled}, nil
}

// Read returns the payload of r and the request to pass on: a copy of r whose
// Body reads from the payload. If r.Body is such a reader already, and nobody
// has read from it, its payload is shared and r returned as it is. Whatever
// else stands in r.Body is read: a layer between may have replaced it.
//
// The caller must Release the payload when the next handler has returned. The
// error is an [*Error], to be answered by [WriteError].
func (pr *PayloadReader) Read(w http.ResponseWriter, r *http.Request) (*http.Request, *Payload, error) {
	next, s := withState(r)
	p, err := pr.read(w, r, s, pr.options.MaxBytes, time.Now())
	if err != nil {
		return r, nil, err
	}
	if r.Body == &p.body {
		return r, p, nil
	}
	if next == r {
		next = r.WithContext(r.Context())
	}
	next.Body, next.ContentLength, next.TransferEncoding = &p.body, int64(len(p.Bytes())), nil
	if _, encoded := r.Header[headerContentEncoding]; encoded {
		next.Header = maps.Clone(r.Header)
		delete(next.Header, headerContentEncoding)
	}
	return next, p, nil
}

// read returns the payload of r, held for the caller, and notes it in s.
func (pr *PayloadReader) read(w http.ResponseWriter, r *http.Request, s *state, limit int64, now time.Time) (*Payload, error) {
	if b, ok := r.Body.(*payloadBody); ok && b.offset.Load() == 0 {
		if !b.payload.acquire() {
			return nil, &Error{Code: CodeOverloaded, Err: errors.New("the payload was used after its layer had returned")}
		}
		return b.payload, nil
	}
	m := payloadPool.Get().(*payloadMemory)
	size, err := pr.readBody(w, r, m, min(limit, pr.options.MaxBytes), now)
	if err != nil {
		payloadPool.Put(m)
		return nil, err
	}
	return s.hold(m, size), nil
}

// hold makes the payload of a request, with the caller as its holder.
func (s *state) hold(m *payloadMemory, size int64) *Payload {
	p := &s.first
	if s.payload.Load() != nil {
		p = new(Payload)
	}
	p.memory, p.size, p.received = m, size, len(m.bytes)
	p.body.payload = p
	p.holders.Store(1)
	s.payload.Store(p)
	return p
}

// replace makes the payload that stands for p in the layers behind the caller,
// who holds it. The layers before keep p.
func (s *state) replace(p *Payload, m *payloadMemory) *Payload {
	next := s.hold(m, p.size)
	next.received = p.received
	return next
}

// readBody reads the body of r into m, decompressed, and returns its length as
// it was sent.
func (pr *PayloadReader) readBody(w http.ResponseWriter, r *http.Request, m *payloadMemory, limit int64, now time.Time) (size int64, err error) {
	m.bytes = m.bytes[:0]
	if r.Body == nil || r.Body == http.NoBody {
		return 0, nil
	}
	encoding, err := contentEncoding(r)
	if err != nil {
		return 0, err
	}
	wireLimit := pr.options.MaxWireBytes
	if encoding == "" {
		wireLimit = min(wireLimit, limit)
	}
	if r.ContentLength > wireLimit {
		return 0, tooLarge(wireLimit)
	}
	deadline := http.NewResponseController(w)
	// A server that cannot set a deadline is not ours to mend.
	_ = deadline.SetReadDeadline(now.Add(pr.options.ReadTimeout))
	m.body = boundedReader{src: r.Body, left: wireLimit, limit: wireLimit}
	if encoding == "" {
		m.bytes, err = appendAll(m.bytes, &m.body, r.ContentLength)
	} else {
		m.bytes, err = pr.decompress(m.bytes, &m.body, encoding, r.ContentLength, limit)
	}
	m.body.src = nil
	if err == nil {
		_ = deadline.SetReadDeadline(time.Time{})
	} // else the server, which reads the rest before it answers, would wait for ever
	return wireLimit - m.body.left, bodyError(err)
}

// contentEncoding returns "gzip", "deflate" or "" for none.
func contentEncoding(r *http.Request) (string, error) {
	values := r.Header[headerContentEncoding]
	if len(values) == 0 {
		return "", nil
	}
	switch strings.ToLower(strings.TrimSpace(strings.Join(values, ","))) {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "deflate":
		return "deflate", nil
	}
	return "", &Error{Code: CodeUnsupportedEncoding, Field: headerContentEncoding,
		Message: "the content encoding must be gzip, deflate or none, and only one"}
}

// trusted is how much memory a body gets on its mere announcement. What is more
// it gets once so much of it has arrived.
const trusted = 32 << 10

// appendAll reads src to its end into dst. A size that is known, or guessed,
// saves growing; below zero it is neither.
func appendAll(dst []byte, src io.Reader, size int64) ([]byte, error) {
	size++ // one more, to see the end without growing
	if room := min(size, trusted); int64(cap(dst)) < room {
		dst = make([]byte, 0, room)
	}
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(1, int(size)-len(dst)))
		}
		n, err := src.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

func tooLarge(limit int64) *Error {
	return &Error{Code: CodePayloadTooLarge, Message: fmt.Sprintf("the payload is larger than %d bytes", limit)}
}

// bodyError turns what went wrong while reading into what the client is told.
func bodyError(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Code: CodeBodyTimeout, Err: err}
	}
	var corrupt flate.CorruptInputError
	if foreign, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(foreign.Limit)
	}
	switch {
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrDictionary):
		return &Error{Code: CodeInvalidEncoding, Err: err}
	}
	return &Error{Code: CodeIncompleteBody, Err: err}
}

// boundedReader fails when more than its limit is there to be read.
type boundedReader struct {
	src         io.Reader
	left, limit int64
}

// Read reads at most what is left, and one byte more to see whether that is all.
func (b *boundedReader) Read(dst []byte) (int, error) {
	if int64(len(dst)) > b.left+1 {
		dst = dst[:b.left+1]
	}
	n, err := b.src.Read(dst)
	if int64(n) > b.left {
		return int(b.left), tooLarge(b.limit)
	}
	b.left -= int64(n)
	return n, err
}
