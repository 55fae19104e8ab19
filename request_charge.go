package inlet

import (
	"context"
	"net/http"
)

// Usage is what a request holds, for layers that limit it.
type Usage struct {
	// Events counts the events that are to be stored.
	Events int
	// Bytes is the size of the body after decompression; of a pixel, of its event.
	Bytes int
}

// WithCharge has the handler call charge when it has read and checked r, and
// before anything is stored. If it returns an error, normally an [*Error] with
// [CodeRateLimited], nothing is stored, and the request is answered with it. If
// several layers do this, the outermost is asked first. It is not called for a
// request of which there is nothing to store.
//
// The request returned is r itself if another layer of this module came before.
func WithCharge(r *http.Request, charge func(ctx context.Context, u Usage) error) *http.Request {
	r, s := withState(r)
	s.charges.Store(&charges{before: s.charges.Load(), last: charge})
	return r
}

// charges are those of several layers, the innermost last.
type charges struct {
	before *charges
	last   func(context.Context, Usage) error
}

func (l *charges) charge(ctx context.Context, u Usage) error {
	if l.before != nil {
		if err := l.before.charge(ctx, u); err != nil {
			return err
		}
	}
	return l.last(ctx, u)
}
