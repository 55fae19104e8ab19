//go:build !race

package testkit

// Race reports whether the race detector is on. Under it pools forget on purpose, so
// allocation budgets do not hold.
const Race = false
