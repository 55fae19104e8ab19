package body

import (
	"errors"
	"io"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxZstdWindow is the largest window of a zstd body: what the standard (RFC 8878)
	// asks decoders to support. The body itself serves as the window, so a window larger
	// than the body costs no memory.
	maxZstdWindow = 8 << 20
	// maxZstdBlock is the most that a block of zstd decompresses to. A decoder that runs
	// out of a buffer that is this much larger than the limit is beyond the limit.
	maxZstdBlock = 128 << 10
	// usualRatio is a generous guess how many times smaller a body gets by compression.
	usualRatio = 10
)

// runZstd decompresses a zstd body. If the guess of its size was too small, it
// decompresses a second time, into the largest buffer that the limits allow.
func (d *decompressor) runZstd(a *account.Account) (*Buffer, error) {
	if len(d.sent) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	d.sent = zstdBody(d.sent)
	if err := d.openZstd(); err != nil {
		return nil, err
	}
	limit := min(d.limit, max(minRatioBytes, int64(len(d.sent))*d.ratio))
	buf, full, err := d.decodeZstd(a, d.zstdSize(limit), limit)
	if full {
		buf, full, err = d.decodeZstd(a, limit+maxZstdBlock, limit)
	}
	switch {
	case err == nil && int64(len(buf.Bytes)) <= limit:
		return buf, nil
	case err == nil:
		buf.Free()
		return nil, d.zstdTooLarge(limit)
	case full, errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, d.zstdTooLarge(limit)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, ErrZstdWindow
	}
	return nil, err
}

func (d *decompressor) zstdTooLarge(limit int64) error {
	if limit < d.limit {
		return ErrExpandsTooMuch
	}
	return &TooLargeError{d.limit}
}

// decodeZstd decompresses to a buffer for size bytes. With an error, full reports that the
// buffer may have been too small, for which the decoder has several errors.
func (d *decompressor) decodeZstd(a *account.Account, size, limit int64) (buf *Buffer, full bool, err error) {
	if buf, err = newBuffer(a, size); err != nil {
		return nil, false, err
	}
	capacity := min(int64(cap(buf.Bytes)), limit+maxZstdBlock)
	plain, err := d.zstd.DecodeAll(d.sent, buf.Bytes[:0:capacity])
	if err != nil {
		buf.Free()
		return nil, int64(len(plain))+maxZstdBlock > capacity, err
	}
	buf.Bytes = append(buf.Bytes[:0], plain...) // onto itself: the decoder stays within the buffer
	return buf, false, nil
}

// zstdSize returns the size in the header of the first frame, or a guess, and the limit
// at most: what the header claims beyond it, the decoder finds out.
func (d *decompressor) zstdSize(limit int64) int64 {
	var header zstd.Header
	if err := header.Decode(d.sent); err != nil || !header.HasFCS {
		return min(int64(len(d.sent))*usualRatio, limit)
	}
	return int64(min(header.FrameContentSize, uint64(limit)))
}

// openZstd makes a decoder that starts no goroutine.
func (d *decompressor) openZstd() (err error) {
	if d.zstd == nil {
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(MaxBytes), zstd.WithDecodeAllCapLimit(true))
	}
	return err
}
