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

// runZstd decompresses a zstd body. Where that does not say how large it is and
// the guess was too small, it is done again.
func (d *decompressor) runZstd(b *budget) (*room, error) {
	if len(d.sent) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if err := d.openZstd(); err != nil {
		return nil, err
	}
	most := min(d.limit, max(ratioFrom, int64(len(d.sent))*d.ratio))
	size := d.zstdSize(most)
	r, err := d.decodeZstd(b, size, most)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) && size < most {
		r, err = d.decodeZstd(b, most, most)
	}
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) && most < d.limit:
		return nil, expandsTooMuch()
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, tooLarge(d.limit)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, &Error{Code: CodeInvalidEncoding, Message: "the zstd window is larger than 8 MiB"}
	}
	return r, err
}

// decodeZstd fails with [zstd.ErrDecoderSizeExceeded] where the room for size
// bytes does not do.
func (d *decompressor) decodeZstd(b *budget, size, most int64) (*room, error) {
	r, err := b.room(size)
	if err != nil {
		return nil, err
	}
	plain, err := d.zstd.DecodeAll(d.sent, r.bytes[:0:min(int64(cap(r.bytes)), most)])
	if err != nil {
		r.free()
		return nil, err
	}
	r.bytes = append(r.bytes[:0], plain...) // onto itself: the decoder stays within the room
	return r, nil
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
