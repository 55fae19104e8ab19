// Package admission decides which requests a handler lets in: [InFlight] bounds how many
// it works on, [Shares] how many of those one client holds while it sends their bodies, and
// [Queue] how many write to the sink. [Bounded] and [Transparent] are what layers say of
// themselves to the layers in front of them.
//
// It knows nothing of requests. A refusal is [ErrFull] or [ErrClosed], for which the root
// package has the codes and the time after which clients come back.
package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// Why a request is not let in.
var (
	ErrFull   = errors.New("admission: too many requests are in flight")
	ErrClosed = errors.New("admission: closed")
)

// An InFlight counts the requests in flight, lets in at most a given number of them, and
// can be waited for. A request whose answer is being written is still waited for, and
// counts no more among those. Its methods may be called concurrently, except
// [InFlight.Init].
type InFlight struct {
	max     int64
	count   atomic.Int64
	answers atomic.Int64 // those of count that are being answered
	closed  atomic.Bool
	drained sync.Once
	empty   chan struct{} // closed when the last request leaves after Close
}

// Init sets how many requests are let in. It comes before all other calls.
func (f *InFlight) Init(limit int) {
	f.max, f.empty = int64(limit), make(chan struct{})
}

// Enter counts a request in, or refuses it with [ErrFull] or [ErrClosed]. Every Enter that
// returns nil is followed by one [InFlight.Leave].
func (f *InFlight) Enter() error {
	n := f.count.Add(1)
	if f.closed.Load() {
		f.Leave()
		return ErrClosed
	}
	if n-f.answers.Load() > f.max {
		f.Leave()
		return ErrFull
	}
	return nil
}

// Answer gives the place of a request to the next one, and returns how many are being
// answered, this one included. It is followed by [InFlight.Answered], before Leave.
func (f *InFlight) Answer() int64 { return f.answers.Add(1) }

// Answered ends Answer.
func (f *InFlight) Answered() { f.answers.Add(-1) }

// Max returns how many requests are let in.
func (f *InFlight) Max() int64 { return f.max }

// Leave counts a request out.
func (f *InFlight) Leave() {
	if f.count.Add(-1) == 0 && f.closed.Load() {
		f.drained.Do(func() { close(f.empty) })
	}
}

// Closed reports whether Close was called.
func (f *InFlight) Closed() bool { return f.closed.Load() }

// Close refuses new requests from now on and waits until those in flight have left. It
// returns the error of ctx if that is done first. It may be called again.
func (f *InFlight) Close(ctx context.Context) error {
	f.closed.Store(true)
	if f.count.Load() == 0 {
		return nil
	}
	select {
	case <-f.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
