package body

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/inlet-go/inlet/internal/account"
)

// minRatioBytes is the size up to which a body may grow regardless of MaxRatio.
const minRatioBytes = 64 << 10

// decompress returns the decompressed body, and frees the one that was sent. The limits
// act while it grows: a decompression bomb costs as much memory as an ordinary body.
func (rd *Reader) decompress(sent *Buffer, encoding string, limit int64) (*Buffer, error) {
	defer sent.Free()
	d := decompressors.Get().(*decompressor)
	defer decompressors.Put(d)
	d.sent, d.limit, d.ratio = sent.Bytes, limit, rd.options.MaxRatio
	buf, err := d.run(sent.account, encoding)
	d.sent = nil
	d.source.Reset(nil)
	if err != nil {
		return nil, decodeError(err)
	}
	return buf, nil
}

var decompressors = sync.Pool{New: func() any { return new(decompressor) }}

// decompressor decompresses one body after another. It keeps the memory of the decoders,
// which is large compared to a body.
type decompressor struct {
	sent         []byte // the body as it was sent
	limit, ratio int64  // of the decompressed body

	source bytes.Reader // of sent
	plain  boundedReader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
	zstd   *zstd.Decoder
}

func (d *decompressor) run(a *account.Account, encoding string) (*Buffer, error) {
	if encoding == "zstd" {
		return d.runZstd(a)
	}
	d.source.Reset(d.sent)
	src, err := d.open(encoding)
	if err != nil {
		return nil, err
	}
	d.plain = boundedReader{src: src, left: d.limit, limit: d.limit}
	defer func() { d.plain.src = nil }()
	if encoding != "gzip" {
		return d.readAll(a, minBuffer, d.limit)
	}
	size := d.gzipSize()
	if size <= d.limit {
		return d.readAll(a, min(size, max(minBuffer, int64(len(d.sent))*usualRatio)), size)
	}
	// The trailer says that the body is too large. It is refused either way; decoding it
	// to io.Discard only decides the error.
	if _, err = io.Copy(io.Discard, d); err == nil {
		err = &TooLargeError{d.limit}
	}
	return nil, err
}

// readAll decompresses to a buffer that begins with the given size. It grows to what is
// expected before it grows beyond.
func (d *decompressor) readAll(a *account.Account, size, expected int64) (*Buffer, error) {
	buf, err := newBuffer(a, size)
	if err != nil {
		return nil, err
	}
	if err := buf.readFrom(d, d.limit, expected); err != nil {
		buf.Free()
		return nil, err
	}
	return buf, nil
}

// ratioLead is how many bytes count as consumed as soon as a decoder begins, so that
// short bodies are measured as a whole.
const ratioLead = 256

// Read reads decompressed bytes and compares how many there are so far with the bytes
// that they were made from.
func (d *decompressor) Read(dst []byte) (int, error) {
	n, err := d.plain.Read(dst)
	out, in := d.plain.limit-d.plain.left, min(len(d.sent)-d.source.Len()+ratioLead, len(d.sent))
	if out > minRatioBytes && out > int64(in)*d.ratio {
		return n, ErrExpandsTooMuch
	}
	return n, err
}

// open returns the decoder for a body, which is "gzip" or "deflate".
func (d *decompressor) open(encoding string) (io.Reader, error) {
	switch {
	case encoding == "gzip":
		return gzipBody{d}, d.nextMember()
	case isZlib(d.sent):
		return d.openZlib()
	}
	return d.openFlate()
}

// gzipSize returns the size in the trailer of gzip. It is a claim: it says where growing
// stops at first, and memory is only made for as much as bodies of this length usually get.
func (d *decompressor) gzipSize() int64 {
	if len(d.sent) < 4 {
		return 0
	}
	if last := d.sent[len(d.sent)-1]; last != 0 && isPadding([]byte{last}, 0) {
		return 0 // of a line; as part of the size it would mean more than 100 MiB
	}
	return int64(binary.LittleEndian.Uint32(d.sent[len(d.sent)-4:]))
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
