package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// batch is a body with n events.
func batch(n int) string {
	one := `{"type":"track","userId":"u1","event":"Signed Up"}`
	return `{"batch":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`
}

// contentLimited returns an ingestion handler for one source, and a counter of
// the events that were stored.
func contentLimited(t *testing.T, o middleware.RateLimitOptions, source inlet.Source) (http.Handler, *atomic.Int64) {
	t.Helper()
	stored := new(atomic.Int64)
	h := newHandler(t, inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		stored.Add(int64(len(events)))
		return nil
	}))
	o.Rate, o.Key = 1e6, middleware.BySource
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: source})
	return middleware.Chain(middleware.Auth(keys, nil), middleware.RateLimit(&o))(h), stored
}

var web = inlet.Source{ID: "web"}

func events(n int) call { return call{path: "/v1/batch", body: batch(n), key: writeKey} }

func TestRateLimitByContent(t *testing.T) {
	t.Parallel()

	t.Run("events of ten seconds pass at once, then as many as grow back, and of a refused request nothing is stored", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 2}, web)
			require.Equal(t, 200, events(15).do(h).Code)
			require.Equal(t, 429, events(10).do(h).Code)
			require.EqualValues(t, 15, stored.Load())
			require.Equal(t, 200, events(5).do(h).Code, "a refusal costs nothing")
			time.Sleep(3 * time.Second)
			require.Equal(t, 429, events(7).do(h).Code)
			require.Equal(t, 200, events(6).do(h).Code)
			require.EqualValues(t, 26, stored.Load())
		})
	})
	t.Run("a batch that is larger than the bucket passes after a rest, and is paid for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 2}, web)
			require.Equal(t, 200, events(50).do(h).Code)
			time.Sleep(15 * time.Second)
			require.Equal(t, 429, events(1).do(h).Code, "30 events are still owed")
			time.Sleep(time.Second)
			require.Equal(t, 200, events(1).do(h).Code)
			require.EqualValues(t, 51, stored.Load())
		})
	})
	t.Run("a source that has nothing left is refused before its body is read", func(t *testing.T) {
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
			require.EqualValues(t, 2, stored.Load())
		})
	})
	t.Run("a source has rates of its own", func(t *testing.T) {
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
	t.Run("those who wait as long as they were told pass, however large the request", func(t *testing.T) {
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
	t.Run("events that are refused cost nothing", func(t *testing.T) {
		t.Parallel()
		h, _ := contentLimited(t, middleware.RateLimitOptions{EventRate: 0.1}, web)
		bad := call{path: "/v1/batch", body: `{"batch":[{"type":"track"}]}`, key: writeKey}
		require.Equal(t, 400, bad.do(h).Code)
		require.Equal(t, 1, passed(h, events(1), 2))
	})
	t.Run("every layer is asked, the outermost first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner, stored := contentLimited(t, middleware.RateLimitOptions{EventRate: 100}, web)
			outer := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, EventRate: 0.2, Key: middleware.ByIP, Policy: "ip"})(inner)
			require.Equal(t, 2, passed(outer, events(1), 5))
			require.Contains(t, events(1).do(outer).Header().Get("RateLimit-Policy"), "ip-events")
			require.EqualValues(t, 2, stored.Load())
		})
	})
}

// unreadable is a body that must not be read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}
func (u unreadable) Close() error { return nil }

// answered returns the answer to a request that was made by hand.
func answered(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
