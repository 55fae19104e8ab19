// Package check words the errors.
package check

import "fmt"

func Options(typ string) error { return fmt.Errorf("%s: Options: X must be at least 1", typ) }
