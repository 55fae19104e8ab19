package fixture

// start uses a function of b.go, and b.go a field of start's type.
func start(s *state) { next(s) }

type state struct{ field int }
