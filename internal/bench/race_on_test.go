//go:build race

package bench

// raceEnabled says that the race detector is on.
const raceEnabled = true
