package authcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/inlet-go/inlet"
)

// Why a look-up has no answer.
var (
	errLookups = errors.New("too many look-ups of keys are under way")
	errTimeout = errors.New("the look-up of the key took too long")
	errNothing = errors.New("the authenticator returned neither a source nor an error")
)

// pause is how long a key that could not be looked up goes on before it is tried
// again.
const pause = time.Second

// flight is a look-up under way. Its results are set before done is closed.
type flight struct {
	done   chan struct{}
	ctx    context.Context // its deadline is that of whoever waits
	cancel context.CancelFunc
	source *inlet.Source
	err    error
}

// wait returns the result of the look-up, or that there is none in time.
func (f *flight) wait(ctx context.Context) (*inlet.Source, error) {
	select {
	case <-f.done:
		return f.source, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.ctx.Done():
	}
	select {
	case <-f.done: // it ended at the same time
		return f.source, f.err
	default:
		return nil, errTimeout
	}
}

// join returns the look-up of the key that is under way, or starts one.
func (c *Cache) join(ctx context.Context, id cacheKey, creds inlet.Credentials) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[id]; f != nil {
		return f, nil
	}
	if len(c.flights) >= c.options.MaxLookups {
		return nil, errLookups
	}
	f := &flight{done: make(chan struct{})}
	f.ctx, f.cancel = context.WithTimeout(context.WithoutCancel(ctx), c.options.Timeout)
	c.flights[id] = f
	go c.fly(f, id, creds)
	return f, nil
}

// fly is a look-up from its start to its end.
func (c *Cache) fly(f *flight, id cacheKey, creds inlet.Credentials) {
	defer f.cancel()
	f.source, f.err = c.look(f.ctx, creds)
	c.settle(id, f, time.Now())
	close(f.done)
	c.report(f)
}

// look asks the authenticator. A panic in it is a failure of this look-up.
func (c *Cache) look(ctx context.Context, creds inlet.Credentials) (source *inlet.Source, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			source, err = nil, fmt.Errorf("the authenticator panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	if source, err = c.inner.Authenticate(ctx, creds); source == nil && err == nil {
		err = errNothing
	}
	return source, err
}

// settle remembers what a look-up has found, also one that came too late for
// those who waited. A key that could not be looked up stays what it was.
func (c *Cache) settle(id cacheKey, f *flight, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, id)
	switch {
	case f.err == nil:
		c.remember(id, knownKey{source: f.source, expires: now.Add(c.options.TTL)})
	case isRefusal(f.err):
		delete(c.known, id)
		c.refused.add(id, refusal{f.err, now.Add(c.options.NegativeTTL)})
	default:
		if known, ok := c.known[id]; ok {
			known.again = now.Add(pause)
			c.known[id] = known
		}
	}
}

// report tells the operators once that look-ups fail, and once that they work.
func (c *Cache) report(f *flight) {
	failed := f.err != nil && !isRefusal(f.err)
	if c.failing.Swap(failed) == failed {
		return
	}
	if failed {
		c.options.Logger.LogAttrs(f.ctx, slog.LevelError, "inlet: write keys cannot be looked up", slog.Any("error", f.err))
		return
	}
	c.options.Logger.LogAttrs(f.ctx, slog.LevelInfo, "inlet: write keys can be looked up again")
}
