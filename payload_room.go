package inlet

import (
	"io"
	"sync"
	"sync/atomic"
)

// budget bounds the memory that bodies hold at a time.
type budget struct {
	most int64
	used atomic.Int64
}

// take adds n to what is used, if there is room for it.
func (b *budget) take(n int64) error {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return &Error{Code: CodeOverloaded}
	}
	return nil
}

// announced returns the room to begin a body with of which n bytes are
// announced, -1 if none are, and so many expected. All of what is announced must
// fit in at this moment, but only the little that a body is trusted with is taken.
func (b *budget) announced(n, expected int64) (*room, error) {
	if n > trusted && b.used.Load()+n > b.most {
		return nil, &Error{Code: CodeOverloaded}
	}
	return b.room(min(expected, trusted))
}

// room returns a room for at least n bytes and one more, with which the end of
// them is seen.
func (b *budget) room(n int64) (*room, error) {
	if n > trusted {
		return b.large(n + 1)
	}
	if err := b.take(trusted); err != nil {
		return nil, err
	}
	r := smallRooms.Get().(*room)
	r.budget, r.taken = b, trusted
	if int64(cap(r.bytes)) <= n {
		r.bytes = make([]byte, 0, n+1)
	}
	return r, nil
}

// large returns a room for n bytes, or a larger one if there is one.
func (b *budget) large(n int64) (*room, error) {
	r := largeRooms.Get().(*room)
	n = max(n, int64(cap(r.bytes)))
	if err := b.take(n); err != nil {
		largeRooms.Put(r)
		return nil, err
	}
	r.budget, r.taken = b, n
	if n > int64(cap(r.bytes)) {
		r.bytes = make([]byte, 0, n)
	}
	return r, nil
}

// room is the memory for the bytes of a body, which requests use one after
// another.
type room struct {
	bytes  []byte
	source boundedReader // what they are read from
	budget *budget
	taken  int64 // of the budget
}

const (
	// trusted is how much memory a body gets on its mere announcement. What is
	// more it gets as it arrives.
	trusted = 32 << 10
	// growth is how many times what has arrived the next memory may be.
	growth = 4
)

// Small rooms and large ones are kept apart: a client that sends little, and
// slowly, does not hold one that was large for another.
var (
	smallRooms = sync.Pool{New: func() any { return new(room) }}
	largeRooms = sync.Pool{New: func() any { return new(room) }}
)

// fill reads src, which has at most limit bytes, to its end. What is expected
// bounds the memory until it turns out to be wrong.
func (r *room) fill(src io.Reader, limit, expected int64) error {
	for {
		if have := int64(len(r.bytes)); len(r.bytes) == cap(r.bytes) {
			want := min(have*growth, limit)
			if have <= expected {
				want = min(want, expected)
			}
			if err := r.grow(want + 1); err != nil {
				return err
			}
		}
		n, err := src.Read(r.bytes[len(r.bytes):cap(r.bytes)])
		r.bytes = r.bytes[:len(r.bytes)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow moves what there is to a room for n bytes.
func (r *room) grow(n int64) error {
	other, err := r.budget.large(n)
	if err != nil {
		return err
	}
	other.bytes = append(other.bytes, r.bytes...)
	r.bytes, other.bytes = other.bytes, r.bytes
	r.taken, other.taken = other.taken, r.taken
	other.free()
	return nil
}

// free gives the room to the next body, and back what it took of the budget.
func (r *room) free() {
	if r.budget != nil {
		r.budget.used.Add(-r.taken)
		r.budget, r.taken = nil, 0
	}
	r.bytes = r.bytes[:0]
	switch n := cap(r.bytes); {
	case n == 0 || n > keptMemory:
	case n <= trusted+1:
		smallRooms.Put(r)
	default:
		largeRooms.Put(r)
	}
}
