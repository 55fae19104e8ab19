package inlet

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/check"
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
	// MaxBytesInFlight bounds the memory that all bodies hold at a time, as sent
	// and as decompressed. A body that would not fit in by its announced length
	// is refused with 503 before it is read, and one that grows too large on the
	// way, then. A body holds 32 KiB by its mere announcement and what is more
	// only as it arrives, so that announcing alone starves nobody. At least 4 MiB
	// and four times each of MaxBytes and MaxWireBytes. Defaults to 256 MiB, or
	// that least if it is more.
	MaxBytesInFlight int64
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
	least := max(4<<20, 4*filled.MaxBytes, 4*filled.MaxWireBytes)
	filled.MaxBytesInFlight = cmp.Or(filled.MaxBytesInFlight, max(256<<20, least))
	return filled, errors.Join(
		check.AtLeast("MaxBytes", filled.MaxBytes, 1),
		check.AtMost("MaxBytes", filled.MaxBytes, maxPayload),
		check.AtLeast("MaxWireBytes", filled.MaxWireBytes, 1),
		check.AtMost("MaxWireBytes", filled.MaxWireBytes, maxPayload),
		check.AtLeast("MaxRatio", filled.MaxRatio, 1),
		check.AtLeast("ReadTimeout", filled.ReadTimeout, 1),
		check.AtLeast("MaxBytesInFlight", filled.MaxBytesInFlight, least),
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
	room     *room  // that bytes are in, if they were read from a request
	own      []byte // what bytes were before
}

// keptMemory is how much memory a payload may leave to the next one; what a
// rare large body needed goes back to the collector.
const keptMemory = 1 << 20

var payloadPool = sync.Pool{New: func() any { return new(payloadMemory) }}

// memoryOf returns memory with the bytes of a room, which it holds from then on.
// Only a body that has arrived gets as much.
func memoryOf(r *room) *payloadMemory {
	m := payloadPool.Get().(*payloadMemory)
	m.own, m.bytes, m.room = m.bytes, r.bytes, r
	return m
}

// free gives the memory to the next payload.
func (m *payloadMemory) free() {
	if m.room != nil {
		m.room.free()
		m.bytes, m.own, m.room = m.own, nil, nil
	}
	if cap(m.bytes) <= keptMemory {
		m.document.Reset()
		payloadPool.Put(m)
	}
}

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
	m.free()
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
		return nil, documentError(err, limits)
	}
	return d, nil
}

// batchMember is the root member that lists events, in every dialect that has
// batches at all.
const batchMember = `"batch"`

func documentError(err error, limits wire.Limits) *Error {
	var syntax *wire.SyntaxError
	var fault *wire.FaultError
	switch {
	case errors.As(err, &syntax):
		return &Error{Code: CodeInvalidJSON, Message: syntax.Error(), Offset: syntax.Offset}
	case errors.As(err, &fault):
		p := problemOf(fault.Fault)
		return &Error{Code: p.Code, Message: p.Message, Field: p.Field}
	case errors.Is(err, wire.ErrTooManyItems):
		return &Error{Code: CodeTooManyEvents, Field: "batch", Message: fmt.Sprintf("the batch has more than %d events", limits.Items)}
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
type PayloadReader struct {
	options PayloadOptions
	budget  budget
}

// NewPayloadReader returns a reader with the given bounds. The error names the
// field of the options that is out of range.
func NewPayloadReader(o *PayloadOptions) (*PayloadReader, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("inlet: PayloadOptions: %w", err)
	}
	return &PayloadReader{options: filled, budget: budget{most: filled.MaxBytesInFlight}}, nil
}

// longestQuery bounds the query of a pixel. Browsers and proxies give up long
// before it.
const longestQuery = 64 << 10

// contentEncoding returns "gzip", "deflate", "zstd" or "" for none.
func contentEncoding(r *http.Request) (string, error) {
	values := r.Header[headerContentEncoding]
	if len(values) == 0 {
		return "", nil
	}
	switch name := strings.ToLower(strings.TrimSpace(strings.Join(values, ","))); name {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "deflate", "zstd":
		return name, nil
	}
	return "", &Error{Code: CodeUnsupportedEncoding, Field: headerContentEncoding,
		Message: "the content encoding must be gzip, deflate, zstd or none, and only one"}
}

func tooLarge(limit int64) *Error {
	return &Error{Code: CodePayloadTooLarge, Message: fmt.Sprintf("the payload is larger than %d bytes", limit)}
}

// bodyError turns what went wrong while reading into what the client is told.
func bodyError(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Code: CodeBodyTimeout, Err: err}
	}
	if foreign, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(foreign.Limit)
	}
	return &Error{Code: CodeIncompleteBody, Err: err}
}
