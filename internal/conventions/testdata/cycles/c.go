package fixture

// last is a method of a generic type, and depends on a.go.
func (p pair[T]) last() T {
	start(nil)
	return p.value
}

type pair[T any] struct{ value T }
