package authcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/guard"
)

// Why a lookup has no answer.
var (
	errTooManyLookups = errors.New("authcache: too many key lookups in flight")
	errTimeout        = errors.New("authcache: key lookup timed out")
	errNoAnswer       = errors.New("authcache: the authenticator returned neither a source nor an error")
)

// retryInterval is how long a key whose lookup failed stays valid before the next lookup.
const retryInterval = time.Second

// A lookup is in flight. Its results are set before done is closed.
type lookup struct {
	done   chan struct{}
	ctx    context.Context // its deadline bounds the lookup and everyone who waits for it
	cancel context.CancelFunc
	key    tag // with ByBearer
	source *inlet.Source
	err    error
}

// wait returns the result of the lookup, or an error if there is none in time.
func (l *lookup) wait(ctx context.Context) (*inlet.Source, error) {
	select {
	case <-l.done:
		return l.source, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.ctx.Done():
	}
	select {
	case <-l.done: // both channels were ready
		return l.source, l.err
	default:
		return nil, errTimeout
	}
}

// join returns the lookup of the key that is in flight, or starts one.
func (c *Cache) join(ctx context.Context, id digest, creds inlet.Credentials) (*lookup, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lookups[id]; l != nil {
		return l, nil
	}
	if c.running >= c.options.MaxLookups {
		return nil, errTooManyLookups
	}
	c.running++
	c.counts.lookups.Add(1)
	l := &lookup{done: make(chan struct{})}
	if c.options.ByBearer {
		l.key = c.digestOf(inlet.Credentials{Key: creds.Key}).tag()
	}
	l.ctx, l.cancel = context.WithTimeout(context.WithoutCancel(ctx), c.options.Timeout)
	c.lookups[id] = l
	go c.run(l, id, creds)
	return l, nil
}

// run executes a lookup from its start to its end.
func (c *Cache) run(l *lookup, id digest, creds inlet.Credentials) {
	defer l.cancel()
	l.source, l.err = c.authenticateInner(l.ctx, creds)
	c.record(id, l, time.Now())
	close(l.done)
	c.report(l)
}

// authenticateInner calls the authenticator. A panic in it is a failure of this lookup.
func (c *Cache) authenticateInner(ctx context.Context, creds inlet.Credentials) (source *inlet.Source, err error) {
	guard.Call(&err, func() (err error) {
		if source, err = c.inner.Authenticate(ctx, creds); source == nil && err == nil {
			err = errNoAnswer
		}
		return err
	})
	if p, panicked := guard.Panicked(err); panicked {
		return nil, fmt.Errorf("authcache: authenticator panicked: %v\n%s", p.Cause, p.Stack)
	}
	return source, err
}

// record stores the result of a lookup, also one that came too late for the requests that
// waited. If the lookup failed, a known key stays known. What Forget has overtaken may be out of
// date, and is not stored.
func (c *Cache) record(id digest, l *lookup, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if c.lookups[id] != l {
		return
	}
	delete(c.lookups, id)
	switch {
	case l.err == nil:
		c.remember(id, knownKey{source: l.source, key: l.key, expires: now.Add(c.options.TTL)})
	case isRefusal(l.err):
		delete(c.known, id)
		c.refused.add(id, refusal{l.err, l.key, now.Add(c.options.NegativeTTL)})
	default:
		if known, ok := c.known[id]; ok {
			known.retryAt = now.Add(retryInterval)
			c.known[id] = known
		}
	}
}

// report logs once that lookups fail, and once that they work again.
func (c *Cache) report(l *lookup) {
	failed := l.err != nil && !isRefusal(l.err)
	if failed {
		c.counts.failed.Add(1)
	}
	if c.failing.Swap(failed) == failed {
		return
	}
	log, of := c.options.Logger, slog.String("of", c.what)
	if failed {
		log.LogAttrs(l.ctx, slog.LevelError, "authcache: lookups failing; serving from memory", of, slog.Any("error", l.err))
		return
	}
	log.LogAttrs(l.ctx, slog.LevelInfo, "authcache: lookups working again", of)
}
