// Package itemerrors builds and finds the errors that name single events of a batch.
package itemerrors

import (
	"errors"

	"github.com/inlet-go/inlet"
)

// Join returns the [*inlet.BatchError] of a batch of which errs has one error per event,
// nil where the event is stored. It returns nil if all are nil. It is the inverse of
// [inlet.ItemErrors].
func Join(errs []error) error {
	var items []inlet.ItemError
	for i, err := range errs {
		if err != nil {
			items = append(items, inlet.ItemError{Index: i, Err: err})
		}
	}
	if items == nil {
		return nil
	}
	return &inlet.BatchError{Items: items}
}

// Find returns the [*inlet.BatchError] in err and whether there is one. It unwraps errors
// as [inlet.ItemErrors] does: not joined ones.
func Find(err error) (*inlet.BatchError, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if batch, ok := err.(*inlet.BatchError); ok {
			return batch, true
		}
	}
	return nil, false
}
