package body

import (
	"io"
	"sync"
	"sync/atomic"
)

// budget bounds the memory that all bodies hold together.
type budget struct {
	max  int64
	used atomic.Int64
}

// reserve adds n to what is used, if that fits.
func (b *budget) reserve(n int64) error {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return ErrOverBudget
	}
	return nil
}

// announce returns the first buffer of a body with an announced length of n bytes, -1 if
// unknown, and an expected length. The announced length must fit now, but only the small
// first buffer is reserved.
func (b *budget) announce(n, expected int64) (*Buffer, error) {
	if n > minBuffer && b.used.Load()+n > b.max {
		return nil, ErrOverBudget
	}
	return b.buffer(min(expected, minBuffer))
}

// buffer returns an empty buffer for at least n bytes and one more, which shows the end of
// the body.
func (b *budget) buffer(n int64) (*Buffer, error) {
	if n > minBuffer {
		return b.large(n + 1)
	}
	if err := b.reserve(minBuffer); err != nil {
		return nil, err
	}
	buf := smallBuffers.Get().(*Buffer)
	buf.budget, buf.reserved = b, minBuffer
	if int64(cap(buf.Bytes)) <= n {
		buf.Bytes = make([]byte, 0, n+1)
	}
	return buf, nil
}

// large returns an empty buffer for n bytes, or a larger one from the pool.
func (b *budget) large(n int64) (*Buffer, error) {
	buf := largeBuffers.Get().(*Buffer)
	n = max(n, int64(cap(buf.Bytes)))
	if err := b.reserve(n); err != nil {
		largeBuffers.Put(buf)
		return nil, err
	}
	buf.budget, buf.reserved = b, n
	if n > int64(cap(buf.Bytes)) {
		buf.Bytes = make([]byte, 0, n)
	}
	return buf, nil
}

// A Buffer holds the bytes of a body. Requests reuse its memory one after another. The
// zero value is an empty buffer of no budget.
type Buffer struct {
	// Bytes are the bytes of the body. They belong to the buffer's owner until Free.
	Bytes []byte
	// Coding is the encoding that the body was sent in.
	Coding Coding

	source   arrival // what Bytes are read from
	budget   *budget
	reserved int64 // of the budget
}

const (
	// minBuffer is how much memory a body gets on its announcement alone. More it gets
	// only as bytes arrive.
	minBuffer = 32 << 10
	// growth is how many times what has arrived the next buffer may be.
	growth = 4
	// maxPooled is the largest buffer that is kept for the next body. What a rare large
	// body needed goes back to the garbage collector.
	maxPooled = 1 << 20
)

// Small and large buffers are pooled apart: a client that sends little, and slowly, does
// not hold a buffer that was large for another one.
var (
	smallBuffers = sync.Pool{New: func() any { return new(Buffer) }}
	largeBuffers = sync.Pool{New: func() any { return new(Buffer) }}
)

// readFrom reads src, which has at most limit bytes, to its end. The expected length
// bounds the memory until it proves wrong.
func (buf *Buffer) readFrom(src io.Reader, limit, expected int64) error {
	for {
		if have := int64(len(buf.Bytes)); len(buf.Bytes) == cap(buf.Bytes) {
			want := min(have*growth, limit)
			if have <= expected {
				want = min(want, expected)
			}
			if err := buf.grow(want + 1); err != nil {
				return err
			}
		}
		n, err := src.Read(buf.Bytes[len(buf.Bytes):cap(buf.Bytes)])
		buf.Bytes = buf.Bytes[:len(buf.Bytes)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow moves the bytes to a buffer for n bytes.
func (buf *Buffer) grow(n int64) error {
	other, err := buf.budget.large(n)
	if err != nil {
		return err
	}
	other.Bytes = append(other.Bytes, buf.Bytes...)
	buf.Bytes, other.Bytes = other.Bytes, buf.Bytes
	buf.reserved, other.reserved = other.reserved, buf.reserved
	other.Free()
	return nil
}

// Free gives the memory to the next body, and what was reserved back to the budget.
func (buf *Buffer) Free() {
	if buf.budget != nil {
		buf.budget.used.Add(-buf.reserved)
		buf.budget, buf.reserved = nil, 0
	}
	buf.Bytes = buf.Bytes[:0]
	switch n := cap(buf.Bytes); {
	case n == 0 || n > maxPooled:
	case n <= minBuffer+1:
		smallBuffers.Put(buf)
	default:
		largeBuffers.Put(buf)
	}
}
