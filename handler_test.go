package inlet_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

// typedEvent returns a body with all that any type of event requires.
func typedEvent(kind string) string {
	return `{"type":"` + kind + `","userId":"u","event":"E","groupId":"g","previousId":"p"}`
}

func TestNew(t *testing.T) {
	t.Parallel()
	t.Run("fields out of range", func(t *testing.T) {
		t.Parallel()
		_, err := inlet.New(nil, nil)
		require.ErrorContains(t, err, "sink")
		_, err = inlet.New(new(testsink.Keeper), &inlet.Options{
			Protocol: &inlet.Protocol{
				Dialects: []inlet.Dialect{nil},
				Limits:   inlet.Limits{EventBytes: -1, BatchBytes: -1, Events: -1, Depth: -1, Members: -1, MessageIDLength: -1},
				Payload:  inlet.PayloadLimits{MaxBytes: -1},
			},
			WriteTimeout: -1, MaxInFlight: -1, RetryAfter: time.Millisecond,
			Validators: []inlet.Validator{nil}, Enrichers: []inlet.Enricher{nil},
		})
		for _, field := range []string{
			"Limits.EventBytes", "Limits.BatchBytes", "Limits.Events", "Limits.Depth",
			"Limits.Members", "Limits.MessageIDLength", "MaxBytes", "WriteTimeout", "MaxInFlight", "RetryAfter",
			"Validators[0]", "Enrichers[0]", "Dialects[0]",
		} {
			require.ErrorContains(t, err, field+" is")
		}
		_, err = inlet.New(new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{Limits: inlet.Limits{
			BatchBytes: 1<<30 + 1, Depth: 1001, Members: 1_000_001,
		}}})
		for _, field := range []string{"Limits.BatchBytes", "Limits.Depth", "Limits.Members"} {
			require.ErrorContains(t, err, field+" is")
		}
	})
	t.Run("RequireDurability", func(t *testing.T) {
		t.Parallel()
		for have := inlet.DurabilityUnknown; have <= inlet.DurabilityReplicated; have++ {
			for want := inlet.DurabilityUnknown; want <= inlet.DurabilityReplicated; want++ {
				_, err := inlet.New(&flushing{Keeper: new(testsink.Keeper), durability: have}, &inlet.Options{RequireDurability: want})
				if have < want {
					require.ErrorContains(t, err, "RequireDurability is "+want.String())
					require.ErrorContains(t, err, "declares "+have.String())
				} else {
					require.NoError(t, err)
				}
			}
		}
		_, err := inlet.New(new(testsink.Keeper), &inlet.Options{RequireDurability: inlet.DurabilityMemory})
		require.Error(t, err)
	})
}

func TestHandlerRoutes(t *testing.T) {
	t.Parallel()
	t.Run("every spelling", func(t *testing.T) {
		t.Parallel()
		bodies := map[string]string{"m": `{"series":[]}`}
		for _, kind := range []string{"identify", "track", "page", "screen", "group", "alias"} {
			bodies[kind], bodies[kind[:1]] = typedEvent(kind), typedEvent(kind)
		}
		for _, path := range []string{"batch", "b", "import"} {
			bodies[path] = batchOf(typedEvent("page"))
		}
		require.Len(t, bodies, 16)
		h := mustNew(t, new(testsink.Keeper), nil)
		for name, body := range bodies {
			for _, path := range []string{
				"/v1/" + name, "/" + name, "//v1/" + name, "/v1//" + name, "///v1///" + name + "//", "/v1/" + name + "/", "/" + name + "/",
				"v1/" + name, name, name + "/",
			} {
				t.Run(path, func(t *testing.T) {
					t.Parallel()
					r := authenticated("/", body)
					r.URL.Path = path
					requireSuccess(t, serve(h, r))
					for _, prefix := range []string{"/analytics", "/analytics/", "/a/b"} {
						r := authenticated("/", body)
						r.URL.Path = prefix + "/" + path
						requireSuccess(t, serve(http.StripPrefix(prefix, h), r))
					}
				})
			}
		}
	})
	t.Run("refused paths and methods", func(t *testing.T) {
		t.Parallel()
		tests := []struct {
			name, method, path string
			status             int
			code               inlet.Code
			allow              string
		}{
			{"the root", "POST", "/", 404, inlet.CodeNotFound, ""},
			{"only the version", "POST", "/v1", 404, inlet.CodeNotFound, ""},
			{"the version twice", "POST", "/v1/v1/track", 404, inlet.CodeNotFound, ""},
			{"another version", "POST", "/v2/track", 404, inlet.CodeNotFound, ""},
			{"capitals", "POST", "/V1/Track", 404, inlet.CodeNotFound, ""},
			{"a path below a route", "POST", "/v1/track/more", 404, inlet.CodeNotFound, ""},
			{"dots", "POST", "/v1/../v1/track", 404, inlet.CodeNotFound, ""},
			{"a pixel without a type", "GET", "/v1/pixel", 404, inlet.CodeNotFound, ""},
			{"GET of a single route", "GET", "/v1/track", 405, inlet.CodeMethodNotAllowed, "POST"},
			{"HEAD of a single route", "HEAD", "/v1/track", 405, inlet.CodeMethodNotAllowed, "POST"},
			{"PUT of a batch", "PUT", "/batch/", 405, inlet.CodeMethodNotAllowed, "POST"},
			{"OPTIONS without a CORS layer", "OPTIONS", "/v1/batch", 405, inlet.CodeMethodNotAllowed, "POST"},
			{"a method in lower case", "post", "/v1/track", 405, inlet.CodeMethodNotAllowed, "POST"},
			{"POST of a pixel", "POST", "/v1/pixel/track", 405, inlet.CodeMethodNotAllowed, "GET, HEAD"},
		}
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, nil)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				r := authenticated("/", goodTrack, "X-HTTP-Method-Override", "POST")
				r.Method, r.URL.Path = test.method, test.path
				w := serve(h, r)
				requireRefused(t, w, test.status, test.code)
				require.Equal(t, test.allow, w.Header().Get("Allow"))
				require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
				require.Empty(t, w.Header().Get("Location"))
			})
		}
		t.Cleanup(func() { require.Zero(t, sink.Calls()) })
	})
}

// A countedBody counts its reads.
type countedBody struct {
	*strings.Reader
	reads int
}

func (b *countedBody) Read(dst []byte) (int, error) {
	b.reads++
	return b.Reader.Read(dst)
}

func (*countedBody) Close() error { return nil }

func TestHandlerAnonymous(t *testing.T) {
	t.Parallel()
	t.Run("refused unread", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, nil)
		body := &countedBody{Reader: strings.NewReader(goodTrack)}
		r := request("POST", "/v1/track", nil)
		r.Body = body
		requireRefused(t, serve(h, r), 401, inlet.CodeMissingKey)
		require.Zero(t, body.reads)
		require.Zero(t, sink.Calls())
	})
	t.Run("AllowAnonymous", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true})
		requireSuccess(t, serve(h, request("POST", "/v1/track", strings.NewReader(goodTrack))))
		requireSuccess(t, serve(h, authenticated("/v1/track", goodTrack)))
		require.Equal(t, "anonymous", sink.Events()[0].Source.ID)
		require.Same(t, website, sink.Events()[1].Source)
	})
	t.Run("metrics are accepted and dropped", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, nil)
		for _, body := range []string{`{"series":[{"type":"Counter"}]}`, "no JSON", ""} {
			requireSuccess(t, serve(h, request("POST", "/v1/m", strings.NewReader(body))))
		}
		require.Zero(t, sink.Calls())
	})
}

// blocking returns a sink that holds its calls until release is called, and a channel that
// receives a value when one has begun.
func blocking() (sink *testsink.Keeper, begun chan struct{}, release func()) {
	begun, gate := make(chan struct{}, 16), make(chan struct{})
	sink = &testsink.Keeper{Respond: func(context.Context, []*inlet.Event) error {
		begun <- struct{}{}
		<-gate
		return nil
	}}
	return sink, begun, sync.OnceFunc(func() { close(gate) })
}

func TestHandlerMaxInFlight(t *testing.T) {
	t.Parallel()
	sink, begun, release := blocking()
	defer release()
	h := mustNew(t, sink, &inlet.Options{MaxInFlight: 2})
	var inside sync.WaitGroup
	for range 2 {
		inside.Go(func() { serve(h, authenticated("/v1/track", goodTrack)) })
		<-begun
	}
	body := &countedBody{Reader: strings.NewReader(goodTrack)}
	r := authenticated("/v1/track", "")
	r.Body = body
	w := serve(h, r)
	requireRefused(t, w, 503, inlet.CodeOverloaded)
	require.Contains(t, []string{"1", "2", "3"}, w.Header().Get("Retry-After"), "not the same for all")
	require.Zero(t, body.reads)
	pixel := serve(h, inlet.WithSource(request("GET", "/v1/pixel/page?userId=u", nil), website))
	requirePixel(t, pixel, inlet.CodeOverloaded)
	release()
	inside.Wait()
	requireSuccess(t, serve(h, authenticated("/v1/track", goodTrack)))
}

// A traffic is the result of requests that arrive at a rate, regardless of how those
// before them end.
type traffic struct {
	mu      sync.Mutex
	took    []time.Duration // of those that were stored
	refused []time.Duration // since the start
	waits   map[string]int  // Retry-After
}

// arrive sends n requests to h at a rate, in a bubble.
func arrive(h *inlet.Handler, rate, n int) *traffic {
	t := &traffic{waits: map[string]int{}}
	var all sync.WaitGroup
	begin := time.Now()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		all.Go(func() {
			start := time.Now()
			w := serve(h, authenticated("/v1/track", goodTrack))
			t.mu.Lock()
			defer t.mu.Unlock()
			if w.Code == 200 {
				t.took = append(t.took, time.Since(start))
				return
			}
			t.refused = append(t.refused, start.Sub(begin))
			t.waits[w.Header().Get("Retry-After")]++
		})
	}
	all.Wait()
	slices.Sort(t.took)
	return t
}

// busySink returns a sink that runs a number of writes concurrently, each for a time.
func busySink(places int, each time.Duration) inlet.Sink {
	free := make(chan struct{}, places)
	return inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		free <- struct{}{}
		time.Sleep(each)
		<-free
		return nil
	})
}

func TestWriteQueue(t *testing.T) {
	t.Parallel()
	t.Run("four times the capacity of a sink", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := mustNew(t, busySink(4, 4*time.Millisecond), nil) // a thousand a second
			over := arrive(h, 4000, 12_000)
			require.Greater(t, len(over.took), 2700)
			require.Less(t, over.took[len(over.took)*99/100], 250*time.Millisecond)
			require.Zero(t, over.waits[""])
			require.Len(t, over.waits, 3, "refused clients do not retry together")
			after := arrive(h, 500, 500)
			for _, at := range after.refused {
				require.Less(t, at, 100*time.Millisecond)
			}
			require.Empty(t, arrive(h, 1_000_000, 200).refused, "soon even a burst is let in again")
		})
	})
	t.Run("load below capacity is never refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Empty(t, arrive(mustNew(t, busySink(4, 4*time.Millisecond), nil), 900, 3000).refused)
		})
	})
	t.Run("a burst is let in", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := mustNew(t, busySink(4, 4*time.Millisecond), nil)
			arrive(h, 10, 20)
			require.Empty(t, arrive(h, 1_000_000, 500).refused)
		})
	})
	t.Run("a slow sink that is not busy gets all", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Empty(t, arrive(mustNew(t, busySink(10_000, 300*time.Millisecond), nil), 1000, 5000).refused)
		})
	})
	t.Run("stuck writes do not stop the others", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			stuck, left := make(chan struct{}), make(chan struct{}, 10)
			for range cap(left) {
				left <- struct{}{}
			}
			h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
				select {
				case <-left:
					<-stuck
				default:
					time.Sleep(time.Millisecond)
				}
				return nil
			}), nil)
			time.AfterFunc(5*time.Second, func() { close(stuck) })
			require.Empty(t, arrive(h, 1000, 3000).refused)
		})
	})
}

// flushing is a sink that can be flushed and checked, and declares a durability.
type flushing struct {
	*testsink.Keeper
	flushes    atomic.Int32
	flushErr   error
	checkErr   error
	durability inlet.Durability
}

func (f *flushing) Flush(context.Context) error { f.flushes.Add(1); return f.flushErr }

func (f *flushing) Check(context.Context) error { return f.checkErr }

func (f *flushing) Durability() inlet.Durability { return f.durability }

func TestHandlerShutdown(t *testing.T) {
	t.Parallel()
	t.Run("waits for requests in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner, begun, release := blocking()
			sink := &flushing{Keeper: inner}
			h := mustNew(t, sink, nil)
			var answered *httptest.ResponseRecorder
			var inside sync.WaitGroup
			inside.Go(func() { answered = serve(h, authenticated("/v1/track", goodTrack)) })
			<-begun

			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, h.Shutdown(short), context.DeadlineExceeded)
			require.Zero(t, sink.flushes.Load(), "flushed while a request is in flight")

			w := serve(h, authenticated("/v1/track", goodTrack))
			requireRefused(t, w, 503, inlet.CodeShuttingDown)
			require.Equal(t, "close", w.Header().Get("Connection"))
			require.Equal(t, "1", w.Header().Get("Retry-After"))
			requireRefused(t, serve(h.Ready(), request("GET", "/", nil)), 503, inlet.CodeShuttingDown)
			requireSuccess(t, serve(h.Live(), request("GET", "/", nil)))
			requirePixel(t, serve(h, request("GET", "/v1/pixel/page", nil)), inlet.CodeShuttingDown)

			var down sync.WaitGroup
			for range 3 {
				down.Go(func() { require.NoError(t, h.Shutdown(context.Background())) })
			}
			synctest.Wait()
			require.Zero(t, sink.flushes.Load())
			release()
			inside.Wait()
			down.Wait()
			require.EqualValues(t, 3, sink.flushes.Load())
			requireSuccess(t, answered)
		})
	})
	t.Run("returns the error of the flush", func(t *testing.T) {
		t.Parallel()
		failed := errors.New("disk full")
		h := mustNew(t, &flushing{Keeper: new(testsink.Keeper), flushErr: failed}, nil)
		require.ErrorIs(t, h.Shutdown(t.Context()), failed)
	})
}

func TestHandlerReady(t *testing.T) {
	t.Parallel()
	sink := &flushing{Keeper: new(testsink.Keeper)}
	h := mustNew(t, sink, nil)
	requireSuccess(t, serve(h.Ready(), request("GET", "/ready", nil)))
	sink.checkErr = errors.New("secret: disk full at /dev/sda1")
	w := serve(h.Ready(), request("GET", "/ready", nil))
	requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
	require.NotContains(t, w.Body.String(), "sda1")
	requireSuccess(t, serve(h.Live(), request("GET", "/live", nil)))
	requireSuccess(t, serve(mustNew(t, new(testsink.Keeper), nil).Ready(), request("GET", "/ready", nil)))
}

func TestHandlerIngest(t *testing.T) {
	t.Parallel()
	cause := errors.New("down")
	good := func() *inlet.Event { return &inlet.Event{Type: inlet.TypePage, UserID: "u"} }
	tests := []struct {
		name  string
		event *inlet.Event
		code  inlet.Code
	}{
		{"a good one", good(), ""},
		{"nil", nil, inlet.CodeNotObject},
		{"no type", &inlet.Event{UserID: "u"}, inlet.CodeTypeRequired},
		{"no user", &inlet.Event{Type: inlet.TypePage}, inlet.CodeNoUserAnonID},
		{"broken text", &inlet.Event{Type: inlet.TypePage, UserID: "\xff"}, inlet.CodeInvalidEvent},
		{"a year that cannot be said", &inlet.Event{Type: inlet.TypePage, UserID: "u", Timestamp: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)}, inlet.CodeInvalidEvent},
		{"properties that are not JSON", &inlet.Event{Type: inlet.TypePage, UserID: "u", Properties: []byte("{")}, inlet.CodeInvalidEvent},
		{"traits that are not an object", &inlet.Event{Type: inlet.TypePage, UserID: "u", Traits: []byte("[]")}, inlet.CodeInvalidEvent},
		{"an extra member with a field of its own", &inlet.Event{Type: inlet.TypePage, UserID: "u", Extra: []byte(`{"userId":"v"}`)}, inlet.CodeInvalidEvent},
		{"an extra member of any other name", &inlet.Event{Type: inlet.TypePage, UserID: "u", Extra: []byte(`{"event":"v"}`)}, ""},
		{"too large", &inlet.Event{Type: inlet.TypePage, UserID: "u", Context: []byte(padTo(32_769))}, inlet.CodeEventTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			err := mustNew(t, sink, nil).Ingest(t.Context(), website, good(), test.event)
			if test.code == "" {
				require.NoError(t, err)
				require.Len(t, sink.Events(), 2)
				requireComplete(t, sink.Events()[1])
				return
			}
			require.Len(t, sink.Events(), 1)
			var batch *inlet.BatchError
			require.ErrorAs(t, err, &batch)
			require.NoError(t, itemerrors.Validate(batch, 2))
			require.Equal(t, 1, batch.Items[0].Index)
			require.True(t, inlet.IsPermanent(err))
			var problem *inlet.Problem
			require.ErrorAs(t, err, &problem)
			require.Equal(t, test.code, problem.Code)
		})
	}
	t.Run("what the sink says is passed on", func(t *testing.T) {
		t.Parallel()
		err := mustNew(t, testsink.Failing(cause), nil).Ingest(t.Context(), website, good())
		require.ErrorIs(t, err, cause)
		require.False(t, inlet.IsPermanent(err))
	})
	t.Run("a source is required", func(t *testing.T) {
		t.Parallel()
		require.Error(t, mustNew(t, new(testsink.Keeper), nil).Ingest(t.Context(), nil, good()))
		require.Error(t, mustNew(t, new(testsink.Keeper), nil).Ingest(t.Context(), &inlet.Source{}, good()))
	})
	t.Run("not after Shutdown", func(t *testing.T) {
		t.Parallel()
		h := mustNew(t, new(testsink.Keeper), nil)
		require.NoError(t, h.Shutdown(t.Context()))
		var e *inlet.Error
		require.ErrorAs(t, h.Ingest(t.Context(), website, good()), &e)
		require.Equal(t, inlet.CodeShuttingDown, e.Code)
	})
	t.Run("the given events are not changed", func(t *testing.T) {
		t.Parallel()
		given := good()
		require.NoError(t, mustNew(t, new(testsink.Keeper), nil).Ingest(t.Context(), website, given))
		require.Equal(t, good(), given)
	})
}

func TestHarden(t *testing.T) {
	t.Parallel()
	t.Run("sets only what is zero", func(t *testing.T) {
		t.Parallel()
		given := &http.Server{
			ReadHeaderTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
			IdleTimeout: 4 * time.Second, MaxHeaderBytes: 5,
		}
		require.Same(t, given, inlet.Harden(given))
		require.Equal(t, time.Second, given.ReadHeaderTimeout)
		require.Equal(t, 4*time.Second, given.IdleTimeout)
		require.Equal(t, 5, given.MaxHeaderBytes)
		require.Equal(t, 2*time.Second, given.ReadTimeout)
		require.Equal(t, 3*time.Second, given.WriteTimeout)
		require.Zero(t, inlet.Harden(new(http.Server)).ReadTimeout)
		require.Zero(t, inlet.Harden(new(http.Server)).WriteTimeout)
	})
	t.Run("bounds HTTP/2", func(t *testing.T) {
		t.Parallel()
		h2 := inlet.Harden(new(http.Server)).HTTP2
		require.Equal(t, 100, h2.MaxConcurrentStreams)
		require.Equal(t, 256<<10, h2.MaxReceiveBufferPerConnection)
		require.Equal(t, 30*time.Second, h2.SendPingTimeout)
		require.Equal(t, 15*time.Second, h2.PingTimeout)
		require.Equal(t, 10*time.Second, h2.WriteByteTimeout)
		shared := &http.HTTP2Config{MaxConcurrentStreams: 7}
		h2 = inlet.Harden(&http.Server{HTTP2: shared}).HTTP2
		require.Equal(t, 7, h2.MaxConcurrentStreams)
		require.NotZero(t, h2.WriteByteTimeout)
		require.Equal(t, http.HTTP2Config{MaxConcurrentStreams: 7}, *shared, "other servers may share it")
	})
	t.Run("a server without it is logged once", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct {
			name   string
			config func(*http.Server)
			warns  int
		}{
			{"as it comes", func(*http.Server) {}, 1},
			{"with a negative time, which is none", func(s *http.Server) { s.ReadHeaderTimeout = -1 }, 1},
			{"hardened", func(s *http.Server) { inlet.Harden(s) }, 0},
			{"with a time for the whole request", func(s *http.Server) { s.ReadTimeout = time.Minute }, 0},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer // slog's handlers lock
				h := mustNew(t, new(testsink.Keeper), &inlet.Options{AllowAnonymous: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				s := httptest.NewUnstartedServer(h)
				test.config(s.Config)
				s.Start()
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						resp, err := s.Client().Post(s.URL+"/v1/track", "application/json", strings.NewReader(goodTrack))
						if err == nil {
							resp.Body.Close()
						}
					})
				}
				wg.Wait()
				s.Close()
				require.Equal(t, test.warns, strings.Count(log.String(), "ReadHeaderTimeout"), "%s", log.String())
				if test.warns > 0 {
					require.Contains(t, log.String(), "level=WARN")
				}
			})
		}
	})
	t.Run("a handler without a server logs nothing", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{AllowAnonymous: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		requireSuccess(t, serve(h, request("POST", "/v1/track", strings.NewReader(goodTrack))))
		require.Empty(t, log.String())
	})
}
