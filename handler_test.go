package inlet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// typedEvent returns a body with all that any type of event requires.
func typedEvent(kind string) string {
	return `{"type":"` + kind + `","userId":"u","event":"E","groupId":"g","previousId":"p"}`
}

func TestEveryRouteInEverySpelling(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{"m": `{"series":[]}`}
	for _, kind := range []string{"identify", "track", "page", "screen", "group", "alias"} {
		bodies[kind], bodies[kind[:1]] = typedEvent(kind), typedEvent(kind)
	}
	for _, path := range []string{"batch", "b", "import"} {
		bodies[path] = batchOf(typedEvent("page"))
	}
	require.Len(t, bodies, 16)
	h := mustNew(t, new(keeper), nil)
	for name, body := range bodies {
		for _, path := range []string{
			"/v1/" + name, "/" + name, "//v1/" + name, "/v1//" + name, "///v1///" + name + "//", "/v1/" + name + "/", "/" + name + "/",
			"v1/" + name, name, name + "/",
		} {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				r := vouched("/", body)
				r.URL.Path = path
				requireTaken(t, serve(h, r))
				for _, prefix := range []string{"/analytics", "/analytics/", "/a/b"} {
					r := vouched("/", body)
					r.URL.Path = prefix + "/" + path
					requireTaken(t, serve(http.StripPrefix(prefix, h), r))
				}
			})
		}
	}
}

func TestRefusedPathsAndMethods(t *testing.T) {
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
		{"a method in small letters", "post", "/v1/track", 405, inlet.CodeMethodNotAllowed, "POST"},
		{"POST of a pixel", "POST", "/v1/pixel/track", 405, inlet.CodeMethodNotAllowed, "GET"},
		{"HEAD of a pixel", "HEAD", "/v1/pixel/track", 405, inlet.CodeMethodNotAllowed, "GET"},
	}
	sink := new(keeper)
	h := mustNew(t, sink, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := vouched("/", goodTrack, "X-HTTP-Method-Override", "POST")
			r.Method, r.URL.Path = test.method, test.path
			w := serve(h, r)
			requireRefused(t, w, test.status, test.code)
			require.Equal(t, test.allow, w.Header().Get("Allow"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			require.Empty(t, w.Header().Get("Location"))
		})
	}
	t.Cleanup(func() { require.Zero(t, sink.calls) })
}

// A countedBody notes whether anybody reads it.
type countedBody struct {
	*strings.Reader
	reads int
}

func (b *countedBody) Read(dst []byte) (int, error) {
	b.reads++
	return b.Reader.Read(dst)
}

func (*countedBody) Close() error { return nil }

func TestWhatNobodyVouchedForIsRefusedUnread(t *testing.T) {
	t.Parallel()
	sink := new(keeper)
	h := mustNew(t, sink, nil)
	body := &countedBody{Reader: strings.NewReader(goodTrack)}
	r := request("POST", "/v1/track", nil)
	r.Body = body
	requireRefused(t, serve(h, r), 401, inlet.CodeMissingKey)
	require.Zero(t, body.reads)
	require.Zero(t, sink.calls)
}

func TestAllowAnonymousTakesWhatNobodyVouchedFor(t *testing.T) {
	t.Parallel()
	sink := new(keeper)
	h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true})
	requireTaken(t, serve(h, request("POST", "/v1/track", strings.NewReader(goodTrack))))
	requireTaken(t, serve(h, vouched("/v1/track", goodTrack)))
	require.Equal(t, "anonymous", sink.kept()[0].Source.ID)
	require.Same(t, website, sink.kept()[1].Source)
}

func TestMetricsOfBrowsersAreTakenWithoutAKeyAndDropped(t *testing.T) {
	t.Parallel()
	sink := new(keeper)
	h := mustNew(t, sink, nil)
	for _, body := range []string{`{"series":[{"type":"Counter"}]}`, "no JSON", ""} {
		requireTaken(t, serve(h, request("POST", "/v1/m", strings.NewReader(body))))
	}
	require.Zero(t, sink.calls)
}

// blocking returns a sink that holds its calls until release is called, and a
// channel that says when one has begun.
func blocking() (sink *keeper, begun chan struct{}, release func()) {
	begun, gate := make(chan struct{}, 16), make(chan struct{})
	sink = &keeper{answer: func(context.Context, []*inlet.Event) error {
		begun <- struct{}{}
		<-gate
		return nil
	}}
	return sink, begun, sync.OnceFunc(func() { close(gate) })
}

func TestRequestsOverMaxInFlightAreRefused(t *testing.T) {
	t.Parallel()
	sink, begun, release := blocking()
	defer release()
	h := mustNew(t, sink, &inlet.Options{MaxInFlight: 2})
	var inside sync.WaitGroup
	for range 2 {
		inside.Go(func() { serve(h, vouched("/v1/track", goodTrack)) })
		<-begun
	}
	body := &countedBody{Reader: strings.NewReader(goodTrack)}
	r := vouched("/v1/track", "")
	r.Body = body
	w := serve(h, r)
	requireRefused(t, w, 503, inlet.CodeOverloaded)
	require.Contains(t, []string{"1", "2", "3"}, w.Header().Get("Retry-After"), "not the same for all")
	require.Zero(t, body.reads)
	pixel := serve(h, inlet.WithSource(request("GET", "/v1/pixel/page?userId=u", nil), website))
	requirePixel(t, pixel, inlet.CodeOverloaded)
	release()
	inside.Wait()
	requireTaken(t, serve(h, vouched("/v1/track", goodTrack)))
}

// requirePixel checks that an answer is the image, with or without an error.
func requirePixel(t testing.TB, w *httptest.ResponseRecorder, code inlet.Code) {
	t.Helper()
	require.Equal(t, 200, w.Code)
	require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, string(code), w.Header().Get("X-Inlet-Error"))
	require.True(t, bytes.HasPrefix(w.Body.Bytes(), []byte("GIF89a")))
}

// flushing is a sink that can be flushed, checked, and says how durable it is.
type flushing struct {
	*keeper
	flushes    atomic.Int32
	flushErr   error
	checkErr   error
	durability inlet.Durability
}

func (f *flushing) Flush(context.Context) error  { f.flushes.Add(1); return f.flushErr }
func (f *flushing) Check(context.Context) error  { return f.checkErr }
func (f *flushing) Durability() inlet.Durability { return f.durability }

func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner, begun, release := blocking()
		sink := &flushing{keeper: inner}
		h := mustNew(t, sink, nil)
		var answered *httptest.ResponseRecorder
		var inside sync.WaitGroup
		inside.Go(func() { answered = serve(h, vouched("/v1/track", goodTrack)) })
		<-begun

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, h.Shutdown(short), context.DeadlineExceeded)
		require.Zero(t, sink.flushes.Load(), "flushed while a request is in flight")

		w := serve(h, vouched("/v1/track", goodTrack))
		requireRefused(t, w, 503, inlet.CodeShuttingDown)
		require.Equal(t, "close", w.Header().Get("Connection"))
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		requireRefused(t, serve(h.Ready(), request("GET", "/", nil)), 503, inlet.CodeShuttingDown)
		requireTaken(t, serve(h.Live(), request("GET", "/", nil)))
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
		requireTaken(t, answered)
	})
}

func TestShutdownReportsWhatTheFlushSays(t *testing.T) {
	t.Parallel()
	failed := errors.New("disk full")
	h := mustNew(t, &flushing{keeper: new(keeper), flushErr: failed}, nil)
	require.ErrorIs(t, h.Shutdown(t.Context()), failed)
}

func TestReadyAsksTheSink(t *testing.T) {
	t.Parallel()
	sink := &flushing{keeper: new(keeper)}
	h := mustNew(t, sink, nil)
	requireTaken(t, serve(h.Ready(), request("GET", "/ready", nil)))
	sink.checkErr = errors.New("secret: disk full at /dev/sda1")
	w := serve(h.Ready(), request("GET", "/ready", nil))
	requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
	require.NotContains(t, w.Body.String(), "sda1")
	requireTaken(t, serve(h.Live(), request("GET", "/live", nil)))
	requireTaken(t, serve(mustNew(t, new(keeper), nil).Ready(), request("GET", "/ready", nil)))
}

func TestRequireDurability(t *testing.T) {
	t.Parallel()
	for have := inlet.DurabilityUnknown; have <= inlet.DurabilityReplicated; have++ {
		for want := inlet.DurabilityUnknown; want <= inlet.DurabilityReplicated; want++ {
			_, err := inlet.New(&flushing{keeper: new(keeper), durability: have}, &inlet.Options{RequireDurability: want})
			if have < want {
				require.ErrorContains(t, err, "RequireDurability is "+want.String())
				require.ErrorContains(t, err, "declares "+have.String())
			} else {
				require.NoError(t, err)
			}
		}
	}
	_, err := inlet.New(new(keeper), &inlet.Options{RequireDurability: inlet.DurabilityMemory})
	require.Error(t, err)
}

func TestNewNamesEveryFieldThatIsOutOfRange(t *testing.T) {
	t.Parallel()
	_, err := inlet.New(nil, nil)
	require.ErrorContains(t, err, "sink")
	_, err = inlet.New(new(keeper), &inlet.Options{
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
	_, err = inlet.New(new(keeper), &inlet.Options{Protocol: &inlet.Protocol{Limits: inlet.Limits{
		BatchBytes: 1<<30 + 1, Depth: 1001, Members: 1_000_001,
	}}})
	for _, field := range []string{"Limits.BatchBytes", "Limits.Depth", "Limits.Members"} {
		require.ErrorContains(t, err, field+" is")
	}
}

const secret = "password=hunter2"

func TestOutcomesOfASingleWrite(t *testing.T) {
	t.Parallel()
	cause := errors.New(secret)
	tests := []struct {
		name       string
		err        error
		status     int
		code       inlet.Code
		retryAfter string
	}{
		{"nil", nil, 200, "", ""},
		{"an error", cause, 503, inlet.CodeSinkUnavailable, "3"},
		{"an error that says when", inlet.RetryAfter(cause, 90*time.Second), 503, inlet.CodeSinkUnavailable, "90"},
		{"an error that says when in fractions", inlet.RetryAfter(cause, 1500*time.Millisecond), 503, inlet.CodeSinkUnavailable, "2"},
		{"an error that says at once", inlet.RetryAfter(cause, 0), 503, inlet.CodeSinkUnavailable, "1"},
		{"an error that says never", inlet.RetryAfter(cause, 1<<63-1), 503, inlet.CodeSinkUnavailable, "9223372037"},
		{"overload", fmt.Errorf("queue: %w", inlet.ErrOverloaded), 503, inlet.CodeOverloaded, "3"},
		{"closed", inlet.ErrClosed, 503, inlet.CodeSinkUnavailable, "3"},
		{"a deadline", context.DeadlineExceeded, 503, inlet.CodeSinkUnavailable, "3"},
		{"a permanent error", inlet.Permanent(cause), 400, inlet.CodeRefusedBySink, ""},
		{"a permanent error that is wrapped", fmt.Errorf("no: %w", inlet.Permanent(cause)), 400, inlet.CodeRefusedBySink, ""},
		{"a permanent error joined to a temporary one", errors.Join(inlet.Permanent(cause), cause), 503, inlet.CodeSinkUnavailable, "3"},
		{"a permanent problem", inlet.Permanent(&inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "no plan", Field: "properties.plan"}), 400, inlet.CodeInvalidEvent, ""},
		{"an item's permanent error", itemError(0, inlet.Permanent(cause)), 400, inlet.CodeRefusedBySink, ""},
		{"an item's temporary error", itemError(0, cause), 503, inlet.CodeSinkUnavailable, "3"},
		{"an item's error that says when", itemError(0, inlet.RetryAfter(cause, 7*time.Second)), 503, inlet.CodeSinkUnavailable, "7"},
		{"no item at all", &inlet.BatchError{}, 503, inlet.CodeSinkUnavailable, "3"},
		{"an item out of range", itemError(1, inlet.Permanent(cause)), 503, inlet.CodeSinkUnavailable, "3"},
		{"an item below zero", itemError(-1, inlet.Permanent(cause)), 503, inlet.CodeSinkUnavailable, "3"},
		{"an item without an error", itemError(0, nil), 503, inlet.CodeSinkUnavailable, "3"},
		{"an item twice", &inlet.BatchError{Items: []inlet.ItemError{{0, inlet.Permanent(cause)}, {0, inlet.Permanent(cause)}}}, 503, inlet.CodeSinkUnavailable, "3"},
		{"an error of ours", &inlet.Error{Code: inlet.CodeRateLimited, Message: secret}, 503, inlet.CodeSinkUnavailable, "3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := serve(mustNew(t, failing(test.err), &inlet.Options{RetryAfter: 3 * time.Second}), vouched("/v1/track", goodTrack))
			require.Equal(t, test.retryAfter, w.Header().Get("Retry-After"))
			require.NotContains(t, w.Body.String(), secret)
			if test.code == "" {
				requireTaken(t, w)
				return
			}
			requireRefused(t, w, test.status, test.code)
		})
	}
}

func itemError(index int, err error) error {
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: index, Err: err}}}
}

func TestOutcomesOfABatch(t *testing.T) {
	t.Parallel()
	permanent, temporary := inlet.Permanent(errors.New(secret)), errors.New(secret)
	items := func(errs ...error) error {
		e := new(inlet.BatchError)
		for i, err := range errs {
			if err != nil {
				e.Items = append(e.Items, inlet.ItemError{Index: i, Err: err})
			}
		}
		return e
	}
	// The third event of the request is refused before the sink: the sink is
	// given those at 0, 1 and 3.
	const body = `{"batch":[{"type":"page","userId":"a","messageId":"m0"},{"type":"page","userId":"b","messageId":"m1"},{"type":"page"},{"type":"page","userId":"d","messageId":"m3"}]}`
	tests := []struct {
		name     string
		err      error
		strict   string
		status   int
		code     inlet.Code
		accepted int
		rejected string
	}{
		{"all stored", nil, "", 200, "", 3, "[2:no_user_anon_id]"},
		{"one can never be stored", items(nil, permanent), "", 200, "", 2, "[1:refused_by_sink 2:no_user_anon_id]"},
		{"the last can never be stored", items(nil, nil, permanent), "", 200, "", 2, "[2:no_user_anon_id 3:refused_by_sink]"},
		{"none can ever be stored", items(permanent, permanent, permanent), "", 400, inlet.CodeAllRefused, 0, "[0:refused_by_sink 1:refused_by_sink 2:no_user_anon_id 3:refused_by_sink]"},
		{"all are permanent failures at once", permanent, "", 400, inlet.CodeAllRefused, 0, "[0:refused_by_sink 1:refused_by_sink 2:no_user_anon_id 3:refused_by_sink]"},
		{"one cannot be stored now", items(permanent, nil, temporary), "", 503, inlet.CodeSinkUnavailable, 0, "[2:no_user_anon_id]"},
		{"strict, and refused before the sink", nil, "1", 400, inlet.CodeStrictMode, 0, "[2:no_user_anon_id]"},
		{"strict in words", nil, "true", 400, inlet.CodeStrictMode, 0, "[2:no_user_anon_id]"},
		{"strict is off by any other word", nil, "0", 200, "", 3, "[2:no_user_anon_id]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sink := failing(test.err)
			r := vouched("/v1/batch", body)
			if test.strict != "" {
				r.Header.Set("X-Strict-Mode", test.strict)
			}
			w := serve(mustNew(t, sink, nil), r)
			require.Equal(t, test.status, w.Code)
			require.NotContains(t, w.Body.String(), secret)
			a := read(t, w)
			require.Equal(t, string(test.code), a.Code)
			require.Equal(t, test.status == 200, *a.Success)
			require.NotNil(t, a.Accepted)
			require.Equal(t, test.accepted, *a.Accepted)
			require.Equal(t, test.rejected, rejects(a))
			if test.code == inlet.CodeStrictMode {
				require.Zero(t, sink.calls)
			}
		})
	}
}

// rejects lists the rejected events as index:code.
func rejects(a told) string {
	var list []string
	for _, r := range a.Rejected {
		list = append(list, fmt.Sprintf("%d:%s", r.Index, r.Code))
	}
	return fmt.Sprint(list)
}

func TestAStrictRequestOfWhichTheSinkRefusesSomeSaysWhatIsStored(t *testing.T) {
	t.Parallel()
	w := serve(mustNew(t, failing(itemError(1, inlet.Permanent(errors.New(secret)))), nil),
		vouched("/v1/batch", batchOf(typedEvent("page"), typedEvent("page")), "X-Strict-Mode", "1"))
	a := requireRefused(t, w, 400, inlet.CodeStrictMode)
	require.Equal(t, 1, *a.Accepted)
	require.Equal(t, "[1:refused_by_sink]", rejects(a))
	require.Contains(t, a.Message, "stored")
}

func TestAPanicInASinkIsATemporaryFailureAndIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(secret) }),
		&inlet.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w := serve(h, vouched("/v1/track", goodTrack))
	requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
	require.NotContains(t, w.Body.String(), secret)
	require.Contains(t, log.String(), secret)
	require.Contains(t, log.String(), "handler_test.go", "no stack")
	require.NoError(t, h.Shutdown(t.Context()), "the request is still counted")
}

func TestPanicsThatAreNotTheSinksFaultPass(t *testing.T) {
	t.Parallel()
	aborting := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(http.ErrAbortHandler) })
	for _, test := range []struct {
		name  string
		sink  inlet.Sink
		o     inlet.Options
		cause any
	}{
		{"a sink that aborts", aborting, inlet.Options{}, http.ErrAbortHandler},
		{"a validator", new(keeper), inlet.Options{Validators: []inlet.Validator{func(*inlet.Event) *inlet.Problem { panic("v") }}}, "v"},
		{"an enricher", new(keeper), inlet.Options{Enrichers: []inlet.Enricher{func(context.Context, *inlet.Event) { panic("e") }}}, "e"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := mustNew(t, test.sink, &test.o)
			require.PanicsWithValue(t, test.cause, func() { serve(h, vouched("/v1/track", goodTrack)) })
			require.NoError(t, h.Shutdown(t.Context()), "the request is still counted")
		})
	}
}

type contextKey struct{}

// write serves a request with a sink that is given the context of the write.
func write(t *testing.T, r *http.Request, o *inlet.Options, f func(ctx context.Context)) *httptest.ResponseRecorder {
	return serve(mustNew(t, inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
		f(ctx)
		return ctx.Err()
	}), o), r)
}

func TestTheContextOfAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, leave := context.WithCancelCause(context.WithValue(t.Context(), contextKey{}, "value"))
		r := inlet.WithRequestID(vouched("/v1/track", goodTrack).WithContext(client), "r1")
		r = inlet.WithSource(r, website)
		w := write(t, r, &inlet.Options{WriteTimeout: time.Minute}, func(ctx context.Context) {
			leave(errors.New("the client has left"))
			require.NoError(t, ctx.Err(), "the client's leaving ends the write")
			require.NoError(t, context.Cause(ctx), "the client's leaving is the cause of something")
			require.Equal(t, "value", ctx.Value(contextKey{}))
			require.Same(t, website, inlet.SourceFromContext(ctx))
			require.Equal(t, "r1", inlet.RequestIDFromContext(ctx))
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, time.Minute, time.Until(deadline))

			child, cancel := context.WithCancel(ctx)
			defer cancel()
			select {
			case <-ctx.Done():
				require.Fail(t, "done too early")
			case <-time.After(time.Minute - 1):
			}
			require.NoError(t, child.Err())
			<-child.Done()
			require.Equal(t, time.Now(), deadline)
			require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
			require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
		})
		requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
	})
}

func TestAWriteThatDoesNotWaitStillSeesItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		requireTaken(t, write(t, vouched("/v1/track", goodTrack), &inlet.Options{WriteTimeout: time.Second}, func(ctx context.Context) {
			time.Sleep(time.Second - 1)
			require.NoError(t, ctx.Err())
		}))
		requireRefused(t, write(t, vouched("/v1/track", goodTrack), &inlet.Options{WriteTimeout: time.Second}, func(ctx context.Context) {
			time.Sleep(time.Second)
			require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		}), 503, inlet.CodeSinkUnavailable)
	})
}

func TestTheTimerOfAWriteEndsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		requireTaken(t, write(t, vouched("/v1/track", goodTrack), nil, func(ctx context.Context) {
			kept = ctx
			ctx.Done()
		}))
		select {
		case <-kept.Done():
		default:
			require.Fail(t, "the timer runs on after the write")
		}
	})
}

// observer notes the records it is given.
type observer struct{ records []inlet.Outcome }

func (o *observer) ObserveRequest(_ context.Context, r *inlet.Outcome) {
	record := *r
	record.Rejects = append([]inlet.Reject(nil), r.Rejects...)
	o.records = append(o.records, record)
}

func TestObserverIsToldOfEveryRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := new(observer)
		h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
			time.Sleep(2 * time.Second)
			return nil
		}), &inlet.Options{Observer: seen})
		zipped := encoded(t, "gzip", batchOf(typedEvent("page"), `{"type":"page"}`))
		serve(h, vouched("/b/", zipped, "Content-Encoding", "gzip"))
		serve(h, request("POST", "/v1/track", strings.NewReader(goodTrack)))
		serve(h, vouched("/nothing", goodTrack))
		serve(h, inlet.WithSource(request("GET", "/v1/pixel/track?userId=u", nil), website))
		require.NoError(t, h.Shutdown(t.Context()))
		serve(h, vouched("/v1/track", goodTrack))
		require.Len(t, seen.records, 5)

		batch := seen.records[0]
		require.Equal(t, inlet.Outcome{
			Dialect: "segment", Path: "/v1/b", Source: website, Status: 200, Accepted: 1, Rejected: 1, Rejects: batch.Rejects,
			WireBytes: len(zipped), Bytes: len(batchOf(typedEvent("page"), `{"type":"page"}`)), Duration: 2 * time.Second, Write: 2 * time.Second,
		}, batch)
		require.Equal(t, inlet.CodeNoUserAnonID, batch.Rejects[0].Code)
		require.Equal(t, inlet.Outcome{Dialect: seen.records[1].Dialect, Path: "/v1/track", Status: 401, Code: inlet.CodeMissingKey}, seen.records[1])
		require.Equal(t, inlet.Outcome{Status: 404, Code: inlet.CodeNotFound}, seen.records[2])
		require.Equal(t, 200, seen.records[3].Status)
		require.Equal(t, inlet.CodeEventNotDefined, seen.records[3].Code)
		require.Equal(t, 503, seen.records[4].Status)
		require.Equal(t, inlet.CodeShuttingDown, seen.records[4].Code)
	})
}

func TestOutcomeOfIsLeftForOuterLayers(t *testing.T) {
	t.Parallel()
	cause := errors.New(secret)
	for _, test := range []struct {
		name string
		err  error
		body string
		want inlet.Outcome
	}{
		{"stored", nil, batchOf(typedEvent("page")), inlet.Outcome{Status: 200, Accepted: 1}},
		{"some refused", nil, batchOf(typedEvent("page"), "{}"), inlet.Outcome{Status: 200, Accepted: 1, Rejected: 1, Rejects: []inlet.Reject{
			{Index: 1, Problem: inlet.Problem{Code: inlet.CodeTypeRequired, Message: "type is required", Field: "type"}},
		}}},
		{"failed", cause, batchOf(typedEvent("page")), inlet.Outcome{Status: 503, Code: inlet.CodeSinkUnavailable, Err: cause}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := vouched("/v1/batch", test.body)
			require.Zero(t, inlet.OutcomeFromContext(r.Context()))
			serve(mustNew(t, failing(test.err), nil), r)
			want := test.want
			want.Dialect, want.Path, want.Source = "segment", "/v1/batch", website
			want.Bytes, want.WireBytes = len(test.body), len(test.body)
			require.Equal(t, want, inlet.OutcomeFromContext(r.Context()))
		})
	}
	require.Zero(t, inlet.OutcomeFromContext(t.Context()))
}

// A dialect of a host's own, for what the built-in ones do not do.
type ownDialect struct{ routes []inlet.Route }

func (ownDialect) Name() string                         { return "own" }
func (d ownDialect) Routes() []inlet.Route              { return d.routes }
func (ownDialect) KeyPlaces() (query, members []string) { return nil, nil }

// speaking returns a protocol with routes of a host's own alone.
func speaking(routes ...inlet.Route) *inlet.Protocol {
	return &inlet.Protocol{Dialects: []inlet.Dialect{ownDialect{routes}}}
}

func TestAnUnexpectedErrorIsAnswered500WithoutItsText(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := mustNew(t, new(keeper), &inlet.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Protocol: speaking(inlet.Route{Method: "POST", Path: "/own", Decode: func(*inlet.Input) error {
			return errors.New(secret)
		}}),
	})
	w := serve(h, vouched("/own", "{}"))
	a := requireRefused(t, w, 500, inlet.CodeInternal)
	require.NotContains(t, w.Body.String(), secret)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Contains(t, log.String(), secret)
	require.Contains(t, log.String(), a.RequestID)
	require.NotEmpty(t, a.RequestID)
	named := inlet.WithRequestID(vouched("/own", "{}"), "named")
	require.Equal(t, "named", requireRefused(t, serve(h, named), 500, inlet.CodeInternal).RequestID)
}

func TestADialectOfAHostsOwn(t *testing.T) {
	t.Parallel()
	sink := new(keeper)
	decode := func(in *inlet.Input) error {
		items, listed := in.Items()
		if !listed {
			return &inlet.Error{Code: inlet.CodeBatchNotArray, Field: "batch"}
		}
		for i, item := range items {
			if item.Len() == 0 {
				continue
			}
			e := in.Add(i)
			e.Type, e.UserID, e.MessageID = inlet.TypePage, in.Text(item.Get("user")), in.Text(item.Get("id"))
			e.Properties, e.Timestamp = item.Get("data"), in.ReceivedAt
		}
		return nil
	}
	h := mustNew(t, sink, &inlet.Options{Protocol: speaking(
		inlet.Route{Method: "POST", Path: "/sites/{site}/hits", Batch: true, Form: inlet.FormLenient, Decode: decode},
		inlet.Route{Method: "PUT", Path: "/sites/{site}/hits", Batch: true, Form: inlet.FormEmpty, Decode: decode},
		inlet.Route{Method: "GET", Path: "/settings/{site}", Open: true, Reply: func(q *inlet.Inquiry) ([]byte, error) {
			return []byte(`{"site":"` + q.Request.PathValue("site") + `"}`), nil
		}},
	)})
	hit := `{"user":"u","id":"m","data":{"n":12345678901234567890}}`
	requireTaken(t, serve(h, vouched("/sites/s1/hits/", batchOf(hit))))
	require.JSONEq(t, `{"n":12345678901234567890}`, string(sink.kept()[0].Properties))
	require.Equal(t, "own", sink.kept()[0].Dialect)

	// What the dialect is told has been refused already must have been.
	w := serve(h, vouched("/sites/s1/hits", batchOf(hit, `{"user":"u","user":"v"}`, `7`, padTo(33_000))))
	require.Equal(t, 200, w.Code)
	require.Equal(t, "[1:duplicate_name 2:not_object 3:event_too_large]", rejects(read(t, w)))

	put := vouched("/sites/s1/hits", batchOf(hit))
	put.Method = "PUT"
	w = serve(h, put)
	require.Equal(t, 204, w.Code)
	require.Empty(t, w.Body.String())

	w = serve(h, vouched("/sites/s1/hits", batchOf(`{"id":"m"}`, `{"id":"n"}`)))
	require.Equal(t, 200, w.Code, "a lenient route answers 200 where everything was refused")
	require.False(t, *read(t, w).Success)

	w = serve(h, request("GET", "/settings/s1", nil))
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"site":"s1"}`, w.Body.String())
	w = serve(h, request("DELETE", "/sites/s1/hits", nil))
	require.Equal(t, "POST, PUT", w.Header().Get("Allow"))
	requireRefused(t, serve(h, vouched("/sites//hits", batchOf(hit))), 404, inlet.CodeNotFound)
}

func TestProblemsWithACodeThatIsNoRefusalOfAnEventAreAnswered400(t *testing.T) {
	t.Parallel()
	for _, code := range []inlet.Code{"", "plan_missing", inlet.CodeRateLimited, inlet.CodeInternal} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			h := mustNew(t, new(keeper), &inlet.Options{Validators: []inlet.Validator{func(e *inlet.Event) *inlet.Problem {
				return &inlet.Problem{Code: code, Message: "a plan is required", Field: "properties.plan"}
			}}})
			w := serve(h, vouched("/v1/track", goodTrack))
			a := requireRefused(t, w, 400, inlet.CodeInvalidEvent)
			require.Equal(t, "a plan is required", a.Message)
			require.Equal(t, "properties.plan", a.Field)
		})
	}
}

func TestValidatorsAndEnrichers(t *testing.T) {
	t.Parallel()
	sink := new(keeper)
	var order []string
	h := mustNew(t, sink, &inlet.Options{
		Validators: []inlet.Validator{
			func(e *inlet.Event) *inlet.Problem {
				order = append(order, "first "+e.UserID)
				if e.UserID == "bad" {
					return &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "bad"}
				}
				return nil
			},
			func(e *inlet.Event) *inlet.Problem { order = append(order, "second "+e.UserID); return nil },
		},
		Enrichers: []inlet.Enricher{
			func(ctx context.Context, e *inlet.Event) {
				e.GroupID = inlet.SourceFromContext(ctx).ID + "/" + e.MessageID
			},
			func(_ context.Context, e *inlet.Event) { e.GroupID += "!" },
		},
	})
	w := serve(h, vouched("/v1/batch", batchOf(`{"type":"page"}`, `{"type":"page","userId":"bad","messageId":"b"}`, `{"type":"page","userId":"good","messageId":"g"}`)))
	require.Equal(t, "[0:no_user_anon_id 1:invalid_event]", rejects(read(t, w)))
	require.Equal(t, []string{"first bad", "first good", "second good"}, order)
	require.Len(t, sink.kept(), 1)
	require.Equal(t, "website/g!", sink.kept()[0].GroupID)
}

func TestASinkMayNotBeGivenAnEmptyBatch(t *testing.T) {
	t.Parallel()
	sink := new(keeper)
	h := mustNew(t, sink, nil)
	for _, body := range []string{batchOf(), batchOf("{}"), batchOf("{}", "{}")} {
		require.Equal(t, 400, serve(h, vouched("/v1/batch", body)).Code)
	}
	require.Zero(t, sink.calls)
}

func TestIngest(t *testing.T) {
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
		{"properties that are no JSON", &inlet.Event{Type: inlet.TypePage, UserID: "u", Properties: []byte("{")}, inlet.CodeInvalidEvent},
		{"traits that are no object", &inlet.Event{Type: inlet.TypePage, UserID: "u", Traits: []byte("[]")}, inlet.CodeInvalidEvent},
		{"an extra member with a field of its own", &inlet.Event{Type: inlet.TypePage, UserID: "u", Extra: []byte(`{"userId":"v"}`)}, inlet.CodeInvalidEvent},
		{"an extra member of any other name", &inlet.Event{Type: inlet.TypePage, UserID: "u", Extra: []byte(`{"event":"v"}`)}, ""},
		{"too large", &inlet.Event{Type: inlet.TypePage, UserID: "u", Context: []byte(padTo(32_769))}, inlet.CodeEventTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sink := new(keeper)
			err := mustNew(t, sink, nil).Ingest(t.Context(), website, good(), test.event)
			if test.code == "" {
				require.NoError(t, err)
				require.Len(t, sink.kept(), 2)
				requireComplete(t, sink.kept()[1])
				return
			}
			require.Len(t, sink.kept(), 1)
			var batch *inlet.BatchError
			require.ErrorAs(t, err, &batch)
			require.NoError(t, batch.Validate(2))
			require.Equal(t, 1, batch.Items[0].Index)
			require.True(t, inlet.IsPermanent(err))
			var problem *inlet.Problem
			require.ErrorAs(t, err, &problem)
			require.Equal(t, test.code, problem.Code)
		})
	}
	t.Run("what the sink says is passed on", func(t *testing.T) {
		t.Parallel()
		err := mustNew(t, failing(cause), nil).Ingest(t.Context(), website, good())
		require.ErrorIs(t, err, cause)
		require.False(t, inlet.IsPermanent(err))
	})
	t.Run("a source is required", func(t *testing.T) {
		t.Parallel()
		require.Error(t, mustNew(t, new(keeper), nil).Ingest(t.Context(), nil, good()))
		require.Error(t, mustNew(t, new(keeper), nil).Ingest(t.Context(), &inlet.Source{}, good()))
	})
	t.Run("not after Shutdown", func(t *testing.T) {
		t.Parallel()
		h := mustNew(t, new(keeper), nil)
		require.NoError(t, h.Shutdown(t.Context()))
		var e *inlet.Error
		require.ErrorAs(t, h.Ingest(t.Context(), website, good()), &e)
		require.Equal(t, inlet.CodeShuttingDown, e.Code)
	})
	t.Run("the given events are not changed", func(t *testing.T) {
		t.Parallel()
		given := good()
		require.NoError(t, mustNew(t, new(keeper), nil).Ingest(t.Context(), website, given))
		require.Equal(t, good(), given)
	})
}

// requireComplete checks that an event has what every sink may rely on.
func requireComplete(t testing.TB, e *inlet.Event) {
	t.Helper()
	require.True(t, e.Type.Valid())
	require.NotEmpty(t, e.MessageID)
	require.NotNil(t, e.Source)
	require.NotEmpty(t, e.Dialect)
	require.False(t, e.ReceivedAt.IsZero())
	require.False(t, e.Timestamp.IsZero())
	require.Equal(t, time.UTC, e.ReceivedAt.Location())
	require.Equal(t, time.UTC, e.Timestamp.Location())
}

func TestTheMemoryOfAWriteThatPanickedIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	var lost []*inlet.Event
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		if lost == nil {
			lost = events // as a goroutine of the sink's may still hold them
			panic("the sink is broken")
		}
		return nil
	})
	h := mustNew(t, sink, nil)
	first := `{"userId":"u","event":"First","messageId":"m","properties":{"s":"` + strings.Repeat("a", 1000) + `"}}`
	requireRefused(t, serve(h, vouched("/v1/track", first)), 503, inlet.CodeSinkUnavailable)
	for range 100 {
		requireTaken(t, serve(h, vouched("/v1/track", strings.NewReplacer("First", "Other", "aa", "bb").Replace(first))))
	}
	require.Equal(t, "First", lost[0].Name)
	require.Equal(t, `{"s":"`+strings.Repeat("a", 1000)+`"}`, string(lost[0].Properties))
}
