// Package admission decides which requests a handler lets in: [InFlight] bounds how many
// it works on, [Shares] how many of those one client holds while it sends their bodies, and
// [Queue] how many write to the sink. [Bounded] and [Transparent] are what layers say of
// themselves to the layers in front of them.
//
// It knows nothing of requests. A refusal is [ErrFull] or [ErrClosed], for which the root
// package has the codes and the time after which clients come back.
//
// What ordinary requests count is in lanes (package lanes), so that processors do not wait for
// each other while there is room for all.
package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet/internal/lanes"
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
	places  lanes.Credits // of those that are not being answered
	answers lanes.Credits // of those that are, as long as they are few
	late    atomic.Int64  // how many are answered while many others are
	closed  atomic.Bool
	drained sync.Once
	empty   chan struct{} // closed when the last request leaves after Close
}

// A Pass is that of a request on its way through an [InFlight]. The zero value is that of one
// that is not in.
type Pass struct {
	lane  lanes.Lane
	stage stage
}

// A stage is how far a request is.
type stage uint8

const (
	outside stage = iota
	inside
	answered     // while few are
	answeredLate // while many are
)

// Init sets how many requests are let in. It comes before all other calls.
func (f *InFlight) Init(limit int) {
	f.places.Init(int64(limit))
	f.answers.Init(int64(limit) / 8)
	f.empty = make(chan struct{})
}

// Enter counts a request in, or refuses it with [ErrFull] or [ErrClosed].
func (f *InFlight) Enter(p *Pass, l lanes.Lane) error {
	if !f.places.Take(l, 1) {
		if f.closed.Load() {
			return ErrClosed
		}
		return ErrFull
	}
	p.lane, p.stage = l, inside
	if f.closed.Load() {
		f.Leave(p)
		return ErrClosed
	}
	return nil
}

// Answer gives the place of a request to the next one, and reports whether few others are being
// answered: less than an eighth of what is let in. It does nothing for one that is not in.
func (f *InFlight) Answer(p *Pass) (few bool) {
	if p.stage != inside {
		return true
	}
	// It is counted among the ones before it no longer is among the others: see drain.
	if few = f.answers.Take(p.lane, 1); few {
		p.stage = answered
	} else {
		p.stage = answeredLate
		f.late.Add(1)
	}
	f.places.Give(p.lane, 1)
	return few
}

// Leave counts a request out. It does nothing for one that is not in.
func (f *InFlight) Leave(p *Pass) {
	switch p.stage {
	case outside:
		return
	case inside:
		f.places.Give(p.lane, 1)
	case answered:
		f.answers.Give(p.lane, 1)
	case answeredLate:
		f.late.Add(-1)
	}
	p.stage = outside
	if f.closed.Load() {
		f.drain()
	}
}

// drain ends the waiting of Close if no request is in. It looks for them in the order in which they
// move, so that it misses none. One that entered while it looks finds that all is closed.
func (f *InFlight) drain() bool {
	if f.places.Taken() > 0 || f.answers.Taken() > 0 || f.late.Load() > 0 {
		return false
	}
	f.drained.Do(func() { close(f.empty) })
	return true
}

// Closed reports whether Close was called.
func (f *InFlight) Closed() bool { return f.closed.Load() }

// Close refuses new requests from now on and waits until those in flight have left. It
// returns the error of ctx if that is done first. It may be called again.
func (f *InFlight) Close(ctx context.Context) error {
	f.closed.Store(true)
	if f.drain() {
		return nil
	}
	select {
	case <-f.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
