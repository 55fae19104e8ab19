package body

import (
	"io"
	"sync"

	"github.com/inlet-go/inlet/internal/account"
)

// announce returns the first buffer of a body with an announced length of n bytes, -1 if
// unknown, and an expected length. The announced length must fit now, but only the small
// first buffer is reserved.
func announce(a *account.Account, n, expected int64) (*Buffer, error) {
	if n > minBuffer {
		if err := a.Fits(n); err != nil {
			return nil, err
		}
	}
	return newBuffer(a, min(expected, minBuffer))
}

// newBuffer returns an empty buffer for at least n bytes and one more, which shows the end of
// the body.
func newBuffer(a *account.Account, n int64) (*Buffer, error) {
	if n > minBuffer {
		return largeBuffer(a, n+1)
	}
	if err := a.Reserve(minBuffer); err != nil {
		return nil, err
	}
	buf := smallBuffers.Get().(*Buffer)
	buf.account, buf.reserved = a, minBuffer
	if int64(cap(buf.Bytes)) <= n {
		buf.Bytes = make([]byte, 0, n+1)
	}
	return buf, nil
}

// largeBuffer returns an empty buffer for n bytes, or a larger one from the pool.
func largeBuffer(a *account.Account, n int64) (*Buffer, error) {
	buf := largeBuffers.Get().(*Buffer)
	n = max(n, int64(cap(buf.Bytes)))
	if err := a.Reserve(n); err != nil {
		largeBuffers.Put(buf)
		return nil, err
	}
	buf.account, buf.reserved = a, n
	if n > int64(cap(buf.Bytes)) {
		buf.Bytes = make([]byte, 0, n)
	}
	return buf, nil
}

// A Buffer holds the bytes of a body. Requests reuse its memory one after another. The
// zero value is an empty buffer of no account.
type Buffer struct {
	// Bytes are the bytes of the body. They belong to the buffer's owner until Free.
	Bytes []byte
	// Coding is the encoding that the body was sent in.
	Coding Coding

	source   arrival // what Bytes are read from
	account  *account.Account
	reserved int64 // in the account

	_ [16]byte // no other buffer is in the same lines of a cache
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

// grow moves the bytes to a buffer for n bytes. A large one that they have outgrown goes back to
// the garbage collector: in the pool it would be memory that the request has caused, and that
// nothing is reserved for.
func (buf *Buffer) grow(n int64) error {
	other, err := largeBuffer(buf.account, n)
	if err != nil {
		return err
	}
	other.Bytes = append(other.Bytes, buf.Bytes...)
	buf.Bytes, other.Bytes = other.Bytes, buf.Bytes
	buf.reserved, other.reserved = other.reserved, buf.reserved
	if cap(other.Bytes) > minBuffer+1 {
		other.Bytes = nil
	}
	other.Free()
	return nil
}

// correct gives back what was reserved beyond the memory that the buffer has.
func (buf *Buffer) correct() {
	if n := int64(cap(buf.Bytes)); n < buf.reserved {
		buf.account.Return(buf.reserved - n)
		buf.reserved = n
	}
}

// Free gives the memory to the next body, and what was reserved back to the account.
func (buf *Buffer) Free() {
	a := buf.account
	if n := buf.Release(); a != nil {
		a.Return(n)
	}
}

// Release is Free, but what was reserved, which it returns, is for the caller to give back.
func (buf *Buffer) Release() (reserved int64) {
	reserved = buf.reserved
	buf.account, buf.reserved = nil, 0
	buf.Bytes = buf.Bytes[:0]
	switch n := cap(buf.Bytes); {
	case n == 0 || n > maxPooled:
	case n <= minBuffer+1:
		smallBuffers.Put(buf)
	default:
		largeBuffers.Put(buf)
	}
	return reserved
}
