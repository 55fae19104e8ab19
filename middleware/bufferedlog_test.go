package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

func newBufferedLog(t *testing.T, w io.Writer, o middleware.BufferedLogOptions) *middleware.BufferedLog {
	t.Helper()
	l, err := middleware.NewBufferedLog(w, &o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Each line is the one that package slog makes.
func TestBufferedLogLines(t *testing.T) {
	t.Parallel()
	down := testsink.Failing(errors.New("the disk is full"))
	kinds := map[string]struct {
		call  call
		sink  inlet.Sink
		takes time.Duration
	}{
		"an event":            {call: call{body: track, key: writeKey}},
		"a slow one":          {call: call{body: track, key: writeKey}, takes: 1234567 * time.Microsecond},
		"one nanosecond":      {call: call{body: track, key: writeKey}, takes: 1},
		"a round time":        {call: call{body: track, key: writeKey}, takes: 2100 * time.Millisecond},
		"over IPv6":           {call: call{body: track, key: writeKey, from: "[2001:db8::1]:1"}},
		"an IPv6 zone":        {call: call{body: track, key: writeKey, from: "[fe80::1%e\" t=h]:1"}},
		"no address":          {call: call{body: track, key: writeKey, from: "@"}},
		"a refused event":     {call: call{body: `{"type":"track","event":"An \"odd\" name=1"}`, key: writeKey}},
		"an unknown key":      {call: call{body: track, key: "unknown"}},
		"a sink that is down": {call: call{body: track, key: writeKey}, sink: down},
		"a path that is odd":  {call: call{path: "/a%0a=\"b%22%5C", body: track, key: writeKey}},
		"a path beyond ASCII": {call: call{path: "/ž", body: track, key: writeKey}},
		"a key in the path":   {call: call{method: "GET", path: "/v1/projects/" + writeKey + "/settings"}},
		"an origin":           {call: call{body: track, key: boundKey, header: map[string]string{"Origin": "https://other.example"}}},
	}
	for name, kind := range kinds {
		for _, asJSON := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", JSON", false: ", text"}[asJSON], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					lines := func(logger *slog.Logger) {
						slow := func(next http.Handler) http.Handler {
							return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
								time.Sleep(kind.takes)
								next.ServeHTTP(w, r)
							})
						}
						sink := kind.sink
						if sink == nil {
							sink = new(testsink.Keeper)
						}
						h := middleware.Chain(middleware.AccessLog(&middleware.AccessLogOptions{Logger: logger}), slow,
							middleware.Payload(nil), middleware.Auth(keys, nil))(newHandler(t, sink))
						kind.call.do(h)
						logger.Warn("another line", "of", "package slog")
					}
					var want, got bytes.Buffer
					var handler slog.Handler = slog.NewTextHandler(&want, nil)
					if asJSON {
						handler = slog.NewJSONHandler(&want, nil)
					}
					buffered := newBufferedLog(t, &got, middleware.BufferedLogOptions{JSON: asJSON})
					began := time.Now()
					lines(slog.New(handler))
					took := time.Since(began)
					lines(slog.New(buffered))
					require.NoError(t, buffered.Close())
					wanted := strings.Split(want.String(), "\n")
					gotten := strings.Split(got.String(), "\n")
					require.Len(t, gotten, len(wanted))
					for i := range wanted {
						require.Equal(t, withoutTime(wanted[i]), withoutTime(gotten[i]))
					}
					if took == 0 {
						require.Equal(t, want.String(), got.String())
					}
				})
			})
		}
	}
}

// withoutTime returns a line without the text of its time, and with the length of that.
func withoutTime(line string) string {
	before, rest, _ := strings.Cut(line, "2000-01-01T")
	_, after, _ := strings.Cut(rest, map[bool]string{true: `"`, false: " "}[strings.HasPrefix(line, "{")])
	return before + after
}

// Times are those of package slog, at any fraction of a second and in any zone.
func TestBufferedLogTimes(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			for _, pause := range []time.Duration{0, 1, 100, time.Millisecond - 101, 10 * time.Millisecond, 989 * time.Millisecond, 999_999_999, time.Second, time.Hour, 400 * 24 * time.Hour} {
				time.Sleep(pause)
				var want, got bytes.Buffer
				var handler slog.Handler = slog.NewTextHandler(&want, nil)
				if asJSON {
					handler = slog.NewJSONHandler(&want, nil)
				}
				buffered := newBufferedLog(t, &got, middleware.BufferedLogOptions{JSON: asJSON})
				for _, logger := range []*slog.Logger{slog.New(handler), slog.New(buffered)} {
					h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: logger})(status(http.StatusOK))
					call{}.do(h)
					call{}.do(h)
				}
				require.NoError(t, buffered.Flush())
				require.Equal(t, want.String(), got.String())
			}
		})
	}
}

// The host's attributes, groups and levels mean what they mean in package slog.
func TestBufferedLogDerived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var want, got bytes.Buffer
		buffered := newBufferedLog(t, &got, middleware.BufferedLogOptions{Level: slog.LevelWarn})
		for _, handler := range []slog.Handler{slog.NewTextHandler(&want, &slog.HandlerOptions{Level: slog.LevelWarn}), buffered} {
			for _, logger := range []*slog.Logger{slog.New(handler), slog.New(handler).With("host", "a b"), slog.New(handler).WithGroup("g")} {
				for _, answer := range []int{200, 404, 500} {
					h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: logger})(status(answer))
					call{}.do(h)
				}
				logger.Info("dropped")
				logger.Warn("kept", "n", 1)
			}
		}
		require.NoError(t, buffered.Flush())
		require.Equal(t, want.String(), got.String())
		require.Equal(t, 9, strings.Count(got.String(), "\n"))
	})
}

// A line is written after MaxDelay, with MaxBytes, at level Error, at Flush and at Close.
func TestBufferedLogDelay(t *testing.T) {
	t.Parallel()
	inBubble := func(name string, o middleware.BufferedLogOptions, test func(t *testing.T, l *middleware.BufferedLog, log *slog.Logger, got *testkit.Log)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got testkit.Log
				l := newBufferedLog(t, &got, o)
				test(t, l, slog.New(l), &got)
			})
		})
	}
	inBubble("delay", middleware.BufferedLogOptions{}, func(t *testing.T, _ *middleware.BufferedLog, log *slog.Logger, got *testkit.Log) {
		for i := range 3 { // each line begins the delay anew
			log.Info("one")
			time.Sleep(99 * time.Millisecond)
			log.Info("two")
			synctest.Wait()
			require.Equal(t, 2*i, strings.Count(got.String(), "\n"))
			time.Sleep(time.Millisecond)
			synctest.Wait()
			require.Equal(t, 2*(i+1), strings.Count(got.String(), "\n"))
		}
	})
	inBubble("bytes", middleware.BufferedLogOptions{MaxBytes: 1000}, func(t *testing.T, _ *middleware.BufferedLog, log *slog.Logger, got *testkit.Log) {
		h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: log})(status(http.StatusOK))
		sent := 0
		for got.String() == "" {
			require.Less(t, sent, 20)
			call{}.do(h)
			sent++
		}
		require.GreaterOrEqual(t, len(got.String()), 1000)
		require.Equal(t, sent, strings.Count(got.String(), "\n"))
	})
	inBubble("an error", middleware.BufferedLogOptions{}, func(t *testing.T, _ *middleware.BufferedLog, log *slog.Logger, got *testkit.Log) {
		log.Info("before")
		log.Error("now")
		require.Equal(t, 2, strings.Count(got.String(), "\n"))
	})
	inBubble("many requests that fail", middleware.BufferedLogOptions{}, func(t *testing.T, l *middleware.BufferedLog, log *slog.Logger, got *testkit.Log) {
		h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: log})(status(http.StatusServiceUnavailable))
		call{}.do(h)
		require.Empty(t, got.String(), "they must not cost more than others")
		require.NoError(t, l.Flush())
		require.Contains(t, got.String(), "status=503")
	})
	inBubble("after Close", middleware.BufferedLogOptions{}, func(t *testing.T, l *middleware.BufferedLog, log *slog.Logger, got *testkit.Log) {
		log.Info("one")
		require.NoError(t, l.Close())
		require.Equal(t, 1, strings.Count(got.String(), "\n"))
		log.Info("two")
		require.Equal(t, 2, strings.Count(got.String(), "\n"))
		require.NoError(t, l.Close())
	})
}

// What the writer fails to write is dropped, and reported once.
func TestBufferedLogErrors(t *testing.T) {
	t.Parallel()
	failed := errors.New("the disk is full")
	l := newBufferedLog(t, writerFunc(func([]byte) (int, error) { return 0, failed }), middleware.BufferedLogOptions{MaxBytes: 100})
	log := slog.New(l)
	for range 100 {
		log.Info("a line that is not written")
	}
	require.NoError(t, l.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelError, "nor is this", 0)))
	require.ErrorIs(t, l.Flush(), failed)
	require.NoError(t, l.Flush())
	log.Info("another")
	require.ErrorIs(t, l.Close(), failed)
	require.NoError(t, l.Close())
}

// A writer that panics has failed, also in the goroutine that writes after the delay, whose panic
// would end the process.
func TestBufferedLogPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got [][]byte
		l := newBufferedLog(t, writerFunc(func(lines []byte) (int, error) {
			got = append(got, bytes.Clone(lines))
			panic("no disk")
		}), middleware.BufferedLogOptions{})
		log := slog.New(l)
		log.Info("one")
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorContains(t, l.Flush(), "no disk")
		log.Error("two")
		require.ErrorContains(t, l.Close(), "no disk")
		require.NoError(t, l.Close())
		require.Len(t, got, 2)
		require.NotContains(t, string(got[1]), "one", "it is dropped")
	})
}

// The memory of a line that was much longer than MaxBytes does not stay.
func TestBufferedLogMemory(t *testing.T) {
	t.Parallel()
	room := 0
	l := newBufferedLog(t, writerFunc(func(lines []byte) (int, error) {
		room = cap(lines)
		return len(lines), nil
	}), middleware.BufferedLogOptions{})
	log := slog.New(l)
	log.Error("long", "text", strings.Repeat("x", 1<<20))
	require.Greater(t, room, 1<<20)
	log.Error("short")
	require.LessOrEqual(t, room, 2*64<<10)
	require.NoError(t, l.Flush())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Lines that are logged concurrently, also with Flush and Close, are all there, and none is cut.
func TestBufferedLogConcurrent(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 200
	var got testkit.Log
	l := newBufferedLog(t, &got, middleware.BufferedLogOptions{MaxBytes: 500, MaxDelay: time.Microsecond})
	h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: slog.New(l)})(status(http.StatusOK))
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for k := range each {
				call{}.do(h)
				slog.New(l).InfoContext(context.Background(), "middleware: request status=200")
				switch {
				case i == 0 && k%10 == 0:
					_ = l.Flush()
				case i == 1 && k == each/2:
					_ = l.Close()
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, l.Close())
	lines := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n")
	require.Len(t, lines, 2*writers*each)
	for _, line := range lines {
		require.True(t, strings.HasPrefix(line, "time=") && strings.Contains(line, "status=200"), line)
	}
}

func TestBufferedLogOptions(t *testing.T) {
	t.Parallel()
	_, err := middleware.NewBufferedLog(io.Discard, &middleware.BufferedLogOptions{MaxDelay: -1, MaxBytes: -1})
	require.ErrorContains(t, err, "BufferedLogOptions")
	require.ErrorContains(t, err, "MaxDelay")
	require.ErrorContains(t, err, "MaxBytes")
	_, err = middleware.NewBufferedLog(nil, nil)
	require.ErrorContains(t, err, "NewBufferedLog: w is nil")
}

// A request that is logged allocates no more than one that is not.
// Not parallel: allocations are counted for the whole process.
func TestBufferedLogAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	l := newBufferedLog(t, io.Discard, middleware.BufferedLogOptions{MaxDelay: time.Hour, MaxBytes: 1 << 30})
	accepted := call{body: track, key: writeKey}
	handler := newHandler(t, new(sinks.Discard))
	without := allocations(mount(handler), accepted)
	with := allocations(middleware.AccessLog(&middleware.AccessLogOptions{Logger: slog.New(l)})(mount(handler)), accepted)
	t.Logf("%v allocations without, %v with an access log", without, with)
	require.LessOrEqual(t, with-without, 0.0)
}
