package sinks

// What Fanout and Route share: concurrent calls of several sinks, and the names by which
// errors tell them apart.

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// concurrently calls f with 0 to n-1 and returns all errors when all calls have returned:
// until then, they may read what a Write was lent. The last call runs on the caller's
// goroutine. A panic becomes a [*guard.Panic].
func concurrently(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	defer wg.Wait() // also if the last call ends this goroutine
	for i := range n - 1 {
		wg.Go(func() { guard.Call(&errs[i], func() error { return f(i) }) })
	}
	guard.Call(&errs[n-1], func() error { return f(n - 1) })
	return errs
}

// named puts the name of a sink into the error of its Write of n events or, if that is a
// batch error, into each of its items.
func named(name string, err error, n int) error {
	if _, partial := errors.AsType[*inlet.BatchError](err); !partial {
		return prefixed(name, err)
	}
	errs := inlet.ItemErrors(err, n)
	for i, err := range errs {
		errs[i] = prefixed(name, err)
	}
	return itemerrors.Join(errs)
}

func prefixed(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sinks: %s: %w", name, err)
}

// checkNames returns a fault for each name of the elements of a parameter that is empty or
// not the first of its kind.
func checkNames(parameter string, names []string) error {
	var faults []error
	for i, name := range names {
		field := fmt.Sprintf("%s[%d].Name", parameter, i)
		switch first := slices.Index(names, name); {
		case name == "":
			faults = append(faults, check.Fault(field, "is empty"))
		case first < i:
			faults = append(faults, check.Fault(field, "is %q, as is %s[%d].Name", name, parameter, first))
		}
	}
	return errors.Join(faults...)
}
