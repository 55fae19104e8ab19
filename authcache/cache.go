// Package authcache provides an [inlet.Authenticator] that caches the answers of another one,
// for write keys that are kept in a database or behind a network.
//
// The package consists of three parts: the [Cache] and its options (cache.go), the lookups in
// flight (lookup.go), and the two bounded tables of known and of refused keys (table.go).
package authcache

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Options configure a [Cache]. A nil pointer means all defaults.
type Options struct {
	// TTL is how long a known key is served from memory before it is looked up again, and
	// so how long a revoked key may still be used. Defaults to 1 minute.
	TTL time.Duration
	// NegativeTTL is how long a refusal is served from memory, and so how long a new key
	// that was tried too early stays unknown. A negative value disables it. Defaults to 10
	// seconds.
	NegativeTTL time.Duration
	// StaleFor is how long after its TTL a known key stays valid while it cannot be looked
	// up. A negative value disables it. Defaults to 10 minutes.
	StaleFor time.Duration
	// Timeout is the deadline of a lookup. Defaults to 250 milliseconds.
	Timeout time.Duration
	// MaxKeys is the maximum number of known keys in memory. Keys that do not exist are
	// not among them. Defaults to 65,536.
	MaxKeys int
	// MaxUnknown is the maximum number of refusals in memory, at least 2. They are in a
	// separate table: random keys neither grow the table of known keys nor evict its
	// entries. Defaults to 8,192, about 1 MiB.
	MaxUnknown int
	// MaxLookups is the maximum number of concurrent lookups, and so of goroutines. Beyond
	// it a key counts as one that cannot be looked up. Defaults to 64.
	MaxLookups int
	// ByBearer passes the Bearer token that came with the key to the authenticator, and
	// caches each pair of key and token. The authenticator must then refuse tokens that it
	// does not know: otherwise a client with one valid key can fill the table of known keys.
	// Defaults to false: the authenticator gets the key alone.
	ByBearer bool
	// Logger gets one line when lookups begin to fail and one when they work again, of keys and
	// of origins each. It never gets a key. Defaults to [slog.Default].
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

// A Cache is an [inlet.Authenticator] that caches the answers of another one.
//
// Known keys are served from memory for the TTL, then looked up again. While that fails, they
// stay valid for StaleFor. A refused key is refused from memory for the NegativeTTL. A key that
// is neither known nor refused and cannot be looked up is not refused: its client is answered
// 503 and keeps its events, and never 401.
//
// Lookups: one per key, which all concurrent requests with the key share. It runs in a
// goroutine that outlives the request that caused it. Its context has the values of that
// request and the deadline of Timeout, and is not cancelled when the client leaves. No request
// waits longer than Timeout. The goroutine ends when the authenticator returns and counts
// towards MaxLookups until then. A Cache needs no Close.
//
// The authenticator: it gets no Origin, because its answer is cached for all origins; the
// caller checks the origins of the source. An [*inlet.Error] that is not worth a retry is a
// refusal, as [inlet.ErrUnknownKey] is. Anything else, including a panic, is a failed lookup.
//
// Secrets: the cache holds digests, keyed with a secret of the process, and never a key. The
// work for a key does not depend on whether the key is known.
//
// Concurrency: the methods of a Cache may be called concurrently.
type Cache struct {
	inner   inlet.Authenticator
	options Options
	secret  [32]byte
	failing atomic.Bool // the last lookup failed
	counts  counters
	what    string // that is looked up: "keys" or "origins"
	origins *Cache // of the authenticator, by origins in place of keys; nil if it does not know them

	mu      sync.RWMutex
	known   map[digest]knownKey
	refused refusals
	lookups map[digest]*lookup // those in flight that no Forget or ForgetSource has overtaken
	running int                // all lookups in flight
}

var _ inlet.Authenticator = (*Cache)(nil)

// New returns a cache in front of a. The error names every field of the options that is out of
// range.
func New(a inlet.Authenticator, o *Options) (*Cache, error) {
	if a == nil {
		return nil, errors.New("authcache: New: the authenticator is nil")
	}
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := newCache(a, filled, "keys")
	if known, ok := a.(originAuthenticator); ok {
		filled.ByBearer = false
		c.origins = newCache(byOrigin(known), filled, "origins")
	}
	return c, nil
}

func newCache(a inlet.Authenticator, o Options, what string) *Cache {
	c := &Cache{
		inner: a, options: o, what: what,
		known: map[digest]knownKey{}, lookups: map[digest]*lookup{},
		refused: newRefusals(o.MaxUnknown),
	}
	rand.Read(c.secret[:]) // never fails, as its documentation says
	return c
}

// originAuthenticator is an authenticator that knows the origins of all sources.
type originAuthenticator interface {
	AllowsOrigin(ctx context.Context, origin string) bool
}

// byOrigin looks origins up as if they were keys. A false of an authenticator whose time is up is
// no answer.
func byOrigin(a originAuthenticator) inlet.Authenticator {
	allowed := new(inlet.Source)
	return inlet.AuthenticatorFunc(func(ctx context.Context, c inlet.Credentials) (*inlet.Source, error) {
		switch {
		case a.AllowsOrigin(ctx, c.Key):
			return allowed, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, inlet.ErrUnknownKey
	})
}

// Authenticate returns the source of the key, from memory or by a lookup. An error that is not
// an [*inlet.Error] means that the key could not be looked up.
func (c *Cache) Authenticate(ctx context.Context, creds inlet.Credentials) (*inlet.Source, error) {
	if !c.options.ByBearer {
		creds.Bearer = ""
	}
	creds.Origin = ""
	id, now := c.digestOf(creds), time.Now()
	known, refused := c.recall(id)
	switch {
	case now.Before(known.expires):
		c.counts.hits.Add(1)
		return known.source, nil
	case now.Before(refused.expires):
		c.counts.hits.Add(1)
		return nil, refused.err
	}
	return c.resolve(ctx, id, creds, known, now)
}

// AllowsOrigin reports whether the authenticator's method of that name allows an origin, as a
// browser sends it. Its answers are cached like those about keys, in tables of their own: for the
// TTL if the origin is allowed, else for the NegativeTTL. An origin that cannot be looked up is not
// allowed, unless it was allowed before and within StaleFor. [Cache.Forget] and [Cache.Stats] are
// about keys alone; [Cache.ForgetSource] forgets origins, too.
//
// It reports false of every origin if the authenticator has no such method.
func (c *Cache) AllowsOrigin(ctx context.Context, origin string) bool {
	if c.origins == nil {
		return false
	}
	_, err := c.origins.Authenticate(ctx, inlet.Credentials{Key: origin})
	return err == nil
}

// Unwrap returns the authenticator whose answers are cached.
func (c *Cache) Unwrap() inlet.Authenticator { return c.inner }

// recall reads both tables, whatever the first one has: the work must not depend on whether the
// key is known.
func (c *Cache) recall(id digest) (knownKey, refusal) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[id], c.refused.get(id)
}

// resolve looks the key up. If that fails, a known key that is not yet too old stays valid.
func (c *Cache) resolve(ctx context.Context, id digest, creds inlet.Credentials, known knownKey, now time.Time) (*inlet.Source, error) {
	stale := known.source != nil && now.Before(known.expires.Add(c.options.StaleFor))
	if stale && !known.retryAt.IsZero() { // the last lookup failed: no other request waits for the next one
		if now.After(known.retryAt) {
			c.join(ctx, id, creds)
		}
		c.counts.stale.Add(1)
		return known.source, nil
	}
	l, err := c.join(ctx, id, creds)
	var source *inlet.Source
	if err == nil {
		source, err = l.wait(ctx)
	}
	if err != nil && stale && !isRefusal(err) {
		c.counts.stale.Add(1)
		return known.source, nil
	}
	return source, err
}

// Forget makes the next request with the key look it up, whether the key was known, refused or
// being looked up: call it for a key that was revoked or changed, and for a new one that may have
// been tried too early. With ByBearer it forgets every pair with the key. While the key cannot be
// looked up afterwards, its clients are answered 503.
//
// Requests that are being authenticated while Forget is called may still get the old answer;
// those that come after it has returned do not. A key of which the cache knows nothing is
// ignored.
func (c *Cache) Forget(key string) {
	id := c.digestOf(inlet.Credentials{Key: key})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.options.ByBearer {
		delete(c.known, id)
		c.refused.remove(id)
		delete(c.lookups, id)
		return
	}
	tag := id.tag()
	maps.DeleteFunc(c.known, func(_ digest, k knownKey) bool { return k.key == tag })
	c.refused.removeFunc(func(r refusal) bool { return r.key == tag })
	maps.DeleteFunc(c.lookups, func(_ digest, l *lookup) bool { return l.key == tag })
}

// ForgetSource forgets every key of a source as [Cache.Forget] does one, for a host that has only
// hashes of its keys and cannot name the key: call it when a key of the source was revoked, or the
// source has changed. Whose the refused keys are, and those being looked up, is not known: it
// forgets all of them, and all that is known of origins. The work depends on the number of keys in
// memory.
func (c *Cache) ForgetSource(id string) {
	c.forgetFunc(func(s *inlet.Source) bool { return s.ID == id })
	if c.origins != nil {
		c.origins.forgetFunc(func(*inlet.Source) bool { return true })
	}
}

// ForgetAll forgets every key and every origin as [Cache.Forget] does one: call it when keys may
// have changed and it is not known which, as after a time without news of them. The keys in use are
// then looked up at about the same time.
func (c *Cache) ForgetAll() {
	all := func(*inlet.Source) bool { return true }
	c.forgetFunc(all)
	if c.origins != nil {
		c.origins.forgetFunc(all)
	}
}

func (c *Cache) forgetFunc(f func(*inlet.Source) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(_ digest, k knownKey) bool { return f(k.source) })
	c.refused.clear()
	clear(c.lookups)
}

// Stats is a snapshot of the counters of a [Cache].
type Stats struct {
	// Known and Refused are the keys in memory now that exist and that do not. With ByBearer
	// they are pairs of key and token.
	Known, Refused int
	// InFlight is the number of lookups that have not returned.
	InFlight int
	// Hits is the number of requests so far that were answered from memory.
	Hits uint64
	// Lookups is the number of lookups so far, and Failed that of the failed ones among them.
	Lookups, Failed uint64
	// Stale is the number of requests so far whose key could not be looked up, and was still
	// known from before.
	Stale uint64
}

// counters are those of Stats that are not the size of a table.
type counters struct{ hits, lookups, failed, stale atomic.Uint64 }

// Stats returns the current counters. It is for metrics: it costs a lock for a moment.
func (c *Cache) Stats() Stats {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return Stats{
		Known: len(c.known), Refused: c.refused.size(), InFlight: c.running,
		Hits: c.counts.hits.Load(), Stale: c.counts.stale.Load(),
		Lookups: c.counts.lookups.Load(), Failed: c.counts.failed.Load(),
	}
}

// isRefusal reports whether err is the authenticator's answer for the key, and not a failure to
// answer.
func isRefusal(err error) bool {
	known, ok := errors.AsType[*inlet.Error](err)
	return ok && !known.Code.Retryable()
}
