// Package authcache remembers which write keys exist, for keys that are kept in a
// database or behind a network.
package authcache

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Options configure a [Cache]. Nil is all defaults.
type Options struct {
	// TTL is how long a key is known before it is looked up again: how long a
	// key that was revoked may still be used. Defaults to 1 minute.
	TTL time.Duration
	// NegativeTTL is how long a refusal is remembered: how long a new key that
	// was tried too early stays unknown. Below zero, not at all. Defaults to 10
	// seconds.
	NegativeTTL time.Duration
	// StaleFor is how long after its TTL a known key goes on while it cannot be
	// looked up. Below zero, not at all. Defaults to 10 minutes.
	StaleFor time.Duration
	// Timeout is the deadline of a look-up. Defaults to 250 milliseconds.
	Timeout time.Duration
	// MaxKeys bounds the known keys that are remembered. Only keys that exist
	// take room. Defaults to 65,536.
	MaxKeys int
	// MaxUnknown bounds the refusals that are remembered, in room of their own,
	// at least 2: random keys neither grow it nor push out known ones. Defaults
	// to 8,192, about 1 MiB.
	MaxUnknown int
	// MaxLookups bounds the look-ups under way at a time, and with them the
	// goroutines. Beyond it a key counts as one that cannot be looked up.
	// Defaults to 64.
	MaxLookups int
	// ByBearer tells the authenticator the Bearer token that stands beside the
	// key, and remembers each pair of them. It must then refuse tokens that it
	// does not know: else anybody with one key can fill the room of the known
	// ones. Defaults to false: the authenticator is asked for the key alone.
	ByBearer bool
	// Logger is told when look-ups begin to fail and when they work again. It
	// never gets a key. Defaults to [slog.Default], as it is at construction.
	Logger *slog.Logger
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var filled Options
	if o != nil {
		filled = *o
	}
	filled.TTL = cmp.Or(filled.TTL, time.Minute)
	filled.NegativeTTL = cmp.Or(filled.NegativeTTL, 10*time.Second)
	filled.StaleFor = cmp.Or(filled.StaleFor, 10*time.Minute)
	filled.Timeout = cmp.Or(filled.Timeout, 250*time.Millisecond)
	filled.MaxKeys = cmp.Or(filled.MaxKeys, 65_536)
	filled.MaxUnknown = cmp.Or(filled.MaxUnknown, 8_192)
	filled.MaxLookups = cmp.Or(filled.MaxLookups, 64)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	return filled, check.Options("authcache", "Options",
		check.AtLeast("TTL", filled.TTL, 1),
		check.AtLeast("Timeout", filled.Timeout, 1),
		check.AtLeast("MaxKeys", filled.MaxKeys, 1),
		check.AtLeast("MaxUnknown", filled.MaxUnknown, 2),
		check.AtLeast("MaxLookups", filled.MaxLookups, 1),
	)
}

// A Cache is an [inlet.Authenticator] that remembers what another one said, for keys
// that are kept in a database or behind a network.
//
// Known keys are answered from memory for the TTL, then looked up again. While
// that fails they go on, for StaleFor. A key that was refused is refused from
// memory for the NegativeTTL. A key that is not known and cannot be looked up is
// neither: the client is told 503 and keeps its events, never 401.
//
// Look-ups: one at a time for each key, however many requests wait for it. It
// runs in a goroutine that outlives the request which caused it, in a context
// with that request's values, the deadline of Timeout, and no cancellation by the
// client. Nobody waits for it longer than that. The goroutine ends when the
// authenticator returns; until then it counts towards MaxLookups. There is
// nothing to close.
//
// The authenticator: is asked without an Origin, as what it answers is for all
// of them; those of the source are checked by the caller. An [*inlet.Error] that is
// not worth a retry is a refusal, as [inlet.ErrUnknownKey] is. Anything else, a panic
// included, is a failed look-up.
//
// Secrets: the cache holds digests, keyed with a secret of the process, and no
// key. The work for a key does not depend on whether it is known.
//
// Concurrency: a Cache may be used concurrently.
type Cache struct {
	inner   inlet.Authenticator
	options Options
	secret  [32]byte
	failing atomic.Bool

	mu      sync.RWMutex
	known   map[cacheKey]knownKey
	refused refusals
	flights map[cacheKey]*flight
}

var _ inlet.Authenticator = (*Cache)(nil)

// New returns a cache before a. The error names the field of the options
// that is out of range.
func New(a inlet.Authenticator, o *Options) (*Cache, error) {
	if a == nil {
		return nil, errors.New("authcache: New: the authenticator is nil")
	}
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache{
		inner: a, options: filled,
		known: map[cacheKey]knownKey{}, flights: map[cacheKey]*flight{},
		refused: newRefusals(filled.MaxUnknown),
	}
	rand.Read(c.secret[:]) // never fails, as its documentation says
	return c, nil
}

// Authenticate returns the source of the key, from memory or by a look-up.
func (c *Cache) Authenticate(ctx context.Context, creds inlet.Credentials) (*inlet.Source, error) {
	if !c.options.ByBearer {
		creds.Bearer = ""
	}
	creds.Origin = ""
	id, now := c.digest(creds), time.Now()
	known, refusal := c.recall(id)
	switch {
	case now.Before(known.expires):
		return known.source, nil
	case now.Before(refusal.expires):
		return nil, refusal.err
	}
	return c.ask(ctx, id, creds, known, now)
}

// recall looks into both tables, whatever the first says.
func (c *Cache) recall(id cacheKey) (knownKey, refusal) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[id], c.refused.get(id)
}

// ask looks the key up. What is known of it stands in for an answer that cannot
// be had.
func (c *Cache) ask(ctx context.Context, id cacheKey, creds inlet.Credentials, known knownKey, now time.Time) (*inlet.Source, error) {
	stale := known.source != nil && now.Before(known.expires.Add(c.options.StaleFor))
	if stale && !known.again.IsZero() { // it failed the last time: nobody is made to wait for it again
		if now.After(known.again) {
			c.join(ctx, id, creds)
		}
		return known.source, nil
	}
	f, err := c.join(ctx, id, creds)
	var source *inlet.Source
	if err == nil {
		source, err = f.wait(ctx)
	}
	if err != nil && stale && !isRefusal(err) {
		return known.source, nil
	}
	return source, err
}

// isRefusal reports whether err is the authenticator's word on the key, and not
// that it has none.
func isRefusal(err error) bool {
	known, ok := errors.AsType[*inlet.Error](err)
	return ok && !known.Code.Retryable()
}
