// Package itemerrors builds and finds the errors that name single events of a batch.
package itemerrors

import (
	"errors"
	"reflect"

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

// Validate returns why e is malformed as the result of a Write of n events, or nil. The
// reason is that of [inlet.ItemErrors], which gives every event of a malformed batch error
// the same one.
func Validate(e *inlet.BatchError, n int) error {
	errs := inlet.ItemErrors(e, n)
	if e != nil && len(e.Items) > 0 {
		first := e.Items[0]
		if i := first.Index; 0 <= i && i < n && first.Err != nil && reflect.DeepEqual(errs[i], first.Err) {
			return nil
		}
	}
	if n == 0 {
		return errors.New("the batch has no events")
	}
	return errs[0]
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
