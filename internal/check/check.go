// Package check words the errors of options in one way, for all packages of the
// module: "inlet: Options: Limits.Depth is 0, must be at least 1".
//
// A constructor checks every field and joins the faults with [Options], so that one
// run of a program shows all of them.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Options joins the faults of the options named typ, such as "Options", of the package
// pkg. It returns nil if no fault is left. Faults that are nil are ignored.
func Options(pkg, typ string, faults ...error) error {
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%s: %s: %w", pkg, typ, err)
	}
	return nil
}

// Fault returns the fault of a field that fits none of the other functions, such as
// "PublicURL must end with its path".
func Fault(field, format string, args ...any) error {
	return fmt.Errorf("%s "+format, slices.Insert(args, 0, any(field))...)
}

// AtLeast returns a fault if value is below least.
func AtLeast[T cmp.Ordered](field string, value, least T) error {
	if value < least {
		return Fault(field, "is %v, must be at least %v", value, least)
	}
	return nil
}

// AtMost returns a fault if value is above most.
func AtMost[T cmp.Ordered](field string, value, most T) error {
	if value > most {
		return Fault(field, "is %v, must be at most %v", value, most)
	}
	return nil
}

// Known returns a fault if value is none of the known ones.
func Known[T comparable](field string, value T, known ...T) error {
	if !slices.Contains(known, value) {
		return Fault(field, "is %v, must be one of %v", value, known)
	}
	return nil
}

// NotNil returns a fault if isNil is true, which means that a required field is nil.
func NotNil(field string, isNil bool) error {
	if isNil {
		return Fault(field, "is nil")
	}
	return nil
}

// NoneNil returns a fault if an element of values is nil.
func NoneNil[T any](field string, values []T, isNil func(T) bool) error {
	if i := slices.IndexFunc(values, isNil); i >= 0 {
		return Fault(fmt.Sprintf("%s[%d]", field, i), "is nil")
	}
	return nil
}
