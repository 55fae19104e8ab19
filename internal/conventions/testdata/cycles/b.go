package fixture

func next(s *state) int {
	s.field = 1
	var p pair[int]
	return p.last()
}
