// Package guard calls a function and turns a panic in it into an error, so that one
// failed call neither ends the process nor counts as a success.
package guard

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrExited is the outcome of a call that ended its goroutine by [runtime.Goexit]: it
// neither returned nor panicked.
var ErrExited = errors.New("the call ended its goroutine")

// A Panic is a recovered panic.
type Panic struct {
	Cause any    // what the call panicked with
	Stack []byte // of the goroutine that panicked
}

// Error returns the cause and the stack: where the error is read, the stack is gone.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v\n\n%s", p.Cause, p.Stack) }

// Unwrap returns the cause if it is an error, and nil otherwise.
func (p *Panic) Unwrap() error {
	err, _ := p.Cause.(error)
	return err
}

// Call calls f and sets *err to what it returns, to a [*Panic] if it panics, or to
// [ErrExited] if it ends its goroutine. It takes a pointer because a function that ends
// its goroutine does not return.
func Call(err *error, f func() error) {
	*err = ErrExited
	defer func() {
		if cause := recover(); cause != nil {
			*err = &Panic{Cause: cause, Stack: debug.Stack()}
		}
	}()
	*err = f()
}

// Panicked returns the panic that [Call] has put into an error. It does not look through
// wrapped errors: a panic that a sink has returned as its error is not one of the call.
func Panicked(err error) (*Panic, bool) {
	p, ok := err.(*Panic)
	return p, ok
}
