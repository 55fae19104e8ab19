package authcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// keyStore is an authenticator like one in front of a database. Its fields may be changed
// between calls.
type keyStore struct {
	mu            sync.Mutex
	keys          map[string]*inlet.Source
	err           error         // returned by every lookup
	delay         time.Duration // of every lookup
	ignoreContext bool
	lookedUp      []inlet.Credentials
}

var errStoreDown = errors.New("connection refused")

func newKeyStore(keys ...string) *keyStore {
	s := &keyStore{keys: map[string]*inlet.Source{}}
	for _, key := range keys {
		s.keys[key] = &inlet.Source{ID: "source-of-" + key}
	}
	return s
}

func (s *keyStore) Authenticate(ctx context.Context, c inlet.Credentials) (*inlet.Source, error) {
	s.mu.Lock()
	s.lookedUp = append(s.lookedUp, c)
	source, err, delay, ignoreContext := s.keys[c.Key], s.err, s.delay, s.ignoreContext
	s.mu.Unlock()
	if delay > 0 && ignoreContext {
		time.Sleep(delay)
	} else if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err == nil && source == nil {
		err = inlet.ErrUnknownKey
	}
	if err != nil {
		return nil, err
	}
	return source, nil
}

// change runs f while no lookup reads the fields.
func (s *keyStore) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *keyStore) lookups() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lookedUp)
}

func newCache(t testing.TB, a inlet.Authenticator, o authcache.Options) *authcache.Cache {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := authcache.New(a, &o)
	require.NoError(t, err)
	return c
}

// newCacheOnRealClock returns a cache whose lookups do not time out on a busy machine.
func newCacheOnRealClock(t testing.TB, a inlet.Authenticator, o authcache.Options) *authcache.Cache {
	o.Timeout = time.Minute
	return newCache(t, a, o)
}

// sourceOf returns the ID of the source of a key, or the error.
func sourceOf(c inlet.Authenticator, key string) (string, error) {
	source, err := c.Authenticate(context.Background(), inlet.Credentials{Key: key})
	if err != nil {
		return "", err
	}
	return source.ID, nil
}

func requireKnown(t testing.TB, c inlet.Authenticator, key string) {
	t.Helper()
	id, err := sourceOf(c, key)
	require.NoError(t, err)
	require.Equal(t, "source-of-"+key, id)
}

func requireUnknown(t testing.TB, c inlet.Authenticator, key string) {
	t.Helper()
	_, err := sourceOf(c, key)
	require.ErrorIs(t, err, inlet.ErrUnknownKey)
}

func TestCache(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options authcache.Options
		test    func(t *testing.T, store *keyStore, cache *authcache.Cache)
	}{
		{"a known key expires with its TTL", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			time.Sleep(time.Minute - 1)
			requireKnown(t, cache, "a")
			require.Equal(t, 1, store.lookups())
			time.Sleep(time.Nanosecond)
			requireKnown(t, cache, "a")
			require.Equal(t, 2, store.lookups())
		}},
		{"a revoked key expires with its TTL", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { delete(store.keys, "a") })
			requireKnown(t, cache, "a")
			time.Sleep(time.Minute)
			requireUnknown(t, cache, "a")
			requireUnknown(t, cache, "a")
			require.Equal(t, 2, store.lookups())
		}},
		{"a new key is known after the negative TTL", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireUnknown(t, cache, "new")
			store.change(func() { store.keys["new"] = &inlet.Source{ID: "source-of-new"} })
			time.Sleep(10*time.Second - 1)
			requireUnknown(t, cache, "new")
			time.Sleep(time.Nanosecond)
			requireKnown(t, cache, "new")
			require.Equal(t, 2, store.lookups())
		}},
		{"a known key stays valid for ten minutes without the store", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { store.err = errStoreDown })
			for range 659 { // a second short of the TTL and ten minutes
				time.Sleep(time.Second)
				requireKnown(t, cache, "a")
			}
			time.Sleep(time.Second)
			_, err := sourceOf(cache, "a")
			require.ErrorIs(t, err, errStoreDown)
		}},
		{"only the first request waits for a slow store", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { store.delay = time.Hour })
			time.Sleep(time.Minute)
			began := time.Now()
			requireKnown(t, cache, "a")
			require.Equal(t, 250*time.Millisecond, time.Since(began))
			synctest.Wait() // the lookup ends, too
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				began = time.Now()
				requireKnown(t, cache, "a")
				require.Zero(t, time.Since(began))
			}
			require.Less(t, store.lookups(), 12, "about one a second")
		}},
		{"an unknown key is not refused at the deadline", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.delay = time.Hour
			began := time.Now()
			_, err := sourceOf(cache, "a")
			require.Error(t, err)
			require.NotErrorIs(t, err, inlet.ErrUnknownKey)
			require.Equal(t, 250*time.Millisecond, time.Since(began))
			synctest.Wait() // the lookup ends, too
		}},
		{"an answer after the deadline serves the next request", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.delay, store.ignoreContext = time.Second, true
			_, err := sourceOf(cache, "a")
			require.Error(t, err)
			time.Sleep(time.Second)
			requireKnown(t, cache, "a")
			require.Equal(t, 1, store.lookups())
		}},
		{"a recovered store is used again", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { store.err = errStoreDown })
			time.Sleep(time.Minute)
			requireKnown(t, cache, "a")
			store.change(func() { store.err = nil; delete(store.keys, "a") })
			time.Sleep(2 * time.Second)
			requireKnown(t, cache, "a") // this one finds out
			synctest.Wait()
			requireUnknown(t, cache, "a")
		}},
		{"a revoked key stays revoked when the store goes down", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { delete(store.keys, "a") })
			time.Sleep(time.Minute)
			requireUnknown(t, cache, "a")
			store.change(func() { store.err = errStoreDown })
			time.Sleep(10 * time.Second)
			_, err := sourceOf(cache, "a")
			require.ErrorIs(t, err, errStoreDown)
		}},
		{"a client that leaves does not cancel the lookup", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.delay = 100 * time.Millisecond
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, err := cache.Authenticate(ctx, inlet.Credentials{Key: "a"})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(100 * time.Millisecond)
			requireKnown(t, cache, "a")
			require.Equal(t, 1, store.lookups())
		}},
		{"negative durations disable stale keys and refusals", authcache.Options{NegativeTTL: -1, StaleFor: -1}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireUnknown(t, cache, "nope")
			requireUnknown(t, cache, "nope")
			require.Equal(t, 2, store.lookups())
			requireKnown(t, cache, "a")
			store.change(func() { store.err = errStoreDown })
			time.Sleep(time.Minute)
			_, err := sourceOf(cache, "a")
			require.ErrorIs(t, err, errStoreDown)
		}},
		{"concurrent requests share one lookup", authcache.Options{}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.delay = 100 * time.Millisecond
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() { requireKnown(t, cache, "a") })
			}
			group.Wait()
			require.Equal(t, 1, store.lookups())
		}},
		{"goroutines that ignore the deadline are bounded", authcache.Options{MaxLookups: 4}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { store.delay, store.ignoreContext = time.Hour, true })
			for i := range 100 {
				_, err := sourceOf(cache, fmt.Sprint("random ", i))
				require.Error(t, err)
				require.NotErrorIs(t, err, inlet.ErrUnknownKey)
			}
			require.Equal(t, 1+4, store.lookups())
			time.Sleep(time.Minute)
			requireKnown(t, cache, "a")
			time.Sleep(time.Hour) // all of them have returned
			store.change(func() { store.delay = 0 })
			requireUnknown(t, cache, "another")
		}},
		{"the oldest known key is evicted", authcache.Options{MaxKeys: 2}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			for _, key := range []string{"a", "b", "c"} {
				requireKnown(t, cache, key)
				time.Sleep(time.Second)
			}
			requireKnown(t, cache, "b")
			requireKnown(t, cache, "c")
			require.Equal(t, 3, store.lookups())
			requireKnown(t, cache, "a") // it was the oldest
			require.Equal(t, 4, store.lookups())
		}},
		{"a key that comes in is not the one evicted", authcache.Options{MaxKeys: 20}, func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			for i := range 30 {
				key := fmt.Sprint("key ", i)
				store.keys[key] = &inlet.Source{ID: "source-of-" + key}
				requireKnown(t, cache, key)
				requireKnown(t, cache, key)
				require.Equal(t, i+1, store.lookups())
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newKeyStore("a", "b", "c")
				tt.test(t, store, newCache(t, store, tt.options))
			})
		})
	}
}

// RELIABILITY: a million keys. A flood of random ones takes no more memory than the table of
// refusals, and evicts no known key.
func TestAFloodOfUnknownKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("many lookups")
	}
	store := newKeyStore("a")
	known, _ := store.Authenticate(context.Background(), inlet.Credentials{Key: "a"})
	cache := newCacheOnRealClock(t, inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
		if c.Key == "a" {
			return known, nil
		}
		return nil, inlet.ErrUnknownKey
	}), authcache.Options{TTL: time.Hour})
	requireKnown(t, cache, "a")
	flood := func(from, to int) {
		for i := from; i < to; i++ {
			requireUnknown(t, cache, fmt.Sprint("random ", i))
		}
	}
	before := heap()
	flood(0, 20_000)
	full := heap()
	require.Less(t, full-before, int64(4<<20))
	flood(20_000, 250_000)
	require.Less(t, heap()-full, int64(1<<20))
	requireKnown(t, cache, "a")
	runtime.KeepAlive(cache)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestCacheAnswers(t *testing.T) {
	t.Parallel()
	disabled := &inlet.Error{Code: inlet.CodeSourceDisabled}
	for _, tt := range []struct {
		name    string
		answer  func() (*inlet.Source, error)
		lookups int // of two requests
		code    inlet.Code
	}{
		{"a refusal of another kind is remembered, too", func() (*inlet.Source, error) { return nil, disabled }, 1, inlet.CodeSourceDisabled},
		{"an error worth a retry is not", func() (*inlet.Source, error) {
			return nil, &inlet.Error{Code: inlet.CodeRateLimited}
		}, 2, inlet.CodeRateLimited},
		{"a failure is not", func() (*inlet.Source, error) { return nil, errStoreDown }, 2, ""},
		{"nothing at all is a failure", func() (*inlet.Source, error) { return nil, nil }, 2, ""},
		{"a panic is a failure, and the process lives", func() (*inlet.Source, error) { panic("a bug") }, 2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			cache := newCacheOnRealClock(t, inlet.AuthenticatorFunc(func(context.Context, inlet.Credentials) (*inlet.Source, error) {
				asked.Add(1)
				return tt.answer()
			}), authcache.Options{})
			for range 2 {
				_, err := sourceOf(cache, "a")
				require.Error(t, err)
				known, _ := errors.AsType[*inlet.Error](err)
				if tt.code != "" {
					require.Equal(t, tt.code, known.Code)
				} else {
					require.Nil(t, known)
				}
			}
			require.EqualValues(t, tt.lookups, asked.Load())
		})
	}
}

// What a client may choose freely in addition to a known key must not fill the tables.
func TestCacheByBearer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		byBearer bool
		bearers  []string
		lookups  int
	}{
		{"off: the authenticator gets neither origin nor token", false, []string{"", "x", "y"}, 1},
		{"on: the authenticator gets the token", true, []string{"", "x", "y", "x"}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := newKeyStore("a")
			cache := newCacheOnRealClock(t, store, authcache.Options{ByBearer: tt.byBearer})
			for i, bearer := range tt.bearers {
				creds := inlet.Credentials{Key: "a", Bearer: bearer, Origin: fmt.Sprintf("https://%d.example", i)}
				_, err := cache.Authenticate(context.Background(), creds)
				require.NoError(t, err)
			}
			require.Len(t, store.lookedUp, tt.lookups)
			for i, creds := range store.lookedUp {
				require.Empty(t, creds.Origin)
				require.Equal(t, tt.byBearer && i > 0, creds.Bearer != "")
			}
		})
	}
	t.Run("key and token are kept apart", func(t *testing.T) {
		t.Parallel()
		cache := newCacheOnRealClock(t, inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
			return &inlet.Source{ID: c.Key + " " + c.Bearer}, nil
		}), authcache.Options{ByBearer: true})
		for _, creds := range []inlet.Credentials{{Key: "ab", Bearer: "c"}, {Key: "a", Bearer: "bc"}, {Key: "abc"}} {
			source, err := cache.Authenticate(context.Background(), creds)
			require.NoError(t, err)
			require.Equal(t, creds.Key+" "+creds.Bearer, source.ID)
		}
	})
}

// After Forget a key is looked up, whatever the cache knew of it.
func TestForget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		test func(t *testing.T, store *keyStore, cache *authcache.Cache)
	}{
		{"a revoked key", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			store.change(func() { delete(store.keys, "a") })
			requireKnown(t, cache, "a")
			cache.Forget("a")
			requireUnknown(t, cache, "a")
		}},
		{"a new key that was tried too early", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireUnknown(t, cache, "new")
			store.change(func() { store.keys["new"] = &inlet.Source{ID: "source-of-new"} })
			requireUnknown(t, cache, "new")
			cache.Forget("new")
			requireKnown(t, cache, "new")
		}},
		{"no other key", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			for _, other := range []string{"b", "", "A", "a "} {
				cache.Forget(other)
			}
			requireKnown(t, cache, "a")
			require.Equal(t, 1, store.lookups())
		}},
		{"a key whose store is down", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			cache.Forget("a")
			store.change(func() { store.err = errStoreDown })
			_, err := sourceOf(cache, "a")
			require.ErrorIs(t, err, errStoreDown)
		}},
		{"a key with a failed lookup", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			time.Sleep(2 * time.Minute)
			store.change(func() { store.err = errStoreDown })
			requireKnown(t, cache, "a")
			cache.Forget("a")
			_, err := sourceOf(cache, "a")
			require.ErrorIs(t, err, errStoreDown)
		}},
		{"every key of a source, and of no other", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.change(func() { store.keys["a2"] = store.keys["a"] })
			for _, key := range []string{"a", "a2", "b"} {
				_, err := sourceOf(cache, key)
				require.NoError(t, err)
			}
			store.change(func() { clear(store.keys) })
			cache.ForgetSource("a")
			cache.ForgetSource("")
			requireKnown(t, cache, "a")
			cache.ForgetSource("source-of-a")
			requireUnknown(t, cache, "a")
			requireUnknown(t, cache, "a2")
			requireKnown(t, cache, "b")
		}},
		{"every key", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			requireKnown(t, cache, "a")
			requireKnown(t, cache, "b")
			requireUnknown(t, cache, "new")
			store.change(func() { delete(store.keys, "a"); store.keys["new"] = &inlet.Source{ID: "source-of-new"} })
			cache.ForgetAll()
			requireUnknown(t, cache, "a")
			requireKnown(t, cache, "b")
			requireKnown(t, cache, "new")
		}},
		{"a key of a source that was disabled", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.change(func() { store.err = &inlet.Error{Code: inlet.CodeSourceDisabled} })
			_, err := sourceOf(cache, "a")
			require.Error(t, err)
			store.change(func() { store.err = nil })
			_, err = sourceOf(cache, "a")
			require.Error(t, err, "it is in memory")
			cache.ForgetSource("source-of-a")
			requireKnown(t, cache, "a")
		}},
		{"a lookup in flight does not bring back the key of a source", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.change(func() { store.delay = 100 * time.Millisecond })
			first := make(chan error, 1)
			go func() {
				_, err := sourceOf(cache, "a")
				first <- err
			}()
			time.Sleep(50 * time.Millisecond)
			store.change(func() { delete(store.keys, "a") })
			cache.ForgetSource("source-of-a")
			requireUnknown(t, cache, "a")
			require.NoError(t, <-first, "it was authenticated before")
			requireUnknown(t, cache, "a")
		}},
		{"a lookup in flight does not bring it back", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.change(func() { store.delay = 100 * time.Millisecond })
			first := make(chan error, 1)
			go func() {
				_, err := sourceOf(cache, "a")
				first <- err
			}()
			time.Sleep(50 * time.Millisecond)
			store.change(func() { delete(store.keys, "a") })
			cache.Forget("a")
			require.Equal(t, 1, cache.Stats().InFlight)
			requireUnknown(t, cache, "a")
			require.NoError(t, <-first, "it was authenticated before")
			requireUnknown(t, cache, "a")
			require.Equal(t, 2, store.lookups())
			require.Zero(t, cache.Stats().InFlight)
		}},
		{"a lookup that ends after it is not kept", func(t *testing.T, store *keyStore, cache *authcache.Cache) {
			store.change(func() { store.delay = 100 * time.Millisecond })
			first := make(chan error, 1)
			go func() {
				_, err := sourceOf(cache, "a")
				first <- err
			}()
			time.Sleep(50 * time.Millisecond)
			store.change(func() { delete(store.keys, "a") })
			cache.Forget("a")
			require.NoError(t, <-first)
			require.Zero(t, cache.Stats().Known)
			requireUnknown(t, cache, "a")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newKeyStore("a", "b")
				tt.test(t, store, newCache(t, store, authcache.Options{}))
				time.Sleep(time.Second)
			})
		})
	}
	t.Run("every token of a key", func(t *testing.T) {
		t.Parallel()
		store := newKeyStore("a", "b")
		cache := newCacheOnRealClock(t, store, authcache.Options{ByBearer: true})
		ask := func() {
			for _, key := range []string{"a", "b", "none", "none2"} {
				for _, token := range []string{"", "x", "y"} {
					_, _ = cache.Authenticate(context.Background(), inlet.Credentials{Key: key, Bearer: token})
				}
			}
		}
		ask()
		require.Equal(t, 12, store.lookups())
		cache.Forget("a")
		cache.Forget("none")
		require.Equal(t, authcache.Stats{Known: 3, Refused: 3, Lookups: 12}, cache.Stats())
		ask()
		require.Equal(t, 18, store.lookups())
	})
	t.Run("lookups that were forgotten count towards MaxLookups", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			store := newKeyStore("a")
			store.delay, store.ignoreContext = time.Second, true
			cache := newCache(t, store, authcache.Options{MaxLookups: 2})
			for range 5 {
				_, err := sourceOf(cache, "a")
				require.Error(t, err)
				cache.Forget("a")
			}
			require.Equal(t, 2, store.lookups())
			time.Sleep(2 * time.Second)
		})
	})
}

func TestStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKeyStore("a", "b")
		cache := newCache(t, store, authcache.Options{})
		for _, key := range []string{"a", "a", "b", "none", "none", "a"} {
			_, _ = sourceOf(cache, key)
		}
		require.Equal(t, authcache.Stats{Known: 2, Refused: 1, Hits: 3, Lookups: 3}, cache.Stats())
		time.Sleep(2 * time.Minute)
		store.change(func() { store.err = errStoreDown })
		requireKnown(t, cache, "a")
		requireKnown(t, cache, "a")
		_, err := sourceOf(cache, "new")
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, authcache.Stats{Known: 2, Refused: 1, Hits: 3, Lookups: 5, Failed: 2, Stale: 2}, cache.Stats())
	})
}

func TestCacheConcurrent(t *testing.T) {
	t.Parallel()
	store := newKeyStore("a", "b", "c")
	cache := newCacheOnRealClock(t, store, authcache.Options{TTL: time.Microsecond, NegativeTTL: time.Microsecond, MaxKeys: 2, MaxUnknown: 4})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 500 {
				switch i % 5 {
				case 2:
					cache.Forget(string("abc"[i%3]))
					cache.Stats()
				case 3:
					requireUnknown(t, cache, fmt.Sprint(worker, i))
				case 4:
					store.change(func() { store.lookedUp = nil })
				default:
					requireKnown(t, cache, string("abc"[i%5]))
				}
			}
		})
	}
	group.Wait()
}

func TestCacheAllocs(t *testing.T) {
	cache := newCacheOnRealClock(t, newKeyStore("ILoveData123"), authcache.Options{TTL: time.Hour, NegativeTTL: time.Hour})
	ctx := context.Background()
	for _, key := range []string{"ILoveData123", "nope"} {
		creds := inlet.Credentials{Key: key, Origin: "https://shop.example"}
		cache.Authenticate(ctx, creds)
		require.Zero(t, testing.AllocsPerRun(100, func() { cache.Authenticate(ctx, creds) }), key)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	cache := newCacheOnRealClock(b, newKeyStore("ILoveData123"), authcache.Options{TTL: time.Hour})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		cache.Authenticate(ctx, inlet.Credentials{Key: "ILoveData123"})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]authcache.Options{
		"TTL":        {TTL: -1},
		"Timeout":    {Timeout: -1},
		"MaxKeys":    {MaxKeys: -1},
		"MaxUnknown": {MaxUnknown: 1},
		"MaxLookups": {MaxLookups: -1},
	} {
		_, err := authcache.New(newKeyStore(), &o)
		require.ErrorContains(t, err, "authcache: Options: "+field+" is")
	}
	_, err := authcache.New(newKeyStore(), &authcache.Options{TTL: -1, MaxKeys: -1})
	require.ErrorContains(t, err, "TTL")
	require.ErrorContains(t, err, "MaxKeys", "the error names all faults")
	_, err = authcache.New(nil, nil)
	require.ErrorContains(t, err, "nil")
	_, err = authcache.New(newKeyStore(), nil)
	require.NoError(t, err)
}

// RELIABILITY: key store down or slow. Known keys stay valid, unknown ones get 503 with a time
// to retry, never 401.
func TestKeyStoreOutage(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*keyStore){
		"down": func(s *keyStore) { s.err = errStoreDown },
		"slow": func(s *keyStore) { s.delay = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newKeyStore("a")
				var log bytes.Buffer
				cache := newCache(t, store, authcache.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				h := middleware.Auth(cache, nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				require.Equal(t, 200, tryKey(h, "a").Code)
				store.change(func() { fail(store) })
				time.Sleep(5 * time.Minute)
				require.Equal(t, 200, tryKey(h, "a").Code)
				w := tryKey(h, "a new key")
				require.Equal(t, 503, w.Code)
				require.Contains(t, w.Body.String(), `"code":"auth_unavailable"`)
				require.Equal(t, "1", w.Header().Get("Retry-After"))
				synctest.Wait()
				require.Equal(t, 1, strings.Count(log.String(), "authcache: lookups failing"))
				require.NotContains(t, log.String(), "a new key")
				store.change(func() { store.err, store.delay = nil, 0 })
				require.Equal(t, 401, tryKey(h, "a new key").Code)
				synctest.Wait()
				require.Contains(t, log.String(), "authcache: lookups working again")
			})
		})
	}
}

// tryKey returns the answer of h to a request with a key in its header.
func tryKey(h http.Handler, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/v1/track", http.NoBody)
	r.Header.Set("X-Write-Key", key)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// RELIABILITY: timing of key compare, key enumeration. Keys that do not exist, of any form, are
// answered alike, from the cache as by a lookup.
func TestKeyEnumeration(t *testing.T) {
	t.Parallel()
	cache := newCacheOnRealClock(t, newKeyStore("a"), authcache.Options{})
	h := middleware.Auth(cache, nil)(http.NotFoundHandler())
	want := tryKey(h, "nope")
	require.Equal(t, 401, want.Code)
	for _, key := range []string{"nope", "a ", "A", "a\x00", strings.Repeat("a", 5000), "' or 1=1", "a:b"} {
		if strings.TrimSpace(key) == "a" {
			continue
		}
		for range 2 {
			w := tryKey(h, key)
			require.Equal(t, want.Code, w.Code, "%q", key)
			require.Equal(t, want.Body.String(), w.Body.String(), "%q", key)
			require.Equal(t, want.Header(), w.Header(), "%q", key)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	web := inlet.Source{ID: "web"}
	keys, err := inlet.NewKeys(map[string]inlet.Source{"old": web, "new": web})
	require.NoError(t, err)
	for _, a := range []inlet.Authenticator{keys, newCacheOnRealClock(t, keys, authcache.Options{})} {
		for _, key := range []string{"old", "new"} {
			id, err := sourceOf(a, key)
			require.NoError(t, err)
			require.Equal(t, "web", id)
		}
		requireUnknown(t, a, "older")
	}
}

// A browser key is valid for its origins, a server key for any.
func TestKeyOrigins(t *testing.T) {
	t.Parallel()
	keys := inlet.MustKeys(map[string]inlet.Source{
		"browser": {ID: "shop", Origins: []string{"https://shop.example", "https://Pay.Example:8443/"}},
		"server":  {ID: "backend"},
	})
	cached := newCacheOnRealClock(t, keys, authcache.Options{})
	for _, tt := range []struct {
		key     string
		origins []string // lines of the header
		status  int
	}{
		{"browser", []string{"https://shop.example"}, 200},
		{"browser", []string{"HTTPS://SHOP.EXAMPLE"}, 200},
		{"browser", []string{"https://pay.example:8443"}, 200},
		{"browser", []string{"https://pay.example"}, 403},
		{"browser", []string{"http://shop.example"}, 403},
		{"browser", []string{"https://shop.example.evil.example"}, 403},
		{"browser", []string{"https://evilshop.example"}, 403},
		{"browser", []string{"https://shop.example:444"}, 403},
		{"browser", []string{"https://shop.example/"}, 403}, // no browser sends a path
		{"browser", []string{"null"}, 403},
		{"browser", []string{""}, 403},
		{"browser", []string{"*"}, 403},
		{"browser", nil, 403},
		{"server", nil, 200},
		{"server", []string{"null"}, 200},
		{"server", []string{"https://shop.example"}, 200},
		{"server", []string{"https://evil.example"}, 200},
	} {
		for name, a := range map[string]inlet.Authenticator{"fixed": keys, "cached": cached} {
			t.Run(fmt.Sprint(name, " ", tt.key, " key from ", tt.origins), func(t *testing.T) {
				t.Parallel()
				h := middleware.Auth(a, nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				r := httptest.NewRequest("POST", "/v1/track", http.NoBody)
				r.Header.Set("X-Write-Key", tt.key)
				r.Header["Origin"] = tt.origins
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, tt.status, w.Code)
				if tt.status == 403 {
					body, _ := io.ReadAll(w.Body)
					require.Contains(t, string(body), `"code":"origin_not_allowed"`)
				}
			})
		}
	}
}

// originStore is a keyStore that knows origins.
type originStore struct {
	*keyStore
	allowed map[string]bool // changed in change alone
	asked   int
}

func (s *originStore) AllowsOrigin(ctx context.Context, origin string) bool {
	s.mu.Lock()
	s.asked++
	allowed, err, delay := s.allowed[origin], s.err, s.delay
	s.mu.Unlock()
	if origin == "https://panic.example" {
		panic("broken")
	}
	if err != nil { // of a database that does not answer
		delay = time.Hour
	}
	select {
	case <-time.After(delay):
		return allowed
	case <-ctx.Done():
		return false
	}
}

// Origins are cached like keys.
func TestAllowsOrigin(t *testing.T) {
	t.Parallel()
	const site, other = "https://shop.example", "https://other.example"
	for _, tt := range []struct {
		name string
		test func(t *testing.T, store *originStore, allows func(string) bool)
	}{
		{"an allowed one expires with its TTL", func(t *testing.T, store *originStore, allows func(string) bool) {
			require.True(t, allows(site))
			store.change(func() { clear(store.allowed) })
			time.Sleep(time.Minute - 1)
			require.True(t, allows(site))
			require.Equal(t, 1, store.asked)
			time.Sleep(time.Nanosecond)
			require.False(t, allows(site))
		}},
		{"a new one is allowed after the negative TTL", func(t *testing.T, store *originStore, allows func(string) bool) {
			require.False(t, allows(other))
			store.change(func() { store.allowed[other] = true })
			require.False(t, allows(other))
			require.Equal(t, 1, store.asked)
			time.Sleep(10 * time.Second)
			require.True(t, allows(other))
		}},
		{"a store that is down", func(t *testing.T, store *originStore, allows func(string) bool) {
			require.True(t, allows(site))
			time.Sleep(time.Minute)
			store.change(func() { store.err, store.allowed[other] = errStoreDown, true })
			require.True(t, allows(site), "it is still known from before")
			began := time.Now()
			require.False(t, allows(other))
			require.Equal(t, 250*time.Millisecond, time.Since(began))
			synctest.Wait() // the lookup ends, too
			store.change(func() { store.err = nil })
			require.True(t, allows(other), "no answer is not remembered as one")
			store.change(func() { store.err = errStoreDown })
			time.Sleep(11 * time.Minute)
			require.False(t, allows(site))
		}},
		{"many requests, one question", func(t *testing.T, store *originStore, allows func(string) bool) {
			store.delay = 100 * time.Millisecond
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() { assert.True(t, allows(site)) })
			}
			group.Wait()
			require.Equal(t, 1, store.asked)
		}},
		{"a panic", func(t *testing.T, _ *originStore, allows func(string) bool) {
			require.False(t, allows("https://panic.example"))
			require.True(t, allows(site))
		}},
		{"keys are not origins", func(t *testing.T, store *originStore, allows func(string) bool) {
			require.False(t, allows("a"))
			require.Empty(t, store.lookedUp)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &originStore{keyStore: newKeyStore("a"), allowed: map[string]bool{site: true}}
				cache := newCache(t, store, authcache.Options{})
				tt.test(t, store, func(origin string) bool { return cache.AllowsOrigin(t.Context(), origin) })
				_, err := sourceOf(cache, site)
				require.Error(t, err, "an origin is no key")
			})
		})
	}
	t.Run("the answers to pages", func(t *testing.T) {
		t.Parallel()
		keys := inlet.MustKeys(map[string]inlet.Source{"a": {ID: "a", Origins: []string{"https://*.shop.example"}}})
		h := middleware.Standard(newCacheOnRealClock(t, keys, authcache.Options{ByBearer: true}), &middleware.StandardOptions{
			SourceOrigins: true, NoAccessLog: true,
		})(http.NotFoundHandler())
		for origin, want := range map[string]string{"https://www.shop.example": "https://www.shop.example", other: ""} {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodOptions, "/v1/track", http.NoBody)
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", http.MethodPost)
			r.Header.Set("Authorization", "Bearer any")
			h.ServeHTTP(w, r)
			require.Equal(t, want, w.Header().Get("Access-Control-Allow-Origin"))
		}
	})
	for name, forget := range map[string]func(*authcache.Cache){
		"forgotten with a source":   func(c *authcache.Cache) { c.ForgetSource("source-of-a") },
		"forgotten with everything": (*authcache.Cache).ForgetAll,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &originStore{keyStore: newKeyStore("a"), allowed: map[string]bool{site: true}}
				cache := newCache(t, store, authcache.Options{})
				require.True(t, cache.AllowsOrigin(t.Context(), site))
				require.False(t, cache.AllowsOrigin(t.Context(), other))
				store.change(func() { store.allowed = map[string]bool{other: true} })
				forget(cache)
				require.False(t, cache.AllowsOrigin(t.Context(), site))
				require.True(t, cache.AllowsOrigin(t.Context(), other))
			})
		})
	}
	t.Run("an authenticator that does not know origins", func(t *testing.T) {
		t.Parallel()
		cache := newCache(t, newKeyStore("a"), authcache.Options{})
		require.False(t, cache.AllowsOrigin(t.Context(), site))
	})
}
