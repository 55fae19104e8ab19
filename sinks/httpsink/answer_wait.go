package httpsink

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// wait returns how long the receiver asks to wait, bounded, 0 if it does not say:
// by Retry-After, in seconds or as a date, or else by X-RateLimit-Reset, in which
// Segment and Inlet send seconds.
func (a *answer) wait() time.Duration {
	retry := a.header.Get("Retry-After")
	wait := seconds(retry)
	if date, err := http.ParseTime(retry); err == nil {
		wait = time.Until(date)
	}
	if wait <= 0 {
		wait = seconds(a.header.Get("X-Ratelimit-Reset"))
	}
	return min(wait, a.mostWait)
}

// seconds reads a number of seconds, 0 if the text is none. More than a Duration
// holds is as much as it holds.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(n, math.MaxInt64/uint64(time.Second))) * time.Second
}
