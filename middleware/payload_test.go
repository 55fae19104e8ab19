package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	small := &middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 10}}}
	gzipped := map[string]string{"Content-Encoding": "gzip"}
	for _, tt := range []struct {
		name    string
		options *middleware.PayloadOptions
		call    call
		status  int
		body    string
		code    inlet.Code
	}{
		{"a body, as it was sent", nil, call{body: "hello"}, 200, "hello", ""},
		{"no body", nil, call{method: "GET"}, 200, "", ""},
		{"a compressed body, decompressed", nil, call{body: zipped(t, "hello"), header: gzipped}, 200, "hello", ""},
		{"a body of the maximum size", small, call{body: "0123456789"}, 200, "0123456789", ""},
		{"a larger body", small, call{body: "0123456789a"}, 400, "", inlet.CodePayloadTooLarge},
		{"a body that is larger once decompressed", small, call{body: zipped(t, strings.Repeat("a", 1000)), header: gzipped}, 400, "", inlet.CodePayloadTooLarge},
		{"a body that is not compressed as declared", nil, call{body: "hello, hello, hello", header: gzipped}, 400, "", inlet.CodeInvalidEncoding},
		{"an unsupported encoding", nil, call{body: "hello", header: map[string]string{"Content-Encoding": "br"}}, 415, "", inlet.CodeUnsupportedEncoding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen *http.Request
			h := middleware.Payload(tt.options)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = r
				echo(w, r)
			}))
			r := tt.call.request()
			encoding := r.Header.Get("Content-Encoding")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, encoding, r.Header.Get("Content-Encoding"), "the caller's request was changed")
			if tt.code != "" {
				require.Equal(t, tt.code, code(t, w))
				return
			}
			require.Equal(t, tt.body, w.Body.String())
			require.EqualValues(t, len(tt.body), seen.ContentLength)
			require.NotContains(t, seen.Header, "Content-Encoding")
		})
	}
}

// A layer in front may replace the body. What its Read returns as an error is the answer.
// A request stays as it is for other code, though layers of the module may share a copy of it.
func TestPayloadChangesNoRequest(t *testing.T) {
	t.Parallel()
	var before, after io.ReadCloser
	foreign := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			before = r.Body
			next.ServeHTTP(w, r)
			after = r.Body
		})
	}
	recovering, cors, payload := middleware.Recover(nil), middleware.CORS(nil), middleware.Payload(nil)
	for name, h := range map[string]http.Handler{
		"outside of all":           middleware.Chain(foreign, recovering, cors, payload)(http.HandlerFunc(echo)),
		"between them":             middleware.Chain(recovering, foreign, cors, payload)(http.HandlerFunc(echo)),
		"around the payload":       middleware.Chain(recovering, cors, foreign, payload)(http.HandlerFunc(echo)),
		"inside":                   middleware.Chain(recovering, cors, payload, foreign)(http.HandlerFunc(echo)),
		"inside, and then outside": middleware.Chain(recovering, foreign)(middleware.Chain(recovering, cors, payload)(http.HandlerFunc(echo))),
	} {
		r := call{body: "hello"}.request()
		sent := r.Body
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, "hello", w.Body.String(), name)
		require.True(t, before == after, name)
		require.True(t, sent == r.Body, name)
	}
	t.Run("two such layers have the bounds of both", func(t *testing.T) {
		t.Parallel()
		small := middleware.Payload(&middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 10}}})
		auth := middleware.Auth(keys, nil)
		for _, h := range []http.Handler{
			middleware.Chain(recovering, small, payload, auth)(newHandler(t, new(sinks.Discard))),
			middleware.Chain(recovering, payload, small, auth)(newHandler(t, new(sinks.Discard))),
		} {
			require.Equal(t, inlet.CodePayloadTooLarge, code(t, call{body: track, key: writeKey}.do(h)))
		}
	})
	t.Run("a sink that passes events on to other layers, in its context", func(t *testing.T) {
		t.Parallel()
		inner := new(testsink.Keeper)
		next := mount(newHandler(t, inner))
		outer, err := inlet.New(sinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
			r := call{body: track, key: writeKey}.request()
			w := httptest.NewRecorder()
			next.ServeHTTP(w, r.WithContext(ctx))
			require.Equal(t, http.StatusOK, w.Code)
			return nil
		}), &inlet.Options{AllowAnonymous: true})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, call{body: track}.do(outer).Code)
		require.Len(t, inner.Events(), 1)
	})
}

type sinkFunc func(ctx context.Context, events []*inlet.Event) error

func (f sinkFunc) Write(ctx context.Context, events []*inlet.Event) error { return f(ctx, events) }

func TestPayloadForeignError(t *testing.T) {
	t.Parallel()
	refusal := &inlet.Error{Code: inlet.CodeInvalidEncoding, Message: "cannot be decrypted"}
	for name, c := range map[string]struct {
		err    error
		status int
		text   string
	}{
		"an error of ours":  {fmt.Errorf("layer: %w", refusal), 400, "cannot be decrypted"},
		"that asks to wait": {&inlet.Error{Code: inlet.CodeOverloaded}, 503, "overloaded"},
		"any other error":   {errors.New("secret"), 400, "incomplete_body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/v1/track", io.MultiReader(strings.NewReader(`{"userId":`), failingReader{c.err}))
			w := httptest.NewRecorder()
			middleware.Payload(nil)(http.HandlerFunc(echo)).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.text)
			require.NotContains(t, w.Body.String(), "secret")
		})
	}
}

// failingReader is a body that cannot be read.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestPayloadRequestsInFlight(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	m := middleware.Payload(&middleware.PayloadOptions{MaxInFlight: 1})
	waiting := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }))
	first := make(chan struct{})
	go func() { defer close(first); call{body: "a"}.do(waiting) }()
	<-entered

	unread := &countingReader{r: strings.NewReader("b")}
	r := call{}.request()
	r.Body = io.NopCloser(unread)
	w := httptest.NewRecorder()
	m(echo).ServeHTTP(w, r) // another handler, the same bound
	require.Equal(t, 503, w.Code)
	require.Equal(t, inlet.CodeOverloaded, code(t, w))
	require.Contains(t, []string{"1", "2", "3"}, w.Header().Get("Retry-After"))
	require.Zero(t, unread.n, "the body was read")

	close(leave)
	<-first
	require.Equal(t, 200, call{body: "c"}.do(m(echo)).Code)
	for _, cause := range []any{"x", http.ErrAbortHandler} {
		require.PanicsWithValue(t, cause, func() { call{body: "d"}.do(m(panicking(cause))) })
		require.Equal(t, 200, call{body: "e"}.do(m(echo)).Code, "a request that panicked still counts as in flight")
	}
}

func TestPayloadBytesInFlight(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	m := middleware.Payload(&middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 1 << 20, MaxBytesInFlight: 4 << 20}}})
	waiting := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }))
	large := strings.Repeat("a", 1<<20)
	// What a large body holds depends on the buffers that other tests have left; a small one
	// always holds the same. So small ones take the memory until a large one does not fit.
	var inside sync.WaitGroup
	for n := range 4 << 20 / (32 << 10) {
		inside.Go(func() { call{body: "small"}.do(waiting) })
		<-entered
		if n < 64 { // it fits
			continue
		}
		r := call{}.request()
		unread := &countingReader{r: strings.NewReader(large)}
		r.Body, r.ContentLength = io.NopCloser(unread), 1<<20
		w := httptest.NewRecorder()
		m(echo).ServeHTTP(w, r) // another handler, the same bound
		if unread.n > 0 {
			continue
		}
		require.Equal(t, 503, w.Code)
		require.Equal(t, inlet.CodeOverloaded, code(t, w))
		require.Contains(t, []string{"1", "2", "3"}, w.Header().Get("Retry-After"))
		require.Equal(t, 200, call{body: "small"}.do(m(echo)).Code)
		close(leave)
		inside.Wait()
		require.Equal(t, 200, call{body: large}.do(m(echo)).Code)
		return
	}
	require.Fail(t, "large bodies were read all the time")
}

// The deadline reaches the connection through the writers of the layers around.
func TestPayloadReadTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Second
		protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: timeout}}
		h := middleware.Chain(
			middleware.Recover(nil), middleware.AccessLog(&middleware.AccessLogOptions{Logger: quiet}), wrapping,
			middleware.Payload(&middleware.PayloadOptions{Protocol: protocol, MinRate: 1}),
		)(echo)
		client, connection := net.Pipe()
		server := &http.Server{Handler: h}
		served := make(chan error, 1)
		go func() { served <- server.Serve(&oneConnection{connection: connection, closed: make(chan struct{})}) }()
		defer func() {
			require.NoError(t, client.Close())
			require.NoError(t, server.Close())
			require.ErrorIs(t, <-served, http.ErrServerClosed)
		}()

		begun := time.Now()
		_, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nthe first half, ")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
		require.Equal(t, timeout, time.Since(begun))
	})
}

// The time of a body does not count while its request waits for its turn.
func TestPayloadWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: time.Millisecond}}
		h := middleware.Payload(&middleware.PayloadOptions{Protocol: protocol})(echo)
		end := make(chan struct{})
		var stalled sync.WaitGroup
		defer stalled.Wait()
		defer close(end)
		for range 4 * runtime.GOMAXPROCS(0) { // as many as have a turn
			stalled.Go(func() {
				r := httptest.NewRequest(http.MethodPost, "/", endless(end))
				h.ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		synctest.Wait()
		begun := time.Now()
		w := call{body: "small"}.do(h)
		require.Greater(t, time.Since(begun), protocol.Payload.ReadTimeout, "it has not waited")
		require.Equal(t, 200, w.Code)
	})
}

// An endless body sends nothing until the channel is closed.
type endless chan struct{}

func (e endless) Read([]byte) (int, error) {
	<-e
	return 0, io.EOF
}

// oneConnection is a listener with a single connection.
type oneConnection struct {
	connection net.Conn
	accepted   bool
	closed     chan struct{}
}

func (l *oneConnection) Addr() net.Addr { return l.connection.LocalAddr() }

func (l *oneConnection) Accept() (net.Conn, error) {
	if l.accepted {
		<-l.closed
		return nil, net.ErrClosed
	}
	l.accepted = true
	return l.connection, nil
}

func (l *oneConnection) Close() error {
	close(l.closed)
	return nil
}

// A countingReader counts the calls of Read.
type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(dst []byte) (int, error) {
	c.n++
	return c.r.Read(dst)
}

// others serves requests with other bodies, so that memory that was released too early is
// overwritten.
func others(h http.Handler) {
	for n := range 20 {
		call{body: bodyOf(9000 + n), key: writeKey}.do(h)
	}
}

// A handler that outlives the layers around it, such as one inside http.TimeoutHandler, reads its
// own body or an error, and never the body of another request.
func TestPayloadOutlived(t *testing.T) {
	t.Parallel()
	payload := middleware.Payload(nil)
	t.Run("a foreign handler reads an error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			read := make(chan error, 1)
			late := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Minute)
				body, err := io.ReadAll(r.Body)
				if err == nil && string(body) != bodyOf(1) {
					err = fmt.Errorf("another body: %.40s", body)
				}
				read <- err
			})
			w := call{body: bodyOf(1)}.do(middleware.Chain(payload, timeout(time.Second))(late))
			require.Equal(t, 503, w.Code)
			others(payload(echo))
			require.ErrorIs(t, <-read, http.ErrBodyReadAfterClose)
		})
	})
	t.Run("a handler that reads while the layer returns", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			read := make(chan []byte, 1)
			slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				var got []byte
				buf := make([]byte, 64)
				for {
					n, err := r.Body.Read(buf)
					got = append(got, buf[:n]...)
					if err != nil {
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
				read <- got
			})
			call{body: bodyOf(1)}.do(middleware.Chain(payload, timeout(time.Second))(slow))
			others(payload(echo))
			require.True(t, strings.HasPrefix(bodyOf(1), string(<-read)))
		})
	})
	t.Run("events in a sink are unchanged", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			seen := make(chan string, 1)
			slow := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
				time.Sleep(time.Minute)
				seen <- events[0].MessageID + string(events[0].Properties)
				return nil
			})
			auth := middleware.Auth(keys, nil)
			w := call{body: bodyOf(1), key: writeKey}.do(middleware.Chain(payload, timeout(time.Second), auth)(newHandler(t, slow)))
			require.Equal(t, 503, w.Code)
			others(middleware.Chain(payload, auth)(newHandler(t, new(sinks.Discard))))
			require.Equal(t, `m0001{"n":"`+strings.Repeat("1", 4096)+`"}`, <-seen)
		})
	})
	t.Run("a key in the body is not searched for too late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan struct{})
			late := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(ended)
					close(begun)
					time.Sleep(time.Minute)
					next.ServeHTTP(w, r)
				})
			}
			w := httptest.NewRecorder()
			memory := new(sinks.Memory)
			h := middleware.Chain(payload, leaving(begun, w), late, middleware.Auth(keys, nil))(newHandler(t, memory))
			call{body: bodyOf(1)}.do(h)
			others(payload(echo))
			<-ended
			require.Equal(t, 503, w.Code)
			require.Equal(t, inlet.CodeOverloaded, code(t, w))
			require.Empty(t, memory.Events())
		})
	})
}

func timeout(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return http.TimeoutHandler(next, d, "") }
}

// After a panic it is not known who still uses the memory, so it is not reused.
func TestPayloadPanic(t *testing.T) {
	t.Parallel()
	t.Run("in a handler that keeps the request", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			read := make(chan string, 1)
			h := middleware.Payload(nil)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				go func() {
					time.Sleep(time.Minute)
					body, err := io.ReadAll(r.Body)
					read <- fmt.Sprint(string(body), err)
				}()
				panic("x")
			}))
			require.PanicsWithValue(t, "x", func() { call{body: bodyOf(1)}.do(h) })
			others(middleware.Payload(nil)(echo))
			require.Equal(t, bodyOf(1)+"<nil>", <-read)
		})
	})
	t.Run("in a sink that keeps its events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			kept := make(chan string, 1)
			h := mount(newHandler(t, inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
				go func() {
					time.Sleep(time.Minute)
					kept <- string(events[0].Properties)
				}()
				panic("x")
			})))
			w := call{body: bodyOf(1), key: writeKey}.do(h)
			require.Equal(t, inlet.CodeSinkUnavailable, code(t, w))
			others(mount(newHandler(t, new(sinks.Discard))))
			require.Equal(t, `{"n":"`+strings.Repeat("1", 4096)+`"}`, <-kept)
		})
	})
}

// sourceID is a foreign handler that answers with the source and the body of the request.
var sourceID = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if source := inlet.SourceFromContext(r.Context()); source != nil {
		w.Header().Set("Source", source.ID)
	}
	echo(w, r)
})

func TestAuth(t *testing.T) {
	t.Parallel()
	inBody := `{"writeKey":"` + writeKey + `"}`
	down := inlet.AuthenticatorFunc(func(context.Context, inlet.Credentials) (*inlet.Source, error) {
		return nil, errors.New("the key store is down")
	})
	for _, tt := range []struct {
		name   string
		auth   inlet.Authenticator
		call   call
		source string
		code   inlet.Code
		status int
	}{
		{"a key in a header", keys, call{key: writeKey, body: "hello"}, "web", "", 200},
		{"a key in the query", keys, call{path: "/x?writeKey=" + writeKey, body: "hello"}, "web", "", 200},
		{"a key in the body, which the handler reads too", keys, call{body: inBody}, "web", "", 200},
		{"no key", keys, call{}, "", inlet.CodeMissingKey, 401},
		{"an unknown key", keys, call{key: "nope"}, "", inlet.CodeUnknownKey, 401},
		{"a disabled source", keys, call{key: disabledKey}, "", inlet.CodeSourceDisabled, 403},
		{"another origin", keys, call{key: boundKey, header: map[string]string{"Origin": "https://evil.example"}}, "", inlet.CodeOriginNotAllowed, 403},
		{"its own origin", keys, call{key: boundKey, header: map[string]string{"Origin": shop}}, "shop", "", 200},
		{"a key store that fails", down, call{key: writeKey}, "", inlet.CodeAuthUnavailable, 503},
		{"an open route without a key", keys, call{path: "/v1/m", body: "hello"}, "", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.call.do(middleware.Auth(tt.auth, nil)(sourceID))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.source, w.Header().Get("Source"))
			if tt.code != "" {
				require.Equal(t, tt.code, code(t, w))
			} else {
				require.Equal(t, tt.call.body, w.Body.String())
			}
		})
	}
}

// v1Body is a payload that is migrated.
const v1Body = `{"event":"login","eventId":"E1","eventTimestamp":1639044446636,"properties":{"method":"mail"}}`

func TestMigrate(t *testing.T) {
	t.Parallel()
	t.Run("a body that is too large", func(t *testing.T) {
		t.Parallel()
		h := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 8}}})(http.NotFoundHandler())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/events", strings.NewReader(v1Body)))
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "payload_too_large")
	})
	t.Run("the layers outside see what the client sent", func(t *testing.T) {
		t.Parallel()
		var after string
		last := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Len(t, body, int(r.ContentLength))
			after = string(body)
		})
		migrate := middleware.Migrate(inlet.CommandersActV1(), nil)(last)
		h := middleware.Payload(nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			migrate.ServeHTTP(w, r)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, v1Body, string(body))
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/events", strings.NewReader(v1Body)))
		require.Contains(t, after, `"version":2`)
	})
	// Such as one inside http.TimeoutHandler.
	t.Run("a handler that outlives the layer reads an error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			done := make(chan error, 1)
			late := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				go func() {
					time.Sleep(time.Second)
					_, err := io.ReadAll(r.Body)
					done <- err
				}()
			})
			h := middleware.Migrate(inlet.CommandersActV1(), nil)(late)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/events", strings.NewReader(v1Body)))
			require.ErrorIs(t, <-done, http.ErrBodyReadAfterClose)
		})
	})
}

// unwrapless is a writer around another that does not say so.
type unwrapless struct{ http.ResponseWriter }

// A body that takes too long is given up when its next bytes arrive, if a writer of the host's
// keeps the server from ending it before.
func TestPayloadWithoutDeadlines(t *testing.T) {
	t.Parallel()
	for name, layers := range map[string]func(http.Handler) http.Handler{
		"Payload and Auth": middleware.Chain(middleware.Payload(nil), middleware.Auth(keys, nil)),
		"Auth":             middleware.Auth(keys, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := layers(newHandler(t, new(testsink.Keeper)))
				body := `{"userId":"u","event":"E","properties":{"text":"` + strings.Repeat("x", 30_000) + `"}}`
				r := call{path: "/v1/track", body: body, key: writeKey}.request()
				r.Body, r.ContentLength = io.NopCloser(newSlowUpload(body, 25*time.Second)), -1
				began, w := time.Now(), httptest.NewRecorder()
				h.ServeHTTP(unwrapless{w}, r)
				require.Equal(t, http.StatusRequestTimeout, w.Code, "%s", w.Body)
				require.InDelta(t, 10, time.Since(began).Seconds(), 1)
			})
		})
	}
}
