package kafkasink

import (
	"context"
	"sync"
	"time"
)

// deadlines has the contexts that limit how long records wait for their acknowledgement. The client
// has a timeout for this, too, but it counts from the timestamp of a record, which may be long ago.
//
// A context is shared by all that begins within an eighth of the timeout, and lasts an eighth
// longer: the client takes the context of one record for that of a whole request, so it must not be
// done as soon as the Write that it was made for.
type deadlines struct {
	timeout time.Duration
	all     context.Context
	end     context.CancelFunc

	mu      sync.Mutex
	current context.Context
	begun   time.Time
}

func newDeadlines(timeout time.Duration) *deadlines {
	d := &deadlines{timeout: timeout}
	d.all, d.end = context.WithCancel(context.Background())
	return d
}

// next returns a context that is done in one timeout, or an eighth more.
func (d *deadlines) next() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); d.current == nil || now.Sub(d.begun) > d.timeout/8 {
		ctx, cancel := context.WithTimeout(d.all, d.timeout+d.timeout/8)
		context.AfterFunc(ctx, cancel) // it is not done earlier
		d.current, d.begun = ctx, now
	}
	return d.current
}
