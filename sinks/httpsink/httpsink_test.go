package httpsink_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

func TestNew(t *testing.T) {
	t.Parallel()
	t.Run("faults", func(t *testing.T) {
		t.Parallel()
		for _, row := range []struct {
			endpoint, key string
			o             *httpsink.Options
			want          string
		}{
			{"", writeKey, nil, "httpsink: endpoint must have the scheme https"},
			{"events.example", writeKey, nil, "endpoint must have the scheme https"},
			{"ftp://events.example", writeKey, nil, "endpoint must have the scheme https"},
			{"http://events.example", writeKey, nil, "endpoint must have the scheme https; AllowHTTP permits http"},
			{"https:///v1/batch", writeKey, nil, "endpoint has no host"},
			{"https://:443", writeKey, nil, "endpoint has no host"},
			{"https://events.example:port", writeKey, nil, "endpoint is not a URL"},
			{"https://user@events.example", writeKey, nil, "endpoint has user information"},
			{"https://events.example?a=b", writeKey, nil, "endpoint has a query"},
			{"https://events.example/?", writeKey, nil, "endpoint has a query"},
			{"https://events.example#", writeKey, nil, "endpoint has a query or a fragment"},
			{"https://127.0.0.1", writeKey, nil, "endpoint: 127.0.0.1 is not an address on the public internet"},
			{"https://events.example", "", nil, "writeKey is empty"},
			{"https://events.example", ":b", nil, "writeKey begins with a colon"},
			{"https://events.example", "a:", nil, "writeKey ends with a colon"},
			{"https://events.example", ":", nil, "writeKey begins with a colon"},
			{"https://events.example", "a: b", nil, "writeKey has a character"},
			{"https://events.example", "Basic a2V5Og==", nil, "writeKey has a character"},
			{"https://events.example", "key\r\n", nil, "writeKey has a character"},
			{"https://events.example", "k\u00e9y", nil, "writeKey has a character"},
			{"https://events.example", writeKey, &httpsink.Options{MaxEvents: -1}, "httpsink: Options: MaxEvents is -1, must be at least 0"},
			{"https://events.example", writeKey, &httpsink.Options{MaxBytes: 48}, "httpsink: Options: MaxBytes is 48, must be at least 49"},
			{"https://events.example", writeKey, &httpsink.Options{MaxBytes: -1}, "httpsink: Options: MaxBytes is -1, must be at least 49"},
			{"https://events.example", writeKey, &httpsink.Options{MaxEventBytes: -1}, "httpsink: Options: MaxEventBytes is -1, must be at least 0"},
			{"https://events.example", writeKey, &httpsink.Options{MaxConcurrent: -1}, "httpsink: Options: MaxConcurrent is -1, must be at least 0"},
			{"https://events.example", writeKey, &httpsink.Options{Timeout: -time.Second}, "httpsink: Options: Timeout is -1s, must be at least 0s"},
			{"https://events.example", writeKey, &httpsink.Options{ConnectTimeout: -1}, "httpsink: Options: ConnectTimeout is -1ns, must be at least 0s"},
			{"https://events.example", writeKey, &httpsink.Options{MaxRetryAfter: -1}, "httpsink: Options: MaxRetryAfter is -1ns, must be at least 0s"},
			{"https://events.example", writeKey, &httpsink.Options{Durability: 5}, "httpsink: Options: Durability is Durability(5), must be at most replicated"},
			{"https://events.example", writeKey, &httpsink.Options{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS11}}, "httpsink: Options: TLSConfig.MinVersion is below TLS 1.2"},
			{"https://events.example", writeKey,
				&httpsink.Options{TLSConfig: new(tls.Config), Transport: http.DefaultTransport}, "httpsink: Options: TLSConfig has no effect together with Transport"},
		} {
			s, err := httpsink.New(row.endpoint, row.key, row.o)
			require.ErrorContains(t, err, row.want, "%+v", row)
			require.Nil(t, s)
		}
	})
	t.Run("all faults joined", func(t *testing.T) {
		t.Parallel()
		_, err := httpsink.New("ftp://events.example", "", &httpsink.Options{MaxEvents: -1, Timeout: -1})
		require.EqualError(t, err, "httpsink: endpoint must have the scheme https\nhttpsink: writeKey is empty\n"+
			"httpsink: Options: MaxEvents is -1, must be at least 0\nTimeout is -1ns, must be at least 0s")
	})
	t.Run("endpoint", func(t *testing.T) {
		t.Parallel()
		for endpoint, want := range map[string]string{
			"https://events.example":                 "https://events.example/v1/batch",
			"https://events.example/":                "https://events.example/v1/batch",
			"HTTPS://events.example:8443//":          "https://events.example:8443/v1/batch",
			"https://shop.example/analytics":         "https://shop.example/analytics/v1/batch",
			"https://shop.example/a%2Fb/":            "https://shop.example/a%2Fb/v1/batch",
			"https://events.example/v1/batch":        "https://events.example/v1/batch",
			"https://events.example/v1/batch/":       "https://events.example/v1/batch",
			"https://events.example/v1/b":            "https://events.example/v1/b",
			"https://events.example/v1/import":       "https://events.example/v1/import",
			"https://events.example/api/s/s2s/batch": "https://events.example/api/s/s2s/batch",
			"https://events.example/v1":              "https://events.example/v1/batch",
		} {
			s, err := httpsink.New(endpoint, writeKey, nil)
			require.NoError(t, err, endpoint)
			require.Equal(t, "httpsink to "+want, s.String())
		}
	})
	t.Run("durability", func(t *testing.T) {
		t.Parallel()
		s := newSink(t, "https://events.example", nil)
		require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(s))
		require.NoError(t, inlet.Check(t.Context(), s), "it does not connect")
		s = newSink(t, "https://events.example", &httpsink.Options{Durability: inlet.DurabilityFsync})
		require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(s))
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		err := newOffline(t, hang, nil).Write(t.Context(), events("a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the outcome is unknown: timed out after 10s")
		require.False(t, inlet.IsPermanent(err))
		require.Equal(t, 10*time.Second, time.Since(begun))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = newOffline(t, hang, nil).Write(ctx, events("a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 11*time.Second, time.Since(begun))
	})
}

func TestMaxConcurrent(t *testing.T) {
	t.Parallel()
	t.Run("limits requests in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var now, most atomic.Int64
			s := newOffline(t, func(*http.Request) (*http.Response, error) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				return success(), nil
			}, &httpsink.Options{MaxConcurrent: 3})
			begun := time.Now()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { require.NoError(t, s.Write(t.Context(), events("a"))) })
			}
			wg.Wait()
			require.EqualValues(t, 3, most.Load())
			require.Equal(t, 4*time.Second, time.Since(begun))
		})
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newOffline(t, hang, &httpsink.Options{MaxConcurrent: 1})
			go func() { _ = s.Write(t.Context(), events("a")) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			require.ErrorIs(t, s.Write(ctx, events("b")), context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(begun))
			time.Sleep(time.Minute)
		})
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	t.Run("waits for requests in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newOffline(t, func(*http.Request) (*http.Response, error) {
				time.Sleep(5 * time.Second)
				return success(), nil
			}, &httpsink.Options{MaxConcurrent: 1})
			inFlight, waiting := make(chan error, 1), make(chan error, 1)
			go func() { inFlight <- s.Write(t.Context(), events("a")) }()
			synctest.Wait()
			go func() { waiting <- s.Write(t.Context(), events("b")) }()
			synctest.Wait()

			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := s.Close(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "still in flight")
			require.Equal(t, time.Second, time.Since(begun))
			require.ErrorIs(t, <-waiting, inlet.ErrClosed)
			require.Equal(t, time.Second, time.Since(begun), "a waiting Write must fail when Close is called")
			require.ErrorIs(t, s.Write(t.Context(), events("c")), inlet.ErrClosed)
			require.ErrorIs(t, s.Check(t.Context()), inlet.ErrClosed)

			require.NoError(t, s.Close(t.Context()))
			require.Equal(t, 5*time.Second, time.Since(begun))
			require.NoError(t, <-inFlight)
			require.NoError(t, s.Close(t.Context()))
		})
	})
	t.Run("leaves the caller's transport open", func(t *testing.T) {
		t.Parallel()
		s, err := httpsink.New("https://events.example", writeKey, &httpsink.Options{Transport: shared{t}})
		require.NoError(t, err)
		require.NoError(t, s.Write(t.Context(), events("a")))
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestTransportPanic(t *testing.T) {
	t.Parallel()
	first := true
	s := newOffline(t, func(*http.Request) (*http.Response, error) {
		if first {
			first = false
			panic("broken")
		}
		return success(), nil
	}, &httpsink.Options{MaxConcurrent: 1})
	require.Panics(t, func() { _ = s.Write(t.Context(), events("a")) })
	require.NoError(t, s.Write(t.Context(), events("a")))
	require.NoError(t, s.Close(t.Context()))
}

// shared is a transport that others use, too.
type shared struct{ t *testing.T }

// RoundTrip answers that everything is stored.
func (shared) RoundTrip(*http.Request) (*http.Response, error) { return success(), nil }

// CloseIdleConnections must not be called.
func (s shared) CloseIdleConnections() { require.Fail(s.t, "its connections were closed") }
