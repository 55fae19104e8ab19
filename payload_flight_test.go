package inlet_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// The bounds of these tests: bodies may hold 4 MiB together, or 128 small ones.
const (
	allBytes   = 4 << 20
	smallBytes = 32 << 10
	allSmall   = allBytes / smallBytes
)

func inFlight() inlet.PayloadLimits {
	return inlet.PayloadLimits{MaxBytes: 1 << 20, MaxBytesInFlight: allBytes, MaxRatio: 1 << 20}
}

// sent returns a request with a body that is sent in an encoding.
func sent(encoding string, body io.Reader) *http.Request {
	r := request("POST", "/v1/batch", body)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	return r
}

// hold reads bodies until one is refused for want of memory, and returns the
// others.
func hold(t testing.TB, pr *inlet.PayloadReader, encoding, body string) (held []*inlet.Payload) {
	t.Helper()
	for range 1000 {
		_, p, err := pr.Read(nil, sent(encoding, strings.NewReader(body)))
		if err != nil {
			requireCode(t, inlet.CodeOverloaded, err)
			return held
		}
		held = append(held, p)
	}
	t.Fatal("nothing was refused")
	return nil
}

func release(held []*inlet.Payload) {
	for _, p := range held {
		p.Release()
	}
}

func requireCode(t testing.TB, want inlet.Code, err error) {
	t.Helper()
	var refused *inlet.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Code)
}

func TestBodiesTogetherHoldNoMoreMemoryThanTheyMay(t *testing.T) {
	t.Parallel()
	small, large := strings.Repeat("x", 100), strings.Repeat("x", 500_000)
	for _, test := range []struct {
		name, encoding, body string
		least, most          int
	}{
		{"small ones 32 KiB each", "", small, allSmall, allSmall},
		{"large ones their size", "", large, 4, 8},
		{"gzip its size when decompressed", "gzip", encoded(t, "gzip", large), 4, 8},
		{"deflate likewise", "deflate", encoded(t, "flate", large), 4, 8},
		{"zstd that does not say it, at most", "zstd", encoded(t, "zstd", large), 3, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pr := mustReader(t, inFlight())
			for range 3 { // all of it comes back
				held := hold(t, pr, test.encoding, test.body)
				require.GreaterOrEqual(t, len(held), test.least)
				require.LessOrEqual(t, len(held), test.most)
				release(held)
			}
		})
	}
}

func TestABodyThatCannotBeHadGivesItsMemoryBack(t *testing.T) {
	t.Parallel()
	pr := mustReader(t, inFlight())
	large := strings.Repeat("x", 700_000)
	for name, bad := range map[string]func() *http.Request{
		"breaks off": func() *http.Request {
			return sent("", io.MultiReader(strings.NewReader(large), iotest.ErrReader(errors.New("gone"))))
		},
		"announced too large": func() *http.Request { return sent("", strings.NewReader(large+large)) },
		"too large": func() *http.Request {
			return sent("", io.MultiReader(strings.NewReader(large), strings.NewReader(large)))
		},
		"no gzip":        func() *http.Request { return sent("gzip", strings.NewReader(large)) },
		"no deflate":     func() *http.Request { return sent("deflate", strings.NewReader(strings.Repeat("\xff", 700_000))) },
		"no zstd":        func() *http.Request { return sent("zstd", strings.NewReader(large)) },
		"gzip too large": func() *http.Request { return sent("gzip", strings.NewReader(encoded(t, "gzip", large+large))) },
		"zstd too large": func() *http.Request { return sent("zstd", strings.NewReader(encoded(t, "zstd", large+large))) },
		"zstd one byte too large": func() *http.Request {
			return sent("zstd", strings.NewReader(encoded(t, "zstd", strings.Repeat("x", 1<<20+1))))
		},
		"gzip breaks off": func() *http.Request { return sent("gzip", strings.NewReader(encoded(t, "gzip", large)[:500])) },
	} {
		for range 10 {
			_, _, err := pr.Read(nil, bad())
			var refused *inlet.Error
			require.ErrorAs(t, err, &refused, name)
			require.NotEqual(t, inlet.CodeOverloaded, refused.Code, name)
		}
	}
	held := hold(t, pr, "", "x")
	require.Len(t, held, allSmall)
	release(held)
}

// A stalled body announces much and sends nothing until it is let go.
type stalled struct {
	inside *atomic.Int64
	letGo  chan struct{}
}

func (s stalled) Close() error { return nil }

func (s stalled) Read([]byte) (int, error) {
	s.inside.Add(1)
	<-s.letGo
	return 0, io.ErrUnexpectedEOF
}

// stall has n requests wait for bodies of the announced length, and returns how
// many do when all have been read or refused. Those leave when done is called.
func stall(t testing.TB, n int, length int64, serve func(*http.Request)) (waiting int64, done func()) {
	t.Helper()
	s := stalled{new(atomic.Int64), make(chan struct{})}
	var out atomic.Int64
	var all sync.WaitGroup
	for range n {
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/v1/batch"}, Body: s, ContentLength: length}
		all.Go(func() { serve(r); out.Add(1) })
	}
	require.Eventually(t, func() bool { return s.inside.Load()+out.Load() == int64(n) }, 20*time.Second, time.Millisecond)
	return s.inside.Load(), func() { close(s.letGo); all.Wait() }
}

func TestABodyThatWouldNotFitInIsRefusedUnread(t *testing.T) {
	t.Parallel()
	h := mustNew(t, new(keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: inFlight()}})
	waiting, done := stall(t, allSmall-2, 30_000, func(r *http.Request) { serve(h, inlet.WithSource(r, website)) })
	require.EqualValues(t, allSmall-2, waiting, "announcing alone takes little")
	unread := iotest.ErrReader(errors.New("the body was read"))
	r := inlet.WithSource(sent("", unread), website)
	r.ContentLength = 3 * smallBytes
	w := serve(h, r)
	requireRefused(t, w, 503, inlet.CodeOverloaded)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	requireTaken(t, serve(h, vouched("/v1/track", goodTrack))) // for which there is room
	done()
	requireTaken(t, serve(h, vouched("/v1/batch", batchOf(repeated(20, padTo(10_000))...))))
}

// Not parallel: memory is measured for the whole process.
func TestTenThousandBodiesThatAreOnlyAnnouncedCostLittle(t *testing.T) {
	const all = 16 << 20
	pr := mustReader(t, inlet.PayloadLimits{MaxBytesInFlight: all})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	waiting, done := stall(t, 10_000, 4<<20, func(r *http.Request) {
		_, _, err := pr.Read(nil, r)
		var refused *inlet.Error
		if !errors.As(err, &refused) {
			t.Error(err)
		}
	})
	runtime.ReadMemStats(&after)
	done()
	// One that announces 4 MiB waits only if so much is left.
	require.LessOrEqual(t, waiting, int64(all/smallBytes))
	require.GreaterOrEqual(t, waiting, int64((all-4<<20)/smallBytes))
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d wait; %d MiB allocated, the requests included", waiting, allocated>>20)
	require.Less(t, allocated, uint64(all+20<<20))
}

func TestTheBudgetIsOfTheReaderThatSharesAPayload(t *testing.T) {
	t.Parallel()
	pr := mustReader(t, inFlight())
	for range 2 * allSmall {
		r, outer, err := pr.Read(nil, sent("", strings.NewReader("x")))
		require.NoError(t, err)
		_, inner, err := pr.Read(nil, r)
		require.NoError(t, err)
		outer.Release()
		inner.Release()
	}
}

func TestEventsAreMeasuredAsTheyWereReceived(t *testing.T) {
	t.Parallel()
	// Each \xff is repaired to three bytes, which do not count.
	broken := func(n int) string {
		return strings.Replace(padTo(n), "xxxxxxxx", "\xff\xff\xff\xff\xff\xff\xff\xff", 1)
	}
	for _, encoding := range []string{"", "gzip", "zstd"} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			t.Parallel()
			h := mustNew(t, new(keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxRatio: 1 << 20}}})
			r := inlet.WithSource(sent(encoding, strings.NewReader(encoded(t, encoding, batchOf(broken(32_768), broken(32_769), padTo(32_768), padTo(32_769))))), website)
			a := read(t, serve(h, r))
			require.Equal(t, 2, *a.Accepted)
			require.Len(t, a.Rejected, 2)
			for i, place := range []int{1, 3} {
				require.Equal(t, place, a.Rejected[i].Index)
				require.Equal(t, inlet.CodeEventTooLarge, a.Rejected[i].Code)
			}
			single := func(body string) *httptest.ResponseRecorder {
				r := vouched("/v1/track", encoded(t, encoding, body))
				r.Header.Set("Content-Encoding", encoding)
				return serve(h, r)
			}
			requireTaken(t, single(broken(32_768)))
			requireRefused(t, single(broken(32_769)), 400, inlet.CodePayloadTooLarge)
		})
	}
}

func TestAQueryHasALimit(t *testing.T) {
	t.Parallel()
	h := mustNew(t, new(keeper), nil)
	requireTaken(t, serve(h, vouched("/v1/track?"+strings.Repeat("q", 64<<10), goodTrack)))
	requireRefused(t, serve(h, vouched("/v1/track?"+strings.Repeat("q", 64<<10+1), goodTrack)), 400, inlet.CodePayloadTooLarge)
}

// slowServer is a server whose bodies have a quarter of a second to arrive, below
// wrapped writers.
func slowServer(t testing.TB, http2 bool) (*httptest.Server, *keeper) {
	t.Helper()
	sink := new(keeper)
	h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true, Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: 250 * time.Millisecond}}})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(onlyUnwraps{onlyUnwraps{w}}, r)
	}))
	s.EnableHTTP2 = http2
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, sink
}

func TestABodyThatTricklesIsAnsweredAtItsDeadline(t *testing.T) {
	t.Parallel()
	s, sink := slowServer(t, false)
	conn := dial(t, s)
	started := time.Now()
	fmt.Fprintf(conn, "POST /v1/track HTTP/1.1\r\nHost: test\r\nContent-Length: 30000\r\n\r\n")
	trickle := time.NewTicker(5 * time.Millisecond) // each byte in time, and never the last
	defer trickle.Stop()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-trickle.C:
				if _, err := conn.Write([]byte{' '}); err != nil {
					return
				}
			}
		}
	}()
	answers := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answers, nil)
	took := time.Since(started)
	close(stop)
	<-stopped
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	require.GreaterOrEqual(t, took, 250*time.Millisecond)
	require.Less(t, took, 3*time.Second)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	_, err = answers.ReadByte()
	require.Error(t, err, "the connection, of which nobody knows where the next request begins, is kept")
	require.Zero(t, sink.calls)
}

func TestASlowStreamOfHTTP2LeavesItsConnectionAlone(t *testing.T) {
	t.Parallel()
	s, sink := slowServer(t, true)
	client := s.Client()
	client.Timeout = 10 * time.Second
	post := func(body io.Reader) (status int, reused bool) {
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", s.URL+"/v1/track", body)
		require.NoError(t, err)
		resp, err := client.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 2, resp.ProtoMajor)
		return resp.StatusCode, reused
	}
	status, _ := post(strings.NewReader(goodTrack))
	require.Equal(t, 200, status)
	for range 2 {
		body, rest := io.Pipe()
		go io.WriteString(rest, "{")
		status, reused := post(body)
		rest.Close()
		require.Equal(t, http.StatusRequestTimeout, status)
		require.True(t, reused)
		status, reused = post(strings.NewReader(goodTrack))
		require.Equal(t, 200, status)
		require.True(t, reused)
	}
	require.Len(t, sink.kept(), 3)
}
