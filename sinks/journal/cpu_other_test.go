//go:build !unix

package journal

import "time"

// cpuTime is unknown here.
func cpuTime() time.Duration { return 0 }
