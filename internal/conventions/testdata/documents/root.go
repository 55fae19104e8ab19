// Package fixture is described by DESIGN.md.
package fixture

import _ "example.com/fixture/internal/a"

// Options have a field and a method.
type Options struct{ Limit int }

// Check is a method.
func (o *Options) Check() error { return nil }
