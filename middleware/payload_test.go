package middleware_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

func zipped(t testing.TB, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, body)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func TestPayloadAroundAHandlerThatIsNotOurs(t *testing.T) {
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
		{"a body is read as it was sent", nil, call{body: "hello"}, 200, "hello", ""},
		{"no body is none", nil, call{method: "GET"}, 200, "", ""},
		{"a compressed body is read decompressed", nil, call{body: zipped(t, "hello"), header: gzipped}, 200, "hello", ""},
		{"a body of the limit passes", small, call{body: "0123456789"}, 200, "0123456789", ""},
		{"a larger body is refused", small, call{body: "0123456789a"}, 400, "", inlet.CodePayloadTooLarge},
		{"a body that grows beyond it is refused", small, call{body: zipped(t, strings.Repeat("a", 1000)), header: gzipped}, 400, "", inlet.CodePayloadTooLarge},
		{"a body that is not what it says is refused", nil, call{body: "hello, hello, hello", header: gzipped}, 400, "", inlet.CodeInvalidEncoding},
		{"an encoding that is not taken is refused", nil, call{body: "hello", header: map[string]string{"Content-Encoding": "br"}}, 415, "", inlet.CodeUnsupportedEncoding},
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

func TestPayloadBoundsTheRequestsInFlight(t *testing.T) {
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
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Zero(t, unread.n, "the body was read")

	close(leave)
	<-first
	require.Equal(t, 200, call{body: "c"}.do(m(echo)).Code)
	for _, cause := range []any{"x", http.ErrAbortHandler} {
		require.PanicsWithValue(t, cause, func() { call{body: "d"}.do(m(panicking(cause))) })
		require.Equal(t, 200, call{body: "e"}.do(m(echo)).Code, "a panic has left the request in flight")
	}
}

func TestPayloadBoundsTheBytesInFlight(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	m := middleware.Payload(&middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 1 << 20, MaxBytesInFlight: 4 << 20}}})
	waiting := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }))
	large := strings.Repeat("a", 1<<20)
	var inside sync.WaitGroup
	for range 2 {
		inside.Go(func() { call{body: large}.do(waiting) })
		<-entered
	}
	r := call{}.request()
	unread := &countingReader{r: strings.NewReader(large)}
	r.Body, r.ContentLength = io.NopCloser(unread), 1<<20
	for _, n := range []int{900_000, 300_000} {
		inside.Go(func() { call{body: large[:n]}.do(waiting) })
		<-entered
	}
	w := httptest.NewRecorder()
	m(echo).ServeHTTP(w, r) // another handler, the same bound
	require.Equal(t, 503, w.Code)
	require.Equal(t, inlet.CodeOverloaded, code(t, w))
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Zero(t, unread.n, "the body was read")
	require.Equal(t, 200, call{body: "small"}.do(m(echo)).Code)
	close(leave)
	inside.Wait()
	require.Equal(t, 200, call{body: large}.do(m(echo)).Code)
}

// The deadline reaches the connection through the writers of the layers around.
func TestABodyThatDoesNotArriveIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	h := middleware.Chain(
		middleware.Recover(nil), middleware.AccessLog(&middleware.AccessLogOptions{Logger: quiet}), wrapping,
		middleware.Payload(&middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: 20 * time.Millisecond}}}),
	)(echo)
	server := httptest.NewServer(h)
	defer server.Close()
	body, rest := io.Pipe()
	defer rest.Close()
	go io.WriteString(rest, "the first half, ")
	r, err := http.NewRequest("POST", server.URL, body)
	require.NoError(t, err)
	r.ContentLength = 1000
	client := server.Client()
	client.Timeout = 10 * time.Second // else this test could only hang
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(dst []byte) (int, error) {
	c.n++
	return c.r.Read(dst)
}

// bodyOf returns a body that is as long as the others and unlike them.
func bodyOf(n int) string {
	return fmt.Sprintf(`{"userId":"u%04d","event":"E","messageId":"m%04d","properties":{"n":"%s"}}`, n, n, strings.Repeat(fmt.Sprint(n%10), 4096))
}

// others serves requests with other bodies, so that memory that was given back
// too early is written over.
func others(h http.Handler) {
	for n := range 20 {
		call{body: bodyOf(9000 + n), key: writeKey}.do(h)
	}
}

// A handler that outlives the layers around it, as under http.TimeoutHandler,
// reads its own body or an error, and never that of another request.
func TestPayloadUnderAHandlerThatOutlivesIt(t *testing.T) {
	t.Parallel()
	payload := middleware.Payload(nil)
	t.Run("a handler that is not ours reads an error", func(t *testing.T) {
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
	t.Run("events in a sink stay as they are", func(t *testing.T) {
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
	t.Run("a key in the body, found after the layer has returned, is not another's", func(t *testing.T) {
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

// After a panic nobody knows who still holds the memory: it is not used again.
func TestPayloadMemoryIsNotUsedAgainAfterAPanic(t *testing.T) {
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
}

// A sink that panics while it keeps what it was lent sees no other request.
func TestASinkThatPanicsKeepsItsEvents(t *testing.T) {
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
}
