package fixture

// Not part of the cycle: nothing uses what stands here, and a local variable is no name
// of the package.
func end() int {
	field := 1
	start(nil)
	return field
}
