package admission

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A Refusal is why a request is refused that could be let in later: the cause of the public
// error, for logs.
type Refusal struct {
	// Limit is the name of the option that limits, or "sink".
	Limit string
	// Reason says what there is too much of.
	Reason string
}

// Error returns the reason and the limit.
func (r *Refusal) Error() string { return r.Reason + " (" + r.Limit + ")" }

// logInterval is how often a limit is logged.
const logInterval = 10 * time.Second

// Overloads log refusals: of each limit at most one line in 10 seconds, with the number of
// those that were refused since the last one. Its methods may be called concurrently.
type Overloads struct {
	logger *slog.Logger
	mu     sync.Mutex
	limits map[string]*overload
}

// overload is what was refused because of a limit.
type overload struct {
	logged  time.Time
	refused int
}

// NewOverloads returns an Overloads that writes to a logger.
func NewOverloads(logger *slog.Logger) *Overloads {
	return &Overloads{logger: logger, limits: map[string]*overload{}}
}

// Log logs a refusal, unless its limit was logged a moment ago.
func (o *Overloads) Log(ctx context.Context, r *Refusal) {
	if n := o.count(r.Limit, time.Now()); n > 0 {
		o.logger.LogAttrs(ctx, slog.LevelWarn, "inlet: overloaded",
			slog.String("limit", r.Limit), slog.String("reason", r.Reason), slog.Int("refused", n))
	}
}

// count counts a refusal, and returns how many the line to log is about, 0 for none.
func (o *Overloads) count(limit string, now time.Time) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.limits[limit]
	if l == nil {
		l = new(overload)
		o.limits[limit] = l
	}
	l.refused++
	if now.Sub(l.logged) < logInterval {
		return 0
	}
	n := l.refused
	l.logged, l.refused = now, 0
	return n
}
