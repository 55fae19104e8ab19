package inlet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// decompress returns the decompressed body, and frees the one that was sent. The
// limits act while it grows: a bomb costs as much memory as an honest body.
func (pr *PayloadReader) decompress(sent *room, encoding string, limit int64) (*room, error) {
	defer sent.free()
	d := decompressors.Get().(*decompressor)
	defer decompressors.Put(d)
	d.sent, d.limit, d.ratio = sent.bytes, limit, pr.options.MaxRatio
	r, err := d.run(&pr.budget, encoding)
	d.sent = nil
	d.source.Reset(nil)
	if err != nil {
		return nil, encodingError(err)
	}
	return r, nil
}

// encodingError turns what went wrong into what the client is told.
func encodingError(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Code: CodeIncompleteBody, Err: err}
	}
	return &Error{Code: CodeInvalidEncoding, Err: err}
}

var decompressors = sync.Pool{New: func() any { return new(decompressor) }}

// decompressor decompresses one body after another. It keeps the memory of
// decoders, which is large beside a payload.
type decompressor struct {
	sent         []byte // the body
	limit, ratio int64  // of what becomes of it

	source bytes.Reader // of sent
	plain  boundedReader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
	zstd   *zstd.Decoder
}

func (d *decompressor) run(b *budget, encoding string) (*room, error) {
	if encoding == "zstd" {
		return d.runZstd(b)
	}
	d.source.Reset(d.sent)
	src, err := d.open(encoding)
	if err != nil {
		return nil, err
	}
	d.plain = boundedReader{src: src, left: d.limit, limit: d.limit}
	defer func() { d.plain.src = nil }()
	if encoding != "gzip" {
		return d.fill(b, trusted, d.limit)
	}
	size := d.gzipSize()
	if size <= d.limit {
		return d.fill(b, size, size)
	}
	// It is to be refused, be that size true or not. What for takes no memory.
	if _, err = io.Copy(io.Discard, d); err == nil {
		err = tooLarge(d.limit)
	}
	return nil, err
}

// fill decompresses to a room that is first as large as it says.
func (d *decompressor) fill(b *budget, first, expected int64) (*room, error) {
	r, err := b.room(first)
	if err != nil {
		return nil, err
	}
	if err := r.fill(d, d.limit, expected); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// ratioLead is how much of a body is taken to have been used when its decoder
// begins: short bodies are measured as a whole.
const ratioLead = 256

// Read reads what is decompressed, and compares how much that is so far with
// what it was made of.
func (d *decompressor) Read(dst []byte) (int, error) {
	n, err := d.plain.Read(dst)
	out, in := d.plain.limit-d.plain.left, min(len(d.sent)-d.source.Len()+ratioLead, len(d.sent))
	if out > ratioFrom && out > int64(in)*d.ratio {
		return n, expandsTooMuch()
	}
	return n, err
}

func expandsTooMuch() *Error {
	return &Error{Code: CodePayloadTooLarge, Message: "the payload expands too much"}
}

// open returns the decoder for a body, which is "gzip" or "deflate".
func (d *decompressor) open(encoding string) (io.Reader, error) {
	switch {
	case encoding == "gzip":
		return d.openGzip()
	case isZlib(d.sent):
		return d.openZlib()
	}
	return d.openFlate()
}

// gzipSize is the size that stands at the end of gzip, for what that is worth.
func (d *decompressor) gzipSize() int64 {
	if len(d.sent) < 4 {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(d.sent[len(d.sent)-4:]))
}

func (d *decompressor) openGzip() (io.Reader, error) {
	if d.gzip != nil {
		return d.gzip, d.gzip.Reset(&d.source)
	}
	var err error
	d.gzip, err = gzip.NewReader(&d.source)
	if err != nil {
		d.gzip = nil
	}
	return d.gzip, err
}

// isZlib tells the zlib form of "deflate", which the standard means, from the
// raw form, which some clients send: the header is a multiple of 31.
func isZlib(sent []byte) bool {
	return len(sent) >= 2 && sent[0]&0x0f == 8 && binary.BigEndian.Uint16(sent)%31 == 0
}

func (d *decompressor) openZlib() (io.Reader, error) {
	if d.zlib != nil {
		return d.zlib, d.zlib.(zlib.Resetter).Reset(&d.source, nil)
	}
	var err error
	d.zlib, err = zlib.NewReader(&d.source)
	return d.zlib, err
}

func (d *decompressor) openFlate() (io.Reader, error) {
	if d.flate != nil {
		return d.flate, d.flate.(flate.Resetter).Reset(&d.source, nil)
	}
	d.flate = flate.NewReader(&d.source)
	return d.flate, nil
}
