// Package backoff says how long to wait before the next attempt.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Delay returns the wait after as many failures in a row, the first of which is
// 1: a random time up to least, doubled with each failure and never more than
// most. All of the wait is random ("full jitter"), so that clients who failed
// together do not come back together.
func Delay(failures int, least, most time.Duration) time.Duration {
	bound := least
	for i := 1; i < failures && bound < most; i++ {
		bound *= 2
	}
	if bound = min(bound, most); bound <= 0 {
		return 0
	}
	return rand.N(bound) + 1
}
