package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

func limited(o middleware.RateLimitOptions) http.Handler {
	return middleware.RateLimit(&o)(status(200))
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	t.Run("a burst passes, then as many as the rate lets grow back", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 2, Burst: 3, Key: middleware.ByIP})
			require.Equal(t, 3, passed(h, call{}, 10))
			time.Sleep(499 * time.Millisecond)
			require.Equal(t, 0, passed(h, call{}, 10))
			time.Sleep(time.Millisecond)
			require.Equal(t, 1, passed(h, call{}, 10))
			time.Sleep(time.Hour)
			require.Equal(t, 3, passed(h, call{}, 10))
		})
	})
	t.Run("a refusal costs nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP})
			require.Equal(t, 1, passed(h, call{}, 1000))
			time.Sleep(time.Second)
			require.Equal(t, 1, passed(h, call{}, 1000))
		})
	})
	t.Run("the burst is the rate rounded up by default", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Equal(t, 3, passed(limited(middleware.RateLimitOptions{Rate: 2.1, Key: middleware.ByIP}), call{}, 10))
			require.Equal(t, 1, passed(limited(middleware.RateLimitOptions{Rate: 0.1, Key: middleware.ByIP}), call{}, 10))
		})
	})
	t.Run("requests without a key pass", func(t *testing.T) {
		t.Parallel()
		h := limited(middleware.RateLimitOptions{Rate: 1, Key: middleware.BySource})
		require.Equal(t, 10, passed(h, call{}, 10))
		require.Equal(t, 10, passed(limited(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP}), call{from: "@"}, 10))
	})
	t.Run("concurrent requests are counted exactly", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 1, Burst: 100, Key: middleware.ByIP})
			var all sync.WaitGroup
			var n atomic.Int64
			for range 8 {
				all.Go(func() { n.Add(int64(passed(h, call{}, 50))) })
			}
			all.Wait()
			require.EqualValues(t, 100, n.Load())
		})
	})
}

// passed returns how many of n calls pass.
func passed(h http.Handler, c call, n int) (passed int) {
	for range n {
		if c.do(h).Code == 200 {
			passed++
		}
	}
	return passed
}

func TestByIP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"another port is the same client", "203.0.113.7:1", "203.0.113.7:2", true},
		{"the next IPv4 address is another client", "203.0.113.7:1", "203.0.113.8:1", false},
		{"an IPv4 address in IPv6 is the IPv4 address", "203.0.113.7:1", "[::ffff:203.0.113.7]:1", true},
		{"the next IPv6 address is the same client", "[2001:db8::1]:1", "[2001:db8::2]:1", true},
		{"the next network of 64 bits is another client", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"a zone is not a client", "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := limited(middleware.RateLimitOptions{Rate: 1e-3, Burst: 1, Key: middleware.ByIP})
				require.Equal(t, 1, passed(h, call{from: tt.a}, 2))
				require.Equal(t, tt.same, passed(h, call{from: tt.b}, 1) == 0)
			})
		})
	}
	t.Run("networks may be larger", func(t *testing.T) {
		t.Parallel()
		byNetwork := middleware.ByNetwork(24, 48)
		key := func(from string) middleware.RateKey {
			key, ok := byNetwork(call{from: from}.request())
			require.True(t, ok)
			return key
		}
		require.Equal(t, key("203.0.113.7:1"), key("203.0.113.99:1"))
		require.NotEqual(t, key("203.0.113.7:1"), key("203.0.112.7:1"))
		require.Equal(t, key("[2001:db8:0:1::1]:1"), key("[2001:db8:0:2::1]:1"))
		require.NotEqual(t, key("[2001:db8:0:1::1]:1"), key("[2001:db8:1:1::1]:1"))
		require.Panics(t, func() { middleware.ByNetwork(33, 64) })
		require.Panics(t, func() { middleware.ByNetwork(24, 0) })
	})
	t.Run("a layer before may know better than the connection", func(t *testing.T) {
		t.Parallel()
		key, ok := middleware.ByIP(inlet.WithClientIP(call{}.request(), ip("198.51.100.9")))
		require.True(t, ok)
		require.Equal(t, ip("198.51.100.9"), key.IP)
	})
}

func TestBySource(t *testing.T) {
	t.Parallel()
	from := func(source inlet.Source, n int) func(http.Handler) int {
		return func(h http.Handler) int {
			as := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, inlet.WithSource(r, &source)) })
			return passed(as, call{}, n)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		h := limited(middleware.RateLimitOptions{Rate: 1, Burst: 2, Key: middleware.BySource})
		require.Equal(t, 2, from(inlet.Source{ID: "web"}, 9)(h), "the limit of the middleware")
		require.Equal(t, 2, from(inlet.Source{ID: "app"}, 9)(h), "each source has its own bucket")
		require.Equal(t, 5, from(inlet.Source{ID: "vip", Rate: 5, Burst: 5}, 9)(h), "the source's own limit")
		require.Equal(t, 2, from(inlet.Source{ID: "fast", Rate: 100}, 9)(h), "the burst of the middleware")
		time.Sleep(time.Second)
		require.Equal(t, 2, from(inlet.Source{ID: "fast", Rate: 100}, 9)(h))
		require.Equal(t, 1, from(inlet.Source{ID: "web"}, 9)(h))
		time.Sleep(time.Hour)
		require.Equal(t, 2, from(inlet.Source{ID: "web"}, 9)(h))
		time.Sleep(time.Second)
		require.Equal(t, 2, from(inlet.Source{ID: "web", Rate: 7, Burst: 3}, 9)(h), "a new limit acts at once: what is missing under the old one is missing")
		time.Sleep(time.Second)
		require.Equal(t, 3, from(inlet.Source{ID: "web", Rate: 7, Burst: 3}, 9)(h))
	})
}

func TestRateLimitRefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		options     middleware.RateLimitOptions
		policy      string
		least, most int
	}{
		{"a short wait is at least a second", middleware.RateLimitOptions{Rate: 50, Burst: 100}, `"default";q=100;w=2`, 1, 3},
		{"a long wait is told in whole seconds", middleware.RateLimitOptions{Rate: 0.01, Burst: 1}, `"default";q=1;w=100`, 100, 150},
		{"a window of a fraction of a second is one second", middleware.RateLimitOptions{Rate: 1000, Burst: 1, Policy: "by_ip"}, `"by_ip";q=1;w=1`, 1, 3},
		{"a wait of ages is told as a day or two", middleware.RateLimitOptions{Rate: 1e-12, Burst: 1}, `"default";q=1;w=1000000000`, 86_400, 129_600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.options.Key = middleware.ByIP
				h := limited(tt.options)
				first := call{}.do(h)
				require.Empty(t, first.Header(), "an accepted request has no such headers")
				passed(h, call{}, 200)
				w := call{}.do(h)
				require.Equal(t, 429, w.Code)
				require.Equal(t, inlet.CodeRateLimited, code(t, w))
				after := w.Header().Get("Retry-After")
				seconds, err := strconv.Atoi(after)
				require.NoError(t, err)
				require.GreaterOrEqual(t, seconds, tt.least)
				require.LessOrEqual(t, seconds, tt.most)
				require.Equal(t, after, w.Header().Get("X-RateLimit-Reset"))
				require.Equal(t, tt.policy, w.Header().Get("RateLimit-Policy"))
				name, _, _ := strings.Cut(tt.policy, ";")
				require.Equal(t, name+";r=0;t="+after, w.Header().Get("RateLimit"))
			})
		})
	}
	t.Run("those who wait as long as they were told pass", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 0.3, Burst: 1, Key: middleware.ByIP})
			require.Equal(t, 1, passed(h, call{}, 1))
			for range 20 {
				seconds, err := strconv.Atoi(call{}.do(h).Header().Get("Retry-After"))
				require.NoError(t, err)
				time.Sleep(time.Duration(seconds) * time.Second)
				require.Equal(t, 1, passed(h, call{}, 1))
			}
		})
	})
	t.Run("those who were refused together come back apart", func(t *testing.T) {
		t.Parallel()
		h := limited(middleware.RateLimitOptions{Rate: 0.01, Burst: 1, Key: middleware.ByIP})
		told := map[string]bool{}
		for range 100 {
			told[call{}.do(h).Header().Get("Retry-After")] = true
		}
		require.Greater(t, len(told), 10)
	})
	t.Run("a pixel gets its image, and the code in a header", func(t *testing.T) {
		t.Parallel()
		h := limited(middleware.RateLimitOptions{Rate: 1e-3, Burst: 1, Key: middleware.ByIP})
		c := call{method: "GET", path: "/v1/pixel/track?data=e30="}
		passed(h, c, 1)
		w := c.do(h)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
		require.Equal(t, "rate_limited", w.Header().Get("X-Inlet-Error"))
	})
}

// byName counts by a name in a header.
func byName(r *http.Request) (middleware.RateKey, bool) {
	return middleware.RateKey{Name: r.Header.Get("Name")}, true
}

func from(name string) call { return call{header: map[string]string{"Name": name}} }

func TestRateLimitTableIsBounded(t *testing.T) {
	t.Parallel()
	t.Run("a key whose bucket is full makes room first, and loses nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 1, Burst: 2, Key: byName, MaxKeys: 2})
			require.Equal(t, 2, passed(h, from("heavy"), 5)) // empty, and the oldest
			require.Equal(t, 1, passed(h, from("light"), 1))
			time.Sleep(time.Second) // light is full again, heavy is not
			require.Equal(t, 1, passed(h, from("new"), 1))
			require.Equal(t, 1, passed(h, from("heavy"), 5), "heavy was forgotten")
		})
	})
	t.Run("without a full bucket the least recently used key makes room", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 1, Burst: 1, Key: byName, MaxKeys: 2})
			require.Equal(t, 1, passed(h, from("a"), 1))
			require.Equal(t, 1, passed(h, from("b"), 1))
			require.Equal(t, 0, passed(h, from("a"), 1)) // used again, though refused
			require.Equal(t, 1, passed(h, from("c"), 1)) // b is forgotten
			require.Equal(t, 0, passed(h, from("a"), 1))
			require.Equal(t, 1, passed(h, from("b"), 1))
		})
	})
	t.Run("one key that never rests stays limited while others flood the table", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := limited(middleware.RateLimitOptions{Rate: 1e-3, Burst: 1, Key: byName, MaxKeys: 16})
			require.Equal(t, 1, passed(h, from("steady"), 1))
			for i := range 1000 {
				passed(h, from(strconv.Itoa(i)), 1)
				require.Equal(t, 0, passed(h, from("steady"), 1))
			}
		})
	})
}

// Keys are often parts of a header, and those are cut from one large string.
func TestRateLimitKeepsNoRequestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has its own memory")
	}
	const keys, padding = 512, 64 << 10
	cut := func(r *http.Request) (middleware.RateKey, bool) {
		return middleware.RateKey{Name: r.Header.Get("Name")[:8]}, true
	}
	h := limited(middleware.RateLimitOptions{Rate: 1, Key: cut, MaxKeys: keys})
	before := heap()
	for i := range keys {
		h.ServeHTTP(httptest.NewRecorder(), from(fmt.Sprintf("%08d", i)+strings.Repeat("x", padding)).request())
	}
	require.Less(t, heap()-before, int64(keys*padding/4))
	runtime.KeepAlive(h)
}

func TestRateLimitMemoryPerKey(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has its own memory")
	}
	const keys = 65_536
	n := 0
	each := func(*http.Request) (middleware.RateKey, bool) {
		n++
		return middleware.RateKey{IP: netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})}, true
	}
	before := heap()
	h := limited(middleware.RateLimitOptions{Rate: 1, EventRate: 1, ByteRate: 1, Key: each})
	made := heap()
	per := (made - before) / keys
	t.Logf("%d bytes per key", per)
	require.Less(t, per, int64(64))
	w, r := &fakeWriter{http.Header{}}, call{}.request()
	for range 2 * keys {
		h.ServeHTTP(w, r)
	}
	require.Less(t, heap()-made, int64(64<<10), "nothing is kept but the table")
	runtime.KeepAlive(h)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// One middleware value limits the handlers that it is put around together.
func TestRateLimitIsSharedBetweenHandlers(t *testing.T) {
	t.Parallel()
	m := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e-3, Burst: 1, Key: middleware.ByIP})
	a, b := m(status(200)), m(status(200))
	require.Equal(t, 1, passed(a, call{}, 1))
	require.Equal(t, 0, passed(b, call{}, 1))
}

func BenchmarkRateLimit(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d keys", n), func(b *testing.B) {
			h := limited(middleware.RateLimitOptions{Rate: 1e9, Burst: 1e9, Key: middleware.BySource})
			requests := make([]*http.Request, n)
			for i := range requests {
				r := call{}.request().WithContext(context.Background())
				requests[i] = inlet.WithSource(r, &inlet.Source{ID: strconv.Itoa(i)})
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := &fakeWriter{http.Header{}}
				for i := 0; pb.Next(); i++ {
					h.ServeHTTP(w, requests[i%n])
				}
			})
		})
	}
}
