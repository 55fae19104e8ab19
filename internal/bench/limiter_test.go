package bench

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/inlet-go/inlet/middleware"
)

// manyKeys is how many addresses the benchmarks of the rate limiter come from.
const manyKeys = 1_000_000

// addressOf returns the i-th of manyKeys addresses, in an irregular order.
func addressOf(i int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(i%manyKeys)*2_654_435_761)
	return netip.AddrFrom4(a)
}

// A limiterMap is the floor of a rate limiter by key: it never evicts a key.
type limiterMap struct {
	mu       sync.Mutex
	limiters map[netip.Addr]*rate.Limiter
}

func (m *limiterMap) check(i int) {
	addr := addressOf(i)
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.limiters[addr]
	if l == nil {
		l = rate.NewLimiter(50, 100)
		m.limiters[addr] = l
	}
	l.AllowN(time.Now(), 1)
}

// memoryLimiter returns the default limiter, and a function that checks the i-th address.
func memoryLimiter(tb testing.TB) (l *middleware.MemoryLimiter, check func(i int)) {
	tb.Helper()
	l, err := middleware.NewMemoryLimiter(nil)
	require.NoError(tb, err)
	ctx := tb.Context()
	return l, func(i int) {
		_, _ = l.Take(ctx, middleware.Charge{IP: addressOf(i), Requests: middleware.Draw{Rate: 50, Burst: 100, Cost: 1}})
	}
}

// BenchmarkTarget18 is the cost of a million keys for the rate limiter.
func BenchmarkTarget18(b *testing.B) {
	before := heapInUse()
	l, check := memoryLimiter(b)
	each(manyKeys, check)
	memory := float64(heapInUse()-before) / (1 << 20)
	runtime.KeepAlive(l)
	results.add(result{number: "18", what: "rate limiter after 1 M keys, MiB in all", bound: 32, measured: memory})

	before = heapInUse()
	floor := &limiterMap{limiters: map[netip.Addr]*rate.Limiter{}}
	each(manyKeys, floor.check)
	results.add(result{what: "plain map of limiters after 1 M keys, MiB in all", measured: float64(heapInUse()-before) / (1 << 20)})
	ratio := pair(b, floor.check, check)
	results.add(result{number: "18", what: "rate limiter, time per check over a plain map of limiters, 1 M keys", bound: 1, measured: ratio})
	b.Run("one key", func(b *testing.B) {
		one := pair(b, func(int) { floor.check(1) }, func(int) { check(1) })
		results.add(result{what: "the same for one key again and again", measured: one})
	})
	b.ReportMetric(memory, "MiB")
}

// BenchmarkTarget19 is the cost of a million keys for the garbage collector.
func BenchmarkTarget19(b *testing.B) {
	const rounds = 7
	var ratios []float64
	for b.Loop() {
		for range rounds {
			without := collection()
			l, check := memoryLimiter(b)
			each(manyKeys, check)
			collection()
			ratios = append(ratios, float64(collection())/float64(without))
			runtime.KeepAlive(l)
		}
	}
	ratio := median(ratios)
	reportRatio(b, ratio)
	results.add(result{number: "19", what: "full collection with a rate limiter after 1 M keys over one without", bound: 2, measured: ratio})
}

func each(n int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

// collection returns the duration of a full garbage collection.
func collection() time.Duration {
	runtime.GC()
	start := time.Now()
	runtime.GC()
	return time.Since(start)
}

func heapInUse() int64 {
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	return int64(mem.HeapAlloc)
}

// BenchmarkRefusal is the cost of a request that exceeds its rate, in process.
func BenchmarkRefusal(b *testing.B) {
	pool := now().Tracks()
	alone, err := newHandlerAlone()
	require.NoError(b, err)
	limit := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e-3, Key: middleware.ByIP})
	ratio := pair(b, shipped(b, trackPath).over(pool), newCaller(limit(alone), trackPath).over(pool))
	results.add(result{what: "request that is refused with 429 in process over one that is stored", measured: ratio})
}
