package middleware_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// limited returns a handler with a limit around it.
func limited(o middleware.RateLimitOptions) http.Handler {
	return middleware.RateLimit(&o)(status(200))
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	t.Run("a burst passes, then what the rate refills", func(t *testing.T) {
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
	t.Run("the burst defaults to the rate, rounded up", func(t *testing.T) {
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
	t.Run("one layer limits all its handlers together", func(t *testing.T) {
		t.Parallel()
		m := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e-3, Burst: 1, Key: middleware.ByIP})
		a, b := m(status(200)), m(status(200))
		require.Equal(t, 1, passed(a, call{}, 1))
		require.Equal(t, 0, passed(b, call{}, 1))
	})
}

func TestByIP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"another port", "203.0.113.7:1", "203.0.113.7:2", true},
		{"the next IPv4 address", "203.0.113.7:1", "203.0.113.8:1", false},
		{"an IPv4 address written as IPv6", "203.0.113.7:1", "[::ffff:203.0.113.7]:1", true},
		{"the next IPv6 address", "[2001:db8::1]:1", "[2001:db8::2]:1", true},
		{"the next network of 64 bits", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"another zone", "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"an IPv4 client behind NAT64", "203.0.113.7:1", "[64:ff9b::203.0.113.7]:1", true},
		{"its neighbour behind NAT64", "[64:ff9b::203.0.113.7]:1", "[64:ff9b::203.0.113.8]:1", false},
		{"behind a local NAT64 of 96 bits", "203.0.113.7:1", "[64:ff9b:1:fffe::203.0.113.7]:1", true},
		{"behind a local NAT64 of 64 bits", "203.0.113.7:1", "[64:ff9b:1:1:cb:71:700::]:1", true},
		{"behind a local NAT64 of 56 bits", "203.0.113.7:1", "[64:ff9b:1:1cb:0:7107::]:1", true},
		{"behind a local NAT64 of 48 bits", "203.0.113.7:1", "[64:ff9b:1:cb00:71:700::]:1", true},
		{"its neighbour behind a local NAT64", "[64:ff9b:1:cb00:71:700::]:1", "[64:ff9b:1:cb00:71:800::]:1", false},
		{"next to the prefix of NAT64", "[64:ff9b::1:203.0.113.7]:1", "[64:ff9b::1:203.0.113.8]:1", true},
		{"a translator's own network", "[64:ff9b::]:1", "[64:ff9b::203.0.113.7]:1", false},
		{"a translator's own network, and the address of no host", "[64:ff9b::]:1", "0.0.0.0:1", false},
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
	t.Run("larger networks", func(t *testing.T) {
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
	})
	t.Run("the address that a layer outside has set", func(t *testing.T) {
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
		require.Equal(t, 2, from(inlet.Source{ID: "web", Rate: 7, Burst: 3}, 9)(h), "a new limit acts immediately; missing tokens stay missing")
		time.Sleep(time.Second)
		require.Equal(t, 3, from(inlet.Source{ID: "web", Rate: 7, Burst: 3}, 9)(h))
	})
}

func TestRateLimitRefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		options  middleware.RateLimitOptions
		policy   string
		min, max int
	}{
		{"a short wait is at least a second", middleware.RateLimitOptions{Rate: 50, Burst: 100}, `"default";q=100;w=2`, 1, 3},
		{"a long wait in whole seconds", middleware.RateLimitOptions{Rate: 0.01, Burst: 1}, `"default";q=1;w=100`, 100, 150},
		{"a window of less than a second", middleware.RateLimitOptions{Rate: 1000, Burst: 1, Policy: "by_ip"}, `"by_ip";q=1;w=1`, 1, 3},
		{"an endless wait is a day or two", middleware.RateLimitOptions{Rate: 1e-12, Burst: 1}, `"default";q=1;w=1000000000`, 86_400, 129_600},
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
				require.GreaterOrEqual(t, seconds, tt.min)
				require.LessOrEqual(t, seconds, tt.max)
				require.Equal(t, after, w.Header().Get("X-RateLimit-Reset"))
				require.Equal(t, tt.policy, w.Header().Get("RateLimit-Policy"))
				name, _, _ := strings.Cut(tt.policy, ";")
				require.Equal(t, name+";r=0;t="+after, w.Header().Get("RateLimit"))
			})
		})
	}
	t.Run("a client that waits as long as asked passes", func(t *testing.T) {
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
	t.Run("clients refused together are asked to wait differently", func(t *testing.T) {
		t.Parallel()
		h := limited(middleware.RateLimitOptions{Rate: 0.01, Burst: 1, Key: middleware.ByIP})
		waits := map[string]bool{}
		for range 100 {
			waits[call{}.do(h).Header().Get("Retry-After")] = true
		}
		require.Greater(t, len(waits), 10)
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

// byName counts by a header.
func byName(r *http.Request) (middleware.RateKey, bool) {
	return middleware.RateKey{Name: r.Header.Get("Name")}, true
}

// from returns a call with that header.
func from(name string) call { return call{header: map[string]string{"Name": name}} }

func TestRateLimitEviction(t *testing.T) {
	t.Parallel()
	t.Run("a key with a full bucket is evicted first", func(t *testing.T) {
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
	t.Run("otherwise the least recently used key is evicted", func(t *testing.T) {
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
	t.Run("a key that never pauses stays limited in a flood of keys", func(t *testing.T) {
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

// batch returns a body with n events.
func batch(n int) string {
	return list(n, `{"type":"track","userId":"u1","event":"Signed Up"}`)
}

// contentLimited returns an ingestion handler for one source, and its sink.
func contentLimited(t *testing.T, o middleware.RateLimitOptions, source inlet.Source) (http.Handler, *testsink.Keeper) {
	t.Helper()
	stored := new(testsink.Keeper)
	o.Rate, o.Key = 1e6, middleware.BySource
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: source})
	return middleware.Chain(middleware.Auth(keys, nil), middleware.RateLimit(&o))(newHandler(t, stored)), stored
}

var web = inlet.Source{ID: "web"}

// events returns a call with n events.
func events(n int) call { return call{path: "/v1/batch", body: batch(n), key: writeKey} }

func TestRateLimitContent(t *testing.T) {
	t.Parallel()
	t.Run("events of ten seconds pass, then what the rate refills", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 2}, web)
			require.Equal(t, 200, events(15).do(h).Code)
			require.Equal(t, 429, events(10).do(h).Code)
			require.Len(t, stored.Events(), 15)
			require.Equal(t, 200, events(5).do(h).Code, "a refusal costs nothing")
			time.Sleep(3 * time.Second)
			require.Equal(t, 429, events(7).do(h).Code)
			require.Equal(t, 200, events(6).do(h).Code)
			require.Len(t, stored.Events(), 26)
		})
	})
	t.Run("a batch larger than the bucket passes, and is charged", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 2}, web)
			require.Equal(t, 200, events(50).do(h).Code)
			time.Sleep(15 * time.Second)
			require.Equal(t, 429, events(1).do(h).Code, "30 events are still owed")
			time.Sleep(time.Second)
			require.Equal(t, 200, events(1).do(h).Code)
			require.Len(t, stored.Events(), 51)
		})
	})
	t.Run("an empty bucket refuses before the body is read", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, _ := contentLimited(t, middleware.RateLimitOptions{EventRate: 1}, web)
			require.Equal(t, 200, events(10).do(h).Code)
			r := events(1).request()
			r.Body = unreadable{t}
			require.Equal(t, 429, answered(h, r).Code)
		})
	})
	t.Run("bytes are those of the body", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			size := len(batch(1))
			h, stored := contentLimited(t, middleware.RateLimitOptions{ByteRate: float64(size) / 10 * 2}, web)
			require.Equal(t, 2, passed(h, events(1), 9))
			w := events(1).do(h)
			require.Equal(t, fmt.Sprintf(`"default-bytes";qu="content-bytes";q=%d;w=10`, 2*size), w.Header().Get("RateLimit-Policy"))
			require.Contains(t, w.Body.String(), "too many bytes")
			require.Len(t, stored.Events(), 2)
		})
	})
	t.Run("a source may have rates of its own", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, _ := contentLimited(t, middleware.RateLimitOptions{}, inlet.Source{ID: "web", EventRate: 1})
			require.Equal(t, 10, passed(h, events(1), 20))
			h, _ = contentLimited(t, middleware.RateLimitOptions{}, inlet.Source{ID: "web", ByteRate: 1})
			require.Equal(t, 1, passed(h, events(1), 20))
			h, _ = contentLimited(t, middleware.RateLimitOptions{EventRate: 1}, inlet.Source{ID: "web", EventRate: 100})
			require.Equal(t, 20, passed(h, events(1), 20))
		})
	})
	t.Run("a client that waits as long as asked passes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, _ := contentLimited(t, middleware.RateLimitOptions{EventRate: 0.3, Policy: "quota"}, web)
			require.Equal(t, 200, events(7).do(h).Code)
			for range 5 {
				w := events(7).do(h)
				require.Equal(t, 429, w.Code)
				require.Equal(t, `"quota-events";q=3;w=10`, w.Header().Get("RateLimit-Policy"))
				seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
				require.NoError(t, err)
				time.Sleep(time.Duration(seconds) * time.Second)
				require.Equal(t, 200, events(7).do(h).Code)
			}
		})
	})
	t.Run("rejected events cost nothing", func(t *testing.T) {
		t.Parallel()
		h, _ := contentLimited(t, middleware.RateLimitOptions{EventRate: 0.1}, web)
		bad := call{path: "/v1/batch", body: `{"batch":[{"type":"track"}]}`, key: writeKey}
		require.Equal(t, 400, bad.do(h).Code)
		require.Equal(t, 1, passed(h, events(1), 2))
	})
	t.Run("every layer charges, the outermost first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 100}, web)
			outer := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, EventRate: 0.2, Key: middleware.ByIP, Policy: "ip"})(inner)
			require.Equal(t, 2, passed(outer, events(1), 5))
			require.Contains(t, events(1).do(outer).Header().Get("RateLimit-Policy"), "ip-events")
			require.Len(t, stored.Events(), 2)
		})
	})
}

// list returns the body of a batch of n equal events.
func list(n int, event string) string {
	return `{"batch":[` + strings.TrimSuffix(strings.Repeat(event+",", n), ",") + `]}`
}

// compressed returns a call of a source with a body that was compressed.
func compressed(t *testing.T, path, body string) call {
	return call{path: path, body: zipped(t, body), key: writeKey, header: map[string]string{"Content-Encoding": "gzip"}}
}

// Whatever a client sends in a few hundred bytes, the ordinary clients of its source pass.
func TestRateLimitProportion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path, event string
		code              inlet.Code
	}{
		{"events that are nothing", "/v1/batch", `{}`, inlet.CodeAllRefused},
		{"events that are numbers", "/events/batch", `1`, inlet.CodeAllRefused},
		{"events without a name", "/v1/import", `{"type":"track","userId":"u"}`, inlet.CodeAllRefused},
		{"events without anything else", "/v1/batch", `{"type":"page","userId":"u"}`, inlet.CodeTooManyEvents},
		{"the same of Jitsu", "/api/s/s2s/batch", `{"type":"page"}`, inlet.CodeTooManyEvents},
		{"the same of Commanders Act", "/events/batch", `{"event_name":"e"}`, inlet.CodeTooManyEvents},
		{"the same of RudderStack", "/beacon/v1/batch", `{"type":"track","userId":"u","event":"e"}`, inlet.CodeTooManyEvents},
		{"the same with one id", "/v1/import", `{"type":"page","userId":"u","messageId":"m"}`, inlet.CodeTooManyEvents},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 100}, web)
				n := min(2500, 60_000/len(tt.event)) // more would expand too much
				attack := compressed(t, tt.path, list(n, tt.event))
				require.Less(t, len(attack.body), 762)
				for range 50 {
					require.Equal(t, tt.code, code(t, attack.do(h)))
				}
				require.Equal(t, 1000, passed(h, events(1), 1100), "all of the burst is left")
				require.Len(t, stored.Events(), 1000)
			})
		})
	}
	t.Run("a batch of ordinary events is accepted in any form", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 1000}, web)
			var different strings.Builder
			for i := range 2500 {
				fmt.Fprintf(&different, `{"type":"page","userId":"u","messageId":"%x"},`, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
			}
			body := `{"batch":[` + strings.TrimSuffix(different.String(), ",") + `]}`
			require.Equal(t, 200, compressed(t, "/v1/import", body).do(h).Code)
			require.Equal(t, 200, compressed(t, "/v1/batch", list(20, `{"type":"page","userId":"u"}`)).do(h).Code)
			require.Equal(t, 200, call{path: "/events/batch", body: list(2500, `{"event":"e"}`), key: writeKey}.do(h).Code)
			require.Len(t, stored.Events(), 5020)
		})
	})
	t.Run("events that the sink refuses are returned", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			o := middleware.RateLimitOptions{EventRate: 10, Rate: 1e6, Key: middleware.BySource}
			sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
				failed := new(inlet.BatchError)
				for i, e := range events {
					if e.Name == "bad" {
						failed.Items = append(failed.Items, inlet.ItemError{Index: i, Err: inlet.Permanent(errors.New("no"))})
					}
				}
				if failed.Items == nil {
					return nil
				}
				return failed
			})
			h := middleware.Chain(middleware.Auth(keys, nil), middleware.RateLimit(&o))(newHandler(t, sink))
			bad := `{"type":"track","userId":"u","event":"bad"}`
			require.Equal(t, 200, call{path: "/v1/batch", body: list(2, `{"type":"track","userId":"u","event":"E"},`+bad), key: writeKey}.do(h).Code)
			require.Equal(t, 400, call{path: "/v1/batch", body: list(90, bad), key: writeKey}.do(h).Code)
			require.Equal(t, 98, passed(h, events(1), 110))
		})
	})
	t.Run("what is refused costs its bytes, as sent", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, path, body string
			zip              bool
		}{
			{"no JSON", "/v1/track", strings.Repeat("x", 800), false},
			{"no event", "/v1/batch", list(266, "{}"), false},
			{"a wrong event", "/v1/track", `{"event":1,"userId":"` + strings.Repeat("x", 777) + `"}`, false},
			{"a wrong event in strict mode", "/v1/batch", list(19, `{"type":"track","event":"E","userId":"u"}`) + strings.Repeat(" ", 8), false},
			{"compressed", "/v1/batch", list(2500, "{}"), true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h, stored := contentLimited(t, middleware.RateLimitOptions{ByteRate: 100, EventRate: 1e6}, web)
					c := call{path: tt.path, body: tt.body, key: writeKey, header: map[string]string{"X-Strict-Mode": "1"}}
					if tt.zip {
						c.header["Content-Encoding"], c.body = "gzip", zipped(t, tt.body)
					}
					if tt.name == "a wrong event in strict mode" {
						c.body = strings.Replace(c.body, `"E"`, `1`, 1)
					}
					n := 0
					for c.do(h).Code == 400 {
						n++
					}
					require.InDelta(t, 1000/len(c.body)+1, n, 1, "the last one costs what is left")
					require.Empty(t, stored.Events())
					time.Sleep(10 * time.Second)
					require.Equal(t, 400, c.do(h).Code, "no more is owed")
				})
			})
		}
	})
	t.Run("a layer that refuses costs the layers around it nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 0.5}, web)
			h := middleware.RateLimit(&middleware.RateLimitOptions{
				Rate: 1e6, EventRate: 1, ByteRate: 100, Key: middleware.ByIP, Policy: "ip",
			})(inner)
			require.Equal(t, 200, events(1).do(h).Code)
			for range 20 { // more than the 4 that are left inside, fewer than the 9 outside
				require.Equal(t, `"default-events";q=5;w=10`, events(8).do(h).Header().Get("RateLimit-Policy"))
			}
			require.Equal(t, 200, events(4).do(h).Code)
			require.Len(t, stored.Events(), 5)
		})
	})
	t.Run("a small request waits only for what it may contain", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, _ := contentLimited(t, middleware.RateLimitOptions{EventRate: 100}, web)
			require.Equal(t, 200, events(2500).do(h).Code)
			time.Sleep(15 * time.Second) // 0 are left
			seconds, err := strconv.Atoi(call{body: track, key: writeKey}.do(h).Header().Get("Retry-After"))
			require.NoError(t, err)
			require.LessOrEqual(t, seconds, 3, "a second and its random part")
			chunked := events(1).request()
			chunked.ContentLength = -1
			seconds, err = strconv.Atoi(answered(h, chunked).Header().Get("Retry-After"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, seconds, 10, "until any request passes")
		})
	})
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

// Concurrent requests of one key are not granted more than consecutive ones, whatever else is in
// the table.
func TestRateLimitConcurrently(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		rate, burst int
		maxKeys     int
		others      int // requests of other keys for each
	}{
		{"no other key", 100_000, 1_000, 16, 0},
		{"hardly ever granted", 10, 300, 16, 0},
		{"always granted", 1e9, 1e9, 16, 0},
		{"other keys in the same set", 100_000, 1_000, 16, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := limited(middleware.RateLimitOptions{Rate: float64(tt.rate), Burst: tt.burst, MaxKeys: tt.maxKeys, Key: byName})
			const callers, each = 4, 3_000
			var granted atomic.Int64
			var all sync.WaitGroup
			began := time.Now()
			for i := range callers {
				all.Go(func() {
					one, other := from("one").request(), from("other "+strconv.Itoa(i)).request()
					for range each {
						if answered(h, one).Code == http.StatusOK {
							granted.Add(1)
						}
						for range tt.others {
							answered(h, other)
						}
					}
				})
			}
			all.Wait()
			n, most := granted.Load(), float64(tt.burst)+float64(tt.rate)*time.Since(began).Seconds()
			require.LessOrEqual(t, float64(n), most)
			require.GreaterOrEqual(t, n, int64(min(callers*each, tt.burst)))
		})
	}
}

// Keys that evict each other all the time, at once, take each other's buckets and no others.
func TestRateLimitEvictionConcurrently(t *testing.T) {
	t.Parallel()
	l, err := middleware.NewMemoryLimiter(&middleware.MemoryLimiterOptions{MaxKeys: 2})
	require.NoError(t, err)
	h := limited(middleware.RateLimitOptions{Rate: 1e-3, Burst: 3, Key: byName, Limiter: l})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 3_000 {
				answered(h, from(strconv.Itoa((i+j)%5)).request())
			}
		})
	}
	all.Wait()
	stats := l.Stats()
	require.EqualValues(t, 12_000, stats.Charges)
	require.Positive(t, stats.Evicted)
	require.LessOrEqual(t, stats.Charges-stats.Refused, 3*(stats.Evicted+5), "a burst for each time that a key was evicted")
}

// A hiddenLimiter is a MemoryLimiter that the layer does not know to be one.
type hiddenLimiter struct{ middleware.Limiter }

// What the layer decides by the arithmetic of the buckets is what their limiter decides.
func TestRateLimitGrants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				rates := []float64{0.3, 1, 7.7, 1000, 1e6, 1e9}
				rate, events := rates[random.IntN(len(rates))], rates[random.IntN(len(rates))]
				if seed%3 == 0 {
					events = 0
				}
				key := middleware.RateKey{Name: "k"}
				layer := func(hide bool) http.Handler {
					memory, err := middleware.NewMemoryLimiter(nil)
					require.NoError(t, err)
					o := middleware.RateLimitOptions{
						Rate: rate, EventRate: events, Limiter: memory,
						Key: func(*http.Request) (middleware.RateKey, bool) { return key, true },
					}
					if hide {
						o.Limiter = hiddenLimiter{memory}
					}
					return middleware.Chain(middleware.RateLimit(&o), middleware.Auth(keys, nil))(newHandler(t, new(testsink.Keeper)))
				}
				plain, hidden := layer(false), layer(true)
				granted := 0
				for i := range 200 {
					c := call{path: "/v1/batch", body: refusedBatch(1+random.IntN(30), 1), key: writeKey}
					if random.IntN(50) == 0 {
						key.Rate = rates[random.IntN(len(rates))]
					}
					if random.IntN(50) == 0 {
						key.Burst = 1 + random.IntN(10)
					}
					got, want := c.do(plain), c.do(hidden)
					require.Equal(t, want.Code, got.Code, "request %d", i)
					require.Equal(t, want.Header().Get("RateLimit-Policy"), got.Header().Get("RateLimit-Policy"))
					if got.Code == http.StatusOK {
						granted++
					}
					switch random.IntN(4) {
					case 0:
						time.Sleep(time.Duration(random.Float64() * 4 / rate * float64(time.Second)))
					case 1:
						time.Sleep(time.Duration(random.Float64() * 40 / max(events, 1) * float64(time.Second)))
					}
				}
				require.Positive(t, granted)
			})
		})
	}
}
