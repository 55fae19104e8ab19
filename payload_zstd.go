package inlet

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the largest window of a zstd body: what the standard (RFC 8878)
// asks decoders to support. The body itself serves as the window, so that one
// that is larger than the body costs no memory.
const zstdWindow = 8 << 20

// zstdBlock is the most that a block of zstd decompresses to. With as much room
// behind the limit a decoder that runs out of room is beyond the limit.
const zstdBlock = 128 << 10

// runZstd decompresses a zstd body. Where the guess of its size was too small, it
// is done again.
func (d *decompressor) runZstd(b *budget) (*room, error) {
	if len(d.sent) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if err := d.openZstd(); err != nil {
		return nil, err
	}
	most := min(d.limit, max(ratioFrom, int64(len(d.sent))*d.ratio))
	r, full, err := d.decodeZstd(b, d.zstdSize(most), most)
	if full {
		r, full, err = d.decodeZstd(b, most+zstdBlock, most)
	}
	switch {
	case err == nil && int64(len(r.bytes)) <= most:
		return r, nil
	case err == nil:
		r.free()
		return nil, d.zstdTooLarge(most)
	case full, errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, d.zstdTooLarge(most)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, &Error{Code: CodeInvalidEncoding, Message: "the zstd window is larger than 8 MiB"}
	}
	return nil, err
}

func (d *decompressor) zstdTooLarge(most int64) *Error {
	if most < d.limit {
		return expandsTooMuch()
	}
	return tooLarge(d.limit)
}

// decodeZstd decompresses to a room for size bytes. Beside an error, full says
// that the room may have been too small: the decoder has several words for that.
func (d *decompressor) decodeZstd(b *budget, size, most int64) (r *room, full bool, err error) {
	if r, err = b.room(size); err != nil {
		return nil, false, err
	}
	capacity := min(int64(cap(r.bytes)), most+zstdBlock)
	plain, err := d.zstd.DecodeAll(d.sent, r.bytes[:0:capacity])
	if err != nil {
		r.free()
		return nil, int64(len(plain))+zstdBlock > capacity, err
	}
	r.bytes = append(r.bytes[:0], plain...) // onto itself: the decoder stays within the room
	return r, false, nil
}

// zstdSize is the size that the first frame says, or a guess. What it says beyond
// the most is found out by the decoder.
func (d *decompressor) zstdSize(most int64) int64 {
	var header zstd.Header
	if err := header.Decode(d.sent); err != nil || !header.HasFCS {
		return min(int64(len(d.sent))*usualRatio, most)
	}
	return int64(min(header.FrameContentSize, uint64(most)))
}

// usualRatio is how many times a payload shrinks by compression, generously.
const usualRatio = 10

// openZstd makes a decoder that starts no goroutine.
func (d *decompressor) openZstd() (err error) {
	if d.zstd == nil {
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecodeAllCapLimit(true))
	}
	return err
}
