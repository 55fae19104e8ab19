package sinks

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/inlet-go/inlet"
)

// together calls f with 0 to n-1, all at once, and returns what each of them
// returned when all have: what a Write was lent may be looked at until then. The
// last runs on the caller's goroutine. A panic becomes a [*panicError].
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	defer wg.Wait() // also where the last one ends this goroutine
	for i := range n - 1 {
		wg.Go(func() { attempt(&errs[i], f, i) })
	}
	attempt(&errs[n-1], f, n-1)
	return errs
}

// errGone is of a call that ended its goroutine: it did not say that it succeeded.
var errGone = errors.New("the call ended its goroutine")

// attempt sets *err to what f returns, or to why it did not return.
func attempt(err *error, f func(i int) error, i int) {
	*err = errGone
	defer func() {
		if cause := recover(); cause != nil {
			*err = &panicError{cause, debug.Stack()}
		}
	}()
	*err = f(i)
}

// A panicError is a panic on its way to another goroutine.
type panicError struct {
	cause any
	stack []byte // where it happened
}

// Error tells the cause and the stack, which is gone from where it is read.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n\n%s", e.cause, e.stack) }

// Unwrap returns the cause if it is an error, so that it can be recognised.
func (e *panicError) Unwrap() error {
	err, _ := e.cause.(error)
	return err
}

// isPanic reports whether a call that [together] made has panicked.
func isPanic(err error) bool {
	_, ok := err.(*panicError)
	return ok
}

// named puts the name of a sink into what its Write of n events said: into the
// error or, if that is a batch error, into each of its items.
func named(name string, err error, n int) error {
	if _, partial := errors.AsType[*inlet.BatchError](err); !partial {
		return prefixed(name, err)
	}
	errs := inlet.ItemErrors(err, n)
	for i, err := range errs {
		errs[i] = prefixed(name, err)
	}
	return batchError(errs)
}

func prefixed(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sinks: %s: %w", name, err)
}

// checkNames says which of the names cannot be told from others, if any.
func checkNames(what string, names []string) error {
	for i, name := range names {
		switch {
		case name == "":
			return fmt.Errorf("sinks: %s %d has no Name", what, i)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("sinks: %s %d: there is another one with the Name %q", what, i, name)
		}
	}
	return nil
}
