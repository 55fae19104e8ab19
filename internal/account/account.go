// Package account keeps what each request costs within a budget that all of them share.
//
// A request has one [Account]. Before something is made for the request its bytes are
// reserved, by an estimate that is never below, which is corrected once it is known.
// All parts of the server that work on the request enter its account and leave it, deferred:
// when the last one leaves, on whatever way, everything is given back. What memory then
// still lives, as after a panic, is the garbage collector's.
//
// Cost: an account takes from the budget in steps of 16 KiB. So the bytes that requests
// share are touched twice by an ordinary request, whatever it reserves in between, and most
// reservations are one addition. These bytes are in lanes (package lanes).
//
// The package knows nothing of HTTP and of errors for clients: the root package maps
// [ErrOverBudget] and [ErrNeverFits].
package account

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet/internal/lanes"
)

// Why something cannot be reserved.
var (
	// ErrOverBudget: all requests together use too much now.
	ErrOverBudget = errors.New("account: all requests together use too much memory")
	// ErrNeverFits: the request alone would use more than the whole budget.
	ErrNeverFits = errors.New("account: the request uses more memory than all may together")
)

// A Budget is what the accounts of all requests share. Its methods may be called
// concurrently.
type Budget struct{ bytes lanes.Credits }

// NewBudget returns a budget of so much.
func NewBudget(most int64) *Budget {
	b := new(Budget)
	b.bytes.Init(most)
	return b
}

// Used returns how many bytes are reserved.
func (b *Budget) Used() int64 { return b.bytes.Taken() }

// Max returns how many bytes may be reserved together.
func (b *Budget) Max() int64 { return b.bytes.Total() }

// An Account is what one request uses of a budget. The zero value has used nothing. Its
// methods may be called concurrently.
//
// Most calls only change a sum. Those that take from the budget or give back to it, and
// those of the first and the last user, also take a lock.
type Account struct {
	held  atomic.Int64 // what callers have reserved
	taken atomic.Int64 // of the budget, at least what is held; changes under mu
	users atomic.Int32

	mu     sync.Mutex
	budget *Budget
	lane   lanes.Lane // of the budget
}

// Enter adds a user. The budget and the lane of the first one count for all of them.
func (a *Account) Enter(b *Budget, l lanes.Lane) {
	if a.users.Add(1) > 1 {
		return
	}
	a.mu.Lock() // waits until the last user before has settled
	defer a.mu.Unlock()
	if a.budget == nil {
		a.budget, a.lane = b, l
	}
}

// Leave removes a user. After the last one everything is given back.
func (a *Account) Leave() {
	if a.users.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users.Load() == 0 {
		a.held.Store(0)
		if taken := a.taken.Swap(0); taken > 0 {
			a.budget.bytes.Give(a.lane, taken)
		}
	}
}

// step is how many bytes an account takes from its budget together.
const step = 16 << 10

// Reserve adds n bytes to what is held, or returns [ErrOverBudget] or [ErrNeverFits]. The
// caller is a user.
func (a *Account) Reserve(n int64) error {
	if a.held.Add(n) <= a.taken.Load() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	lacking := a.held.Load() - a.taken.Load()
	if lacking <= 0 {
		return nil
	}
	if err := a.take(lacking); err != nil {
		a.held.Add(-n)
		return err
	}
	return nil
}

// take takes n bytes at least from the budget: whole steps, if they fit.
func (a *Account) take(n int64) error {
	if a.taken.Load()+n > a.budget.Max() {
		return ErrNeverFits
	}
	if whole := (n + step - 1) / step * step; a.budget.bytes.Take(a.lane, whole) {
		n = whole
	} else if !a.budget.bytes.Take(a.lane, n) {
		return ErrOverBudget
	}
	a.taken.Add(n)
	return nil
}

// Fits returns the error of reserving n bytes now, and reserves nothing.
func (a *Account) Fits(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch taken, lacking := a.taken.Load(), a.held.Load()+n-a.taken.Load(); {
	case lacking <= 0:
		return nil
	case taken+lacking > a.budget.Max():
		return ErrNeverFits
	case a.budget.Used()+lacking > a.budget.Max():
		return ErrOverBudget
	}
	return nil
}

// Return gives back n bytes that were reserved. What is taken beyond the rest goes back to
// the budget, unless it is so little that the request may soon need it.
//
// What was reserved before the last user left has been given back: it does not count.
func (a *Account) Return(n int64) {
	held := a.held.Add(-n)
	if held < 0 {
		a.held.CompareAndSwap(held, 0)
	} else if a.taken.Load()-held >= 2*step {
		a.trim(step)
	}
}

// Trim gives back to the budget what is taken beyond what is held. It is for a request that
// needs no more, and may take long to end.
func (a *Account) Trim() { a.trim(1) }

// trim gives whole units back.
//
// They leave the account before they leave the budget, and only as far as no caller has
// reserved them in between: what is held is part of what the budget counts at each moment.
func (a *Account) trim(unit int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	spare := (a.taken.Load() - a.held.Load()) / unit * unit
	if spare <= 0 {
		return
	}
	taken := a.taken.Add(-spare)
	if lacking := a.held.Load() - taken; lacking > 0 {
		kept := min(lacking, spare)
		a.taken.Add(kept)
		spare -= kept
	}
	a.budget.bytes.Give(a.lane, spare)
}

// Held returns how many bytes are held.
func (a *Account) Held() int64 { return a.held.Load() }
