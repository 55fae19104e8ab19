package httpsink_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

func TestARequestIsGivenUpAfterItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		err := newOffline(t, hang, nil).Write(t.Context(), events("a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the outcome is unknown: not within 10s")
		require.False(t, inlet.IsPermanent(err))
		require.Equal(t, 10*time.Second, time.Since(begun))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = newOffline(t, hang, nil).Write(ctx, events("a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 11*time.Second, time.Since(begun))
	})
}

func TestRequestsInFlightAreBounded(t *testing.T) {
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
}

func TestAWriteWaitsForItsTurnOnlyUntilItsContextIsDone(t *testing.T) {
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
}

func TestCloseWaitsForWhatIsOnItsWayAndRefusesTheRest(t *testing.T) {
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
		require.ErrorContains(t, err, "still on the way")
		require.Equal(t, time.Second, time.Since(begun))
		require.ErrorIs(t, <-waiting, inlet.ErrClosed)
		require.Equal(t, time.Second, time.Since(begun), "it waited for its turn after Close")
		require.ErrorIs(t, s.Write(t.Context(), events("c")), inlet.ErrClosed)
		require.ErrorIs(t, s.Check(t.Context()), inlet.ErrClosed)

		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.NoError(t, <-inFlight)
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestAPanicOfTheTransportLeavesTheSinkAbleToWork(t *testing.T) {
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

// counting starts a server and counts its connections.
func counting(t *testing.T, h http.HandlerFunc) (url string, opened, closed *atomic.Int64) {
	t.Helper()
	opened, closed = new(atomic.Int64), new(atomic.Int64)
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, opened, closed
}

func TestConnectionsAreUsedAgainWhateverIsAnswered(t *testing.T) {
	t.Parallel()
	statuses := []int{200, 400, 429, 500, 302, 204}
	requests := new(counter)
	url, opened, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(statuses[requests.Add(1)%int64(len(statuses))])
		_, _ = w.Write(make([]byte, 20_000))
	})
	s := newSink(t, url, nil)
	for range 3 * len(statuses) {
		_ = s.Write(t.Context(), events("a"))
	}
	require.EqualValues(t, 3*len(statuses), requests.Load())
	require.EqualValues(t, 1, opened.Load())
}

func TestCloseClosesIdleConnections(t *testing.T) {
	t.Parallel()
	url, opened, closed := counting(t, func(http.ResponseWriter, *http.Request) {})
	s := newSink(t, url, nil)
	require.NoError(t, s.Write(t.Context(), events("a")))
	require.NoError(t, s.Close(t.Context()))
	require.EqualValues(t, 1, opened.Load())
	require.Eventually(t, func() bool { return closed.Load() == 1 }, 5*time.Second, time.Millisecond)
}

func TestConnectionsInUseAreClosedByTheLastWriteAfterClose(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url, opened, closed := counting(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	})
	s := newSink(t, url, &httpsink.Options{MaxEvents: 1})
	var wg sync.WaitGroup
	for range 4 { // of two requests each: the second begins after Close
		wg.Go(func() { require.NoError(t, s.Write(t.Context(), events("a", "b"))) })
	}
	require.Eventually(t, func() bool { return opened.Load() == 4 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
	close(release)
	wg.Wait()
	require.Eventually(t, func() bool { return closed.Load() == opened.Load() }, 5*time.Second, time.Millisecond)
}

func TestATransportOfTheCallersIsNotClosed(t *testing.T) {
	t.Parallel()
	s, err := httpsink.New("https://events.example", writeKey, &httpsink.Options{Transport: shared{t}})
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), events("a")))
	require.NoError(t, s.Close(t.Context()))
}

// shared is a transport that somebody else uses, too.
type shared struct{ t *testing.T }

// RoundTrip answers that everything is stored.
func (shared) RoundTrip(*http.Request) (*http.Response, error) { return success(), nil }

// CloseIdleConnections must not be called.
func (s shared) CloseIdleConnections() { require.Fail(s.t, "its connections were closed") }
