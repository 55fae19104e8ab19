package redislimit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/middleware"
)

// A world is several limiters with one Redis, in a time of their own.
type world struct {
	t     testing.TB
	now   atomic.Int64 // in µs
	nodes []*Limiter
}

func newWorld(t testing.TB, s *server, nodes int, o Options) *world {
	t.Helper()
	w := &world{t: t}
	w.now.Store(1_000_000_000)
	o.Prefix, o.Logger = t.Name()+":", quiet
	for range nodes {
		l, err := New(t.Context(), s.url(), &o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		l.clock = func() time.Duration { return time.Duration(w.now.Load()) * time.Microsecond }
		l.moment = w.now.Load
		w.nodes = append(w.nodes, l)
	}
	return w
}

func (w *world) pass(d time.Duration) { w.now.Add(d.Microseconds()) }

func (w *world) take(node int, c middleware.Charge) middleware.Quota {
	w.t.Helper()
	q, err := w.nodes[node].Take(w.t.Context(), c)
	require.NoError(w.t, err)
	return q
}

// one is a charge of a request.
func one(name string, rate float64, burst int) middleware.Charge {
	return middleware.Charge{Policy: "p", Name: name, Requests: middleware.Draw{Rate: rate, Burst: burst, Cost: 1}}
}

// Not parallel: it looks at all goroutines.
func TestLeak(t *testing.T) {
	s := start(t)
	running := func() bool {
		stacks := make([]byte, 1<<20)
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("rueidis."))
	}
	l, err := New(t.Context(), s.url(), nil)
	require.NoError(t, err)
	_, err = l.Take(t.Context(), one("a", 1, 2))
	require.NoError(t, err)
	require.True(t, running())
	require.NoError(t, l.Close())
	require.Eventually(t, func() bool { return !running() }, patience, time.Millisecond)
}

func TestTake(t *testing.T) {
	t.Parallel()
	s := start(t)
	t.Run("a burst, a refusal, and a token later", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 2, Options{})
		require.Equal(t, middleware.Quota{OK: true, Limit: 2, Remaining: 1, Reset: time.Second}, w.take(0, one("a", 1, 2)))
		require.Equal(t, middleware.Quota{OK: true, Limit: 2, Remaining: 0, Reset: 2 * time.Second}, w.take(1, one("a", 1, 2)))
		for node := range 2 {
			q := w.take(node, one("a", 1, 2))
			require.Equal(t, middleware.Quota{Limit: 2, Reset: 2 * time.Second, RetryAfter: time.Second}, q, node)
		}
		require.True(t, w.take(0, one("b", 1, 2)).OK, "another key")
		exchanges := w.nodes[0].Stats().Exchanges
		w.pass(999 * time.Millisecond)
		require.False(t, w.take(0, one("a", 1, 2)).OK)
		require.Equal(t, exchanges, w.nodes[0].Stats().Exchanges, "what cannot be granted yet is not asked for")
		w.pass(time.Millisecond)
		require.True(t, w.take(0, one("a", 1, 2)).OK)
		require.False(t, w.take(1, one("a", 1, 2)).OK)
	})
	t.Run("all draws or none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 1, Options{})
		c := one("a", 1, 5)
		c.Events = middleware.Draw{Rate: 2, Burst: 20, Cost: 15}
		require.Equal(t, middleware.Quota{OK: true, Unit: middleware.UnitEvents, Limit: 20, Remaining: 5, Reset: 7500 * time.Millisecond}, w.take(0, c))
		require.Equal(t, middleware.Quota{Unit: middleware.UnitEvents, Limit: 20, Remaining: 5, Reset: 7500 * time.Millisecond, RetryAfter: 5 * time.Second}, w.take(0, c))
		require.Equal(t, 3, w.take(0, one("a", 1, 5)).Remaining, "the refusal took no request")
	})
	t.Run("a full bucket grants a higher cost, and owes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 2, Options{})
		c := one("a", 10, 5)
		c.Requests.Cost = 25
		require.True(t, w.take(0, c).OK)
		w.pass(2 * time.Second)
		require.False(t, w.take(1, one("a", 10, 5)).OK)
		w.pass(100 * time.Millisecond)
		require.True(t, w.take(1, one("a", 10, 5)).OK)
		require.False(t, w.take(0, c).OK, "it is not full")
	})
	t.Run("a draw without a cost needs one token and takes none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 1, Options{})
		ask := one("a", 1, 1)
		ask.Requests.Cost = 0
		for range 3 {
			require.True(t, w.take(0, ask).OK)
		}
		require.True(t, w.take(0, one("a", 1, 1)).OK)
		require.False(t, w.take(0, ask).OK)
	})
	t.Run("a negative cost returns tokens, up to the burst", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 1, Options{})
		back := one("a", 0.001, 3)
		back.Requests.Cost = -2
		for range 3 {
			require.True(t, w.take(0, one("a", 0.001, 3)).OK)
		}
		require.True(t, w.take(0, back).OK)
		granted := 0
		for range 9 {
			if w.take(0, one("a", 0.001, 3)).OK {
				granted++
			}
		}
		require.Equal(t, 2, granted)
	})
	t.Run("a new rate keeps what is missing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 1, Options{})
		for range 10 {
			require.True(t, w.take(0, one("a", 1, 10)).OK)
		}
		w.pass(time.Second)
		require.True(t, w.take(0, one("a", 2, 10)).OK)
		require.False(t, w.take(0, one("a", 2, 10)).OK)
		w.pass(500 * time.Millisecond)
		require.True(t, w.take(0, one("a", 2, 10)).OK)
	})
	t.Run("keys that look alike", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 2, Options{})
		long := strings.Repeat("n", 300)
		for _, c := range []middleware.Charge{
			{}, {Policy: "a", Name: "b"}, {Policy: "a"}, {Name: "a"}, {Policy: "a", Name: "|b"}, {Policy: "a", Name: "b\x00"}, {Policy: "a", Name: "\xff"},
			{Policy: "a", Name: "b", IP: netip.MustParseAddr("203.0.113.7")}, {Policy: "a", Name: "203.0.113.7|b"},
			{Policy: "a", Name: long}, {Policy: "a", Name: long + "n"}, {Policy: "a", Name: long, IP: netip.MustParseAddr("::1")},
		} {
			c.Requests = middleware.Draw{Rate: 1, Burst: 1, Cost: 1}
			require.True(t, w.take(0, c).OK, "%q", c)
			require.False(t, w.take(1, c).OK, "%q", c)
		}
	})
	t.Run("what others draw and return while Redis is asked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 2, Options{})
		with := func(c middleware.Charge, cost int) middleware.Charge {
			c.Requests.Cost = cost
			return c
		}
		// meanwhile makes a charge during the next exchange.
		meanwhile := func(c middleware.Charge) {
			w.nodes[0].moment = func() int64 {
				w.nodes[0].moment = w.now.Load
				require.True(t, w.take(0, c).OK)
				return w.now.Load()
			}
		}
		a := one("a", 0.001, 3)
		require.True(t, w.take(1, with(a, 3)).OK)
		meanwhile(with(a, -2))
		require.Equal(t, middleware.Quota{OK: true, Limit: 3, Remaining: 1, Reset: 2000 * time.Second}, w.take(0, a), "returned")
		b := one("b", 0.001, 5)
		require.True(t, w.take(0, with(b, -5)).OK)
		meanwhile(with(b, 5))
		q := w.take(0, with(b, 6))
		require.True(t, q.OK)
		require.Zero(t, q.Remaining, "drawn")
	})
	t.Run("a clock that goes back", func(t *testing.T) {
		t.Parallel()
		for _, back := range []time.Duration{time.Millisecond, 500 * time.Millisecond, time.Hour} {
			w := newWorld(t, s, 1, Options{})
			w.now.Store(1_000_000_000_000)
			c := one(back.String(), 1, 2)
			c.Events = middleware.Draw{Rate: 1, Burst: 10, Cost: 1}
			require.True(t, w.take(0, c).OK)
			require.True(t, w.take(0, one(c.Name, 1, 2)).OK)
			redis := w.now.Load() - back.Microseconds()
			w.nodes[0].moment = func() int64 { return redis + w.now.Load() - 1_000_000_000_000 }
			// A server that does not remember the key asks each time.
			take := func() bool {
				w.nodes[0].table = newTable(10)
				return w.take(0, one(c.Name, 1, 2)).OK
			}
			require.False(t, take(), back)
			require.False(t, take(), back)
			w.pass(time.Second)
			require.True(t, take(), back)
			require.False(t, take(), back)
			c.Requests = middleware.Draw{}
			w.nodes[0].table = newTable(10)
			require.Equal(t, 9, w.take(0, c).Remaining, "the other bucket has been filled, too")
		}
	})
	t.Run("a debt of more than a lifetime", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 2, Options{})
		for _, rate := range []float64{1e-300, 1e-9, 1e-3} {
			c := one(fmt.Sprint(rate), rate, 1)
			c.Requests.Cost = 1e9
			require.True(t, w.take(0, c).OK)
			for node := range 2 {
				q := w.take(node, c)
				require.False(t, q.OK)
				require.Positive(t, q.RetryAfter)
				require.Zero(t, q.Remaining)
			}
			l := w.nodes[0]
			ttl, err := l.client.Do(t.Context(), l.client.B().Pttl().Key(l.o.Prefix+"p||"+c.Name).Build()).AsInt64()
			require.NoError(t, err)
			require.Positive(t, ttl, "it does not stay forever")
		}
	})
	t.Run("limits at the edges", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 1, Options{})
		for _, rate := range []float64{1e-300, 1e-9, 1, 1e9, 1e300} {
			for _, burst := range []int{1, 1e9, 1 << 53, math.MaxInt} {
				c := one(fmt.Sprint(rate, burst), rate, burst)
				q := w.take(0, c)
				require.True(t, q.OK)
				require.Equal(t, burst, q.Limit)
				require.GreaterOrEqual(t, q.Remaining, 0)
				require.LessOrEqual(t, q.Remaining, burst)
				require.GreaterOrEqual(t, q.Reset, time.Duration(0))
				if burst == 1 {
					require.False(t, w.take(0, c).OK)
				}
			}
		}
	})
	t.Run("a key that is full again is gone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 1, Options{})
		l := w.nodes[0]
		require.True(t, w.take(0, one("a", 100, 100)).OK)
		ttl, err := l.client.Do(t.Context(), l.client.B().Pttl().Key(l.o.Prefix+"p||a").Build()).AsInt64()
		require.NoError(t, err)
		require.LessOrEqual(t, ttl, int64(1010))
		require.Positive(t, ttl)
	})
}

// Whatever comes, the servers together are granted no more than the documents say.
func TestBound(t *testing.T) {
	t.Parallel()
	s := start(t)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 0))
			const nodes = 3
			rate, burst := []float64{2, 50, 1000}[seed%3], 1+r.IntN(400)
			w := newWorld(t, s, nodes, Options{})
			slack := nodes * min(max(1, rate*0.1), float64(burst))
			level, last := float64(burst), w.now.Load()
			for range 4000 {
				w.pass(time.Duration(r.ExpFloat64() * 2 / rate * float64(time.Second)))
				for range r.IntN(4) {
					c := one("a", rate, burst)
					c.Requests.Cost = r.IntN(4)
					level = min(float64(burst), level+rate*float64(w.now.Load()-last)/1e6)
					last = w.now.Load()
					if w.take(r.IntN(nodes), c).OK {
						level -= float64(c.Requests.Cost)
					}
					require.GreaterOrEqual(t, level, -slack-1e-3)
				}
			}
			var held float64
			for _, l := range w.nodes {
				held += l.table.lookup(&middleware.Charge{Policy: "p", Name: "a"}).leases[0].held
			}
			require.LessOrEqual(t, held, slack)
		})
	}
}

// Clients that send more than they may are granted the rate, however they spread over the servers.
func TestRate(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		name    string
		rate    float64
		burst   int
		offered [3]int // a second, at each server
		most    float64
	}{
		{"evenly", 1000, 1000, [3]int{1000, 1000, 1000}, 0.2},
		{"at one server most", 1000, 1000, [3]int{3000, 50, 5}, 0.2},
		{"at one server only", 1000, 1000, [3]int{4000, 0, 0}, 0.2},
		{"a small burst", 1000, 20, [3]int{2000, 2000, 2000}, 0.6},
		{"a low rate", 20, 20, [3]int{50, 50, 50}, 0.6},
		{"a high rate", 5000, 5000, [3]int{5000, 5000, 5000}, 0.1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s, 3, Options{})
			const seconds = 10
			r, granted, offered := rand.New(rand.NewPCG(1, 2)), 0, 0
			for range seconds * 1000 {
				w.pass(time.Millisecond)
				for node, n := range tt.offered {
					for range poisson(r, float64(n)/1000) {
						offered++
						if w.take(node, one("a", tt.rate, tt.burst)).OK {
							granted++
						}
					}
				}
			}
			may := tt.rate*seconds + float64(tt.burst)
			require.InEpsilon(t, may, granted, 0.1)
			require.LessOrEqual(t, float64(granted), may+3*min(tt.rate/10, float64(tt.burst)))
			exchanges := uint64(0)
			for _, l := range w.nodes {
				exchanges += l.Stats().Exchanges
			}
			t.Logf("%.0f/s, burst %d, %v/s sent to each: granted %.1f %%, %.3f exchanges for each request",
				tt.rate, tt.burst, tt.offered, 100*float64(granted)/may, float64(exchanges)/float64(offered))
			require.LessOrEqual(t, float64(exchanges)/float64(offered), tt.most, "exchanges for each request")
		})
	}
	t.Run("below the rate", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, s, 3, Options{})
		for range 3000 {
			w.pass(time.Millisecond)
			for node := range 3 {
				require.True(t, w.take(node, one("a", 3200, 3200)).OK)
			}
		}
		for _, l := range w.nodes {
			require.LessOrEqual(t, l.Stats().Exchanges, uint64(60), "for 3,000 requests")
		}
	})
}

func poisson(r *rand.Rand, mean float64) (n int) {
	for left := mean - r.ExpFloat64(); left > 0; left -= r.ExpFloat64() {
		n++
	}
	return n
}

// With the time standing still, tokens are granted once, whatever happens at once.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := start(t)
	w := newWorld(t, s, 3, Options{})
	var granted atomic.Int64
	var done sync.WaitGroup
	for i := range 24 {
		done.Go(func() {
			for range 200 {
				q, err := w.nodes[i%3].Take(t.Context(), one("a", 1000, 1500))
				if err != nil {
					t.Error(err)
				}
				if q.OK {
					granted.Add(1)
				}
			}
		})
	}
	done.Wait()
	held := 0.0
	for _, l := range w.nodes {
		held += l.table.lookup(&middleware.Charge{Policy: "p", Name: "a"}).leases[0].held
	}
	require.EqualValues(t, 1500, float64(granted.Load())+held)
}

func TestOutage(t *testing.T) {
	t.Parallel()
	t.Run("killed, and back", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		l, err := New(t.Context(), s.url(), &Options{Logger: quiet})
		require.NoError(t, err)
		defer l.Close()
		require.NoError(t, l.Check(t.Context()))
		s.kill()
		_, err = l.Take(t.Context(), one("a", 1, 2))
		require.Error(t, err)
		require.Error(t, l.Check(t.Context()))
		s.run(t)
		require.Eventually(t, func() bool { return l.Check(t.Context()) == nil }, patience, 5*time.Millisecond)
		q, err := l.Take(t.Context(), one("a", 1, 2))
		require.NoError(t, err)
		require.True(t, q.OK)
		require.NotZero(t, l.Stats().Failures)
	})
	t.Run("not there at the start", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.kill()
		log := new(bytes.Buffer)
		l, err := New(t.Context(), s.url(), &Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, err)
		defer l.Close()
		require.Contains(t, log.String(), "redislimit: Redis cannot be reached yet")
		s.run(t)
		require.Eventually(t, func() bool { return l.Check(t.Context()) == nil }, patience, 5*time.Millisecond)
	})
	for name, stopped := range map[string]func(*testing.T, *server, *Limiter){
		"it hangs": func(*testing.T, *server, *Limiter) {},
		"it hangs while a connection is made": func(t *testing.T, s *server, l *Limiter) {
			s.kill()
			require.Eventually(t, func() bool { return l.Check(t.Context()) != nil }, patience, time.Millisecond)
			s.run(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			l, err := New(t.Context(), s.url(), &Options{Logger: quiet})
			require.NoError(t, err)
			defer l.Close()
			stopped(t, s, l)
			s.signal(t, syscall.SIGSTOP)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			var done sync.WaitGroup
			for range 4 {
				done.Go(func() {
					if _, err := l.Take(ctx, one("a", 1, 2)); err == nil {
						t.Error("a charge without an answer")
					}
				})
			}
			done.Wait()
			s.signal(t, syscall.SIGCONT)
			require.Eventually(t, func() bool {
				_, err := l.Take(t.Context(), one("b", 1, 1000))
				return err == nil
			}, patience, 5*time.Millisecond)
		})
	}
	t.Run("the layer limits on its own meanwhile", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		l, err := New(t.Context(), s.url(), &Options{Logger: quiet})
		require.NoError(t, err)
		defer l.Close()
		s.kill()
		h := middleware.RateLimit(&middleware.RateLimitOptions{
			Rate: 0.001, Burst: 2, Limiter: l, Logger: quiet,
			Key: func(*http.Request) (middleware.RateKey, bool) { return middleware.RateKey{Name: "a"}, true },
		})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		var codes []int
		for range 4 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
			codes = append(codes, w.Code)
		}
		require.Equal(t, []int{200, 200, 429, 429}, codes)
	})
	t.Run("closed while charges wait, and nothing is left running", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		l, err := New(t.Context(), s.url(), nil)
		require.NoError(t, err)
		s.signal(t, syscall.SIGSTOP)
		var done sync.WaitGroup
		for range 4 {
			done.Go(func() {
				_, _ = l.Take(t.Context(), one("a", 1, 2))
			})
		}
		require.Eventually(t, func() bool { return l.Stats().Charges == 4 }, patience, time.Millisecond)
		require.NoError(t, l.Close())
		s.kill()
		done.Wait()
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		l, err := New(t.Context(), s.url(), nil)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		_, err = l.Take(t.Context(), one("a", 1, 2))
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, l.Check(t.Context()), ErrClosed)
	})
	t.Run("a client of the caller's stays open", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		own, err := New(t.Context(), s.url(), nil)
		require.NoError(t, err)
		defer own.Close()
		l, err := NewWithClient(own.client, nil)
		require.NoError(t, err)
		q, err := l.Take(t.Context(), one("a", 1, 2))
		require.NoError(t, err)
		require.True(t, q.OK)
		require.NoError(t, l.Close())
		require.NoError(t, own.Check(t.Context()))
	})
	t.Run("a wrong password, and none of it in texts", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--requirepass", "right-password")
		log := new(bytes.Buffer)
		l, err := New(t.Context(), "unix://:s3cret%2Fword@"+s.socket(), &Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, err)
		defer l.Close()
		_, err = l.Take(t.Context(), one("a", 1, 2))
		require.ErrorContains(t, err, "WRONGPASS")
		for _, text := range []string{err.Error(), log.String(), l.String(), fmt.Sprintf("%+v", l.Check(t.Context()))} {
			require.NotContains(t, text, "s3cret")
		}
	})
}

// BenchmarkTake is a charge of a key that is often used, in addition to that of a MemoryLimiter.
func BenchmarkTake(b *testing.B) {
	s := start(b)
	l, err := New(b.Context(), s.url(), &Options{Logger: quiet})
	require.NoError(b, err)
	defer l.Close()
	local, err := middleware.NewMemoryLimiter(nil)
	require.NoError(b, err)
	for _, tt := range []struct {
		name    string
		limiter middleware.Limiter
	}{{"memory", local}, {"redis", l}} {
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := tt.limiter.Take(b.Context(), one("a", 1e6, 1e6)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("redis, a key of its own each", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := l.Take(b.Context(), one(fmt.Sprint(i), 10, 10)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
