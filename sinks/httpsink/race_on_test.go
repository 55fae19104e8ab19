//go:build race

package httpsink_test

const raceEnabled = true
