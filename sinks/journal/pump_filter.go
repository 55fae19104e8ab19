package journal

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/inlet-go/inlet"
)

var errFilter = errors.New("journal: the filter panicked")

// wants asks the filter. What that panics at is not delivered and not passed over:
// both could be wrong.
func (p *pump) wants(e *inlet.Event) (wanted bool, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.log.Error("journal: a filter panicked", "panic", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errFilter, cause)
		}
	}()
	return p.opts.Filter(e), nil
}
