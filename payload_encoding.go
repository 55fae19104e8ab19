package inlet

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"
)

// decompress appends the decompressed body to dst. The limits act while it is
// read: a bomb costs as much memory as an honest body.
func (pr *PayloadReader) decompress(dst []byte, body *boundedReader, encoding string, sent, limit int64) ([]byte, error) {
	d := decompressors.Get().(*decompressor)
	defer decompressors.Put(d)
	src, err := d.open(encoding, body)
	if err != nil {
		return dst, err
	}
	defer d.close()
	plain := &boundedReader{src: src, left: limit, limit: limit}
	return appendAll(dst, &ratioReader{plain, body, pr.options.MaxRatio}, guessed(sent, limit))
}

// usualRatio is how many times a payload shrinks by compression, generously.
const usualRatio = 10

// guessed is how large a body gets that was sent in some bytes, -1 if that is
// not known. It only saves growing: the limits hold whatever it says.
func guessed(sent, limit int64) int64 {
	if sent < 0 {
		return -1
	}
	return min(sent*usualRatio, limit)
}

// ratioReader fails when a body has grown too many times.
type ratioReader struct {
	plain, wire *boundedReader
	max         int64
}

// Read reads and compares what came out so far with what went in.
func (r *ratioReader) Read(dst []byte) (int, error) {
	n, err := r.plain.Read(dst)
	out, in := r.plain.limit-r.plain.left, r.wire.limit-r.wire.left
	if out > ratioFrom && out > in*r.max {
		return n, &Error{Code: CodePayloadTooLarge, Message: "the payload expands too much"}
	}
	return n, err
}

var decompressors = sync.Pool{New: func() any { return &decompressor{buffer: bufio.NewReader(nil)} }}

// decompressor keeps the memory of decoders, which is large beside a payload.
type decompressor struct {
	buffer *bufio.Reader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
}

// open returns the decoder for a body, which is "gzip" or "deflate".
func (d *decompressor) open(encoding string, body io.Reader) (io.Reader, error) {
	d.buffer.Reset(body)
	if encoding == "gzip" {
		return d.openGzip()
	}
	if header, err := d.buffer.Peek(2); err == nil && isZlib(header) {
		return d.openZlib()
	}
	return d.openFlate()
}

// close lets go of the body.
func (d *decompressor) close() { d.buffer.Reset(nil) }

func (d *decompressor) openGzip() (io.Reader, error) {
	if d.gzip != nil {
		return d.gzip, d.gzip.Reset(d.buffer)
	}
	var err error
	d.gzip, err = gzip.NewReader(d.buffer)
	if err != nil {
		d.gzip = nil
	}
	return d.gzip, err
}

// isZlib tells the zlib form of "deflate", which the standard means, from the
// raw form, which some clients send: the header is a multiple of 31.
func isZlib(header []byte) bool {
	return header[0]&0x0f == 8 && (uint(header[0])<<8|uint(header[1]))%31 == 0
}

func (d *decompressor) openZlib() (io.Reader, error) {
	if d.zlib != nil {
		return d.zlib, d.zlib.(zlib.Resetter).Reset(d.buffer, nil)
	}
	var err error
	d.zlib, err = zlib.NewReader(d.buffer)
	return d.zlib, err
}

func (d *decompressor) openFlate() (io.Reader, error) {
	if d.flate != nil {
		return d.flate, d.flate.(flate.Resetter).Reset(d.buffer, nil)
	}
	d.flate = flate.NewReader(d.buffer)
	return d.flate, nil
}
