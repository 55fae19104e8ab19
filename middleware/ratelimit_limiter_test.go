package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/inlet-go/inlet/middleware"
)

// A store is a shared limiter that can fail.
type store struct {
	middleware.Limiter
	down   error
	hang   bool
	called int
	last   middleware.Charge
}

func (s *store) Take(ctx context.Context, c middleware.Charge) (middleware.Quota, error) {
	s.called++
	s.last = c
	if s.hang {
		<-ctx.Done()
		return middleware.Quota{}, ctx.Err()
	}
	if s.down != nil {
		return middleware.Quota{}, s.down
	}
	return s.Limiter.Take(ctx, c)
}

func newStore(t *testing.T) *store {
	t.Helper()
	l, err := middleware.NewMemoryLimiter(nil)
	require.NoError(t, err)
	return &store{Limiter: l}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	options := func(s *store, onError middleware.LimiterFailure) middleware.RateLimitOptions {
		return middleware.RateLimitOptions{Rate: 1, Burst: 2, Key: middleware.ByIP, Limiter: s, OnError: onError, Logger: quiet}
	}
	t.Run("two layers with one limiter count together", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			a, b := limited(options(s, middleware.FailOpen)), limited(options(s, middleware.FailOpen))
			require.Equal(t, 1, passed(a, call{from: "203.0.113.7:1"}, 1))
			require.Equal(t, 1, passed(b, call{from: "203.0.113.7:1"}, 5))
			require.Equal(t, middleware.Charge{
				Policy: "default", IP: ip("203.0.113.7"), Requests: middleware.Draw{Rate: 1, Burst: 2, Cost: 1},
			}, s.last)
		})
	})
	t.Run("two layers with one limiter and policies of their own count apart", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			shared := newStore(t).Limiter
			layer := func(policy string) http.Handler {
				return limited(middleware.RateLimitOptions{Rate: 1, Burst: 2, EventRate: 1, Key: middleware.ByIP, Policy: policy, Limiter: shared})
			}
			a, b := layer("a"), layer("b")
			require.Equal(t, 2, passed(a, call{}, 5))
			require.Equal(t, 2, passed(b, call{}, 5))
			require.Equal(t, 0, passed(layer("a"), call{}, 5))
			// Keys whose texts are the same when joined have counters of their own too.
			for _, c := range []middleware.Charge{
				{Policy: "ab", Name: "c"}, {Policy: "a", Name: "bc"}, {Policy: "abc"}, {Name: "abc"}, {Policy: "ab", Name: "c", IP: ip("0.0.0.1")},
			} {
				c.Requests = middleware.Draw{Rate: 1, Burst: 1, Cost: 1}
				q, err := shared.Take(t.Context(), c)
				require.NoError(t, err)
				require.True(t, q.OK, "%v", c)
			}
		})
	})
	for _, tt := range []struct {
		name    string
		onError middleware.LimiterFailure
		passed  int
		status  int
	}{
		{"down: falls back to one of the process", middleware.FallBackLocal, 2, 429},
		{"down: fails open", middleware.FailOpen, 9, 200},
		{"down: fails closed", middleware.FailClosed, 0, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.down = errors.New("connection refused")
				h := limited(options(s, tt.onError))
				require.Equal(t, tt.passed, passed(h, call{}, 9))
				w := call{}.do(h)
				require.Equal(t, tt.status, w.Code)
				if tt.status != 200 {
					require.NotEmpty(t, w.Header().Get("Retry-After"))
				}
				require.NotContains(t, w.Body.String(), "connection refused")
				require.Equal(t, 1, s.called, "it is not called again for a second")
				s.down = nil
				time.Sleep(time.Second)
				require.Equal(t, 2, passed(h, call{}, 9), "it is called again after that")
			})
		})
	}
	t.Run("a limiter that hangs delays one request", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			s.hang = true
			h := limited(options(s, middleware.FailOpen))
			start := time.Now()
			require.Equal(t, 9, passed(h, call{}, 9))
			require.Equal(t, 100*time.Millisecond, time.Since(start))
		})
	})
	t.Run("a client that leaves is not a failure of the limiter", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.hang = true
		h := limited(options(s, middleware.FailClosed))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		answered(h, call{}.request().WithContext(gone))
		s.hang = false
		require.Equal(t, 1, passed(h, call{}, 1))
	})
	t.Run("a failure is logged once per second, with its cause", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			s.down = errors.New("connection refused")
			o, log := options(s, middleware.FailOpen), new(bytes.Buffer)
			o.Logger = slog.New(slog.NewTextHandler(log, nil))
			passed(limited(o), call{}, 9)
			require.Equal(t, 1, strings.Count(log.String(), "connection refused"))
		})
	})
	t.Run("one charge before the body is read, one after", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		h, _ := contentLimited(t, middleware.RateLimitOptions{EventRate: 5, Limiter: s}, web)
		require.Equal(t, http.StatusOK, events(3).do(h).Code)
		require.Equal(t, 2, s.called)
		require.Equal(t, middleware.Charge{
			Policy: "default", Name: "web", Events: middleware.Draw{Rate: 5, Burst: 50, Cost: 3}, Bytes: middleware.Draw{Cost: len(batch(3))},
		}, s.last)
	})
}

func TestMemoryLimiter(t *testing.T) {
	t.Parallel()
	t.Run("a negative number of keys", func(t *testing.T) {
		t.Parallel()
		_, err := middleware.NewMemoryLimiter(&middleware.MemoryLimiterOptions{MaxKeys: -1})
		require.EqualError(t, err, "middleware: MemoryLimiterOptions: MaxKeys is -1, must be at least 1")
	})
	t.Run("the quota is that of the unit with the least left", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newStore(t).Limiter
			c := middleware.Charge{
				Requests: middleware.Draw{Rate: 1, Burst: 10, Cost: 1},
				Events:   middleware.Draw{Rate: 2, Burst: 20, Cost: 14},
			}
			q, err := l.Take(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, middleware.Quota{OK: true, Unit: middleware.UnitEvents, Limit: 20, Remaining: 6, Reset: 7 * time.Second}, q)
			q, err = l.Take(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, middleware.Quota{Unit: middleware.UnitEvents, Limit: 20, Remaining: 6, Reset: 7 * time.Second, RetryAfter: 4 * time.Second}, q)
			c.Events = middleware.Draw{}
			q, err = l.Take(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, 8, q.Remaining, "the refusal took no request")
		})
	})
	t.Run("stats", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l, err := middleware.NewMemoryLimiter(&middleware.MemoryLimiterOptions{MaxKeys: 2})
			require.NoError(t, err)
			take := func(name string) {
				_, err := l.Take(t.Context(), middleware.Charge{Name: name, Requests: middleware.Draw{Rate: 1, Burst: 1, Cost: 1}})
				require.NoError(t, err)
			}
			take("a")
			take("a") // refused
			take("b")
			require.Equal(t, middleware.MemoryLimiterStats{Charges: 3, Refused: 1}, l.Stats())
			take("c") // evicts one that is not full
			require.Equal(t, middleware.MemoryLimiterStats{Charges: 4, Refused: 1, Evicted: 1}, l.Stats())
			time.Sleep(2 * time.Second)
			take("d") // evicts one that is
			require.Equal(t, middleware.MemoryLimiterStats{Charges: 5, Refused: 1, Evicted: 1}, l.Stats())
		})
	})
	t.Run("a key that owes events is not evicted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l, err := middleware.NewMemoryLimiter(&middleware.MemoryLimiterOptions{MaxKeys: 2})
			require.NoError(t, err)
			take := func(c middleware.Charge) bool {
				q, err := l.Take(t.Context(), c)
				require.NoError(t, err)
				return q.OK
			}
			request, events := middleware.Draw{Rate: 1, Burst: 1, Cost: 1}, middleware.Draw{Rate: 1, Burst: 1, Cost: 9}
			require.True(t, take(middleware.Charge{Name: "owes a request", Requests: request}))
			require.True(t, take(middleware.Charge{Name: "owes events", Events: events}))
			require.True(t, take(middleware.Charge{Name: "new", Requests: request}))
			require.False(t, take(middleware.Charge{Name: "owes events", Events: events}))
		})
	})
	t.Run("a negative cost returns tokens, up to the burst", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newStore(t).Limiter
			left := func(cost int) int {
				q, err := l.Take(t.Context(), middleware.Charge{Events: middleware.Draw{Rate: 1, Burst: 10, Cost: cost}})
				require.NoError(t, err)
				require.True(t, q.OK)
				return q.Remaining
			}
			require.Equal(t, 10, left(-5), "a new bucket is full")
			require.Equal(t, 0, left(30))
			require.Equal(t, 0, left(-15), "5 are still owed")
			require.Equal(t, 3, left(-8))
			require.Equal(t, 10, left(-100))
			require.Equal(t, 0, left(10))
		})
	})
	t.Run("a draw without a rate is granted", func(t *testing.T) {
		t.Parallel()
		q, err := newStore(t).Limiter.Take(t.Context(), middleware.Charge{Events: middleware.Draw{Cost: 5}})
		require.NoError(t, err)
		require.True(t, q.OK)
	})
}

// The table grants what one limiter of x/time/rate per key would.
func TestMemoryLimiterModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			l := newStore(t).Limiter
			names := []string{"a", "b", "c"}
			limiters := map[string]*rate.Limiter{}
			draws := map[string]middleware.Draw{}
			for _, name := range names {
				draws[name] = middleware.Draw{Rate: 1000 * random.Float64(), Burst: 1 + random.IntN(50)}
				limiters[name] = rate.NewLimiter(rate.Limit(draws[name].Rate), draws[name].Burst)
			}
			for range 2000 {
				time.Sleep(time.Duration(random.Int64N(int64(10 * time.Millisecond))))
				name := names[random.IntN(len(names))]
				d := draws[name]
				d.Cost = 1 + random.IntN(d.Burst)
				want := limiters[name].AllowN(time.Now(), d.Cost)
				q, err := l.Take(t.Context(), middleware.Charge{Name: name, Requests: d})
				require.NoError(t, err)
				require.Equal(t, want, q.OK)
				require.InDelta(t, limiters[name].Tokens(), float64(q.Remaining), 1.001)
			}
		})
	}
}

// A million addresses, in a table for a sixteenth of them, neither limit a client that keeps to its
// limit nor free one that does not.
func TestMemoryLimiterFlood(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a second")
	}
	synctest.Test(t, func(t *testing.T) {
		l := newStore(t).Limiter
		take := func(addr netip.Addr) bool {
			q, err := l.Take(t.Context(), middleware.Charge{IP: addr, Requests: middleware.Draw{Rate: 10, Burst: 20, Cost: 1}})
			require.NoError(t, err)
			return q.OK
		}
		honest, greedy := ip("203.0.113.7"), ip("203.0.113.8")
		passed := 0
		for n := range 1_000_000 {
			for range 2 {
				take(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
			}
			if n%10_000 != 0 {
				continue
			}
			time.Sleep(100 * time.Millisecond)
			require.True(t, take(honest), "at its rate, after %d others", n)
			for range 10 {
				if take(greedy) {
					passed++
				}
			}
		}
		require.LessOrEqual(t, passed, 20+100, "ten seconds at ten a second, and one burst")
	})
}
