// Package backoff computes how long to wait before the next attempt.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Delay returns the wait after a number of consecutive failures, the first of which is 1:
// a random time up to minDelay, doubled with each further failure and never more than
// maxDelay. The whole wait is random ("full jitter"), so that clients that failed together
// do not retry together. It returns 0 if a bound is not positive.
func Delay(failures int, minDelay, maxDelay time.Duration) time.Duration {
	bound := minDelay
	for i := 1; i < failures && bound < maxDelay; i++ {
		bound *= 2
	}
	if bound = min(bound, maxDelay); bound <= 0 {
		return 0
	}
	return rand.N(bound) + 1
}
