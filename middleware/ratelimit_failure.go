package middleware

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// A LimiterFailure says what becomes of requests while a [Limiter] returns
// errors.
type LimiterFailure uint8

const (
	// FallBackLocal limits each process by itself, with buckets that are full at
	// first: several processes let as many times the rate pass.
	FallBackLocal LimiterFailure = iota
	// FailOpen lets every request pass.
	FailOpen
	// FailClosed answers every request 503, so that clients keep their events.
	FailClosed
)

// errSuspended stands for the error that was logged.
var errSuspended = errors.New("it failed a moment ago and is not asked again yet")

// suspension is how long a limiter that failed is not asked again: one request a
// second, and those that come with it, may have to wait for it.
const suspension = time.Second

// A guardedLimiter asks a limiter that may fail, and another instead once it has.
type guardedLimiter struct {
	limiter Limiter
	local   *MemoryLimiter // nil unless it falls back
	failure LimiterFailure
	timeout time.Duration
	logger  *slog.Logger
	started time.Time
	resume  atomic.Int64 // when it is asked again, since started
}

// Take asks the limiter, unless it has failed a moment ago.
func (g *guardedLimiter) Take(ctx context.Context, c Charge) (Quota, error) {
	if int64(time.Since(g.started)) < g.resume.Load() {
		return g.instead(ctx, c, errSuspended)
	}
	timed, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	q, err := g.limiter.Take(timed, c)
	if err == nil {
		return q, nil
	}
	if ctx.Err() == nil { // else it is the client who has gone
		g.suspend(ctx, err)
	}
	return g.instead(ctx, c, err)
}

// suspend notes the failure, and logs it once.
func (g *guardedLimiter) suspend(ctx context.Context, err error) {
	now, before := int64(time.Since(g.started)), g.resume.Load()
	if now >= before && g.resume.CompareAndSwap(before, now+int64(suspension)) {
		g.logger.ErrorContext(ctx, "inlet: the rate limiter failed", "error", err)
	}
}

// instead answers for the limiter.
func (g *guardedLimiter) instead(ctx context.Context, c Charge, err error) (Quota, error) {
	switch g.failure {
	case FailOpen:
		return Quota{OK: true}, nil
	case FailClosed:
		return Quota{}, err
	}
	return g.local.Take(ctx, c)
}
