package inlet_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// layered returns the layers that refuse a request before its body is read, and the handler.
func layered(t testing.TB, maxInFlight int) http.Handler {
	t.Helper()
	h := mustNew(t, new(testsink.Keeper), &inlet.Options{MaxInFlight: maxInFlight})
	keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "website"}})
	return middleware.Chain(
		middleware.Payload(&middleware.PayloadOptions{MaxInFlight: maxInFlight}), middleware.Auth(keys, nil))(h)
}

// A client that sends its whole body before it reads, as many do, sees the refusal and not a
// reset, on every kind of connection.
func TestRefusalArrives(t *testing.T) {
	t.Parallel()
	s, large := httptest.NewServer(layered(t, 0)), strings.Repeat("x", 6<<20)
	t.Cleanup(s.Close)
	for _, kind := range []struct{ name, version, header string }{
		{"a connection that is kept", "1.1", ""},
		{"a connection that is closed", "1.1", "Connection: close\r\n"},
		{"HTTP/1.0", "1.0", ""},
		{"HTTP/1.0 with keep-alive", "1.0", "Connection: keep-alive\r\n"},
	} {
		for _, size := range []int{1000, 200_000, 300_000, 6 << 20} {
			for _, path := range []string{"/v1/batch", "/v1/batch?writeKey=wrong", "/nothing?writeKey=K", "/v1/track?writeKey=K"} {
				t.Run(fmt.Sprintf("%s, %d bytes to %s", kind.name, size, path), func(t *testing.T) {
					t.Parallel()
					size := size
					status := map[string]int{"/nothing?writeKey=K": 404, "/v1/track?writeKey=K": 400, "/v1/batch": 400, "/v1/batch?writeKey=wrong": 401}[path]
					if path == "/v1/track?writeKey=K" && size == 1000 {
						size = 40_000 // more than the route takes
					}
					for _, chunked := range []bool{false, true} {
						if chunked && kind.version == "1.0" {
							continue
						}
						conn := dial(t, s)
						length, start, end := fmt.Sprintf("Content-Length: %d\r\n", size), "", ""
						if chunked {
							length, start, end = "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n", size), "\r\n0\r\n\r\n"
						}
						_, err := fmt.Fprintf(conn, "POST %s HTTP/%s\r\nHost: in.example\r\n%s%s\r\n%s", path, kind.version, kind.header, length, start)
						require.NoError(t, err)
						_, err = io.WriteString(conn, large[:size]+end)
						require.NoError(t, err)
						answers := bufio.NewReader(conn)
						answer, err := http.ReadResponse(answers, nil)
						require.NoError(t, err)
						text, err := io.ReadAll(answer.Body)
						require.NoError(t, err)
						require.Equal(t, status, answer.StatusCode, "%s", text)
						require.Contains(t, string(text), `"success":false`)
						require.EqualValues(t, len(text), answer.ContentLength, "it says how long it is")
						if !answer.Close { // what follows is another request, not the rest of this one
							_, err := fmt.Fprintf(conn, "POST /v1/track?writeKey=K HTTP/1.1\r\nHost: in.example\r\nContent-Length: %d\r\n\r\n%s", len(goodTrack), goodTrack)
							require.NoError(t, err)
							answer, err := http.ReadResponse(answers, nil)
							require.NoError(t, err)
							require.Equal(t, 200, answer.StatusCode)
						}
					}
				})
			}
		}
	}
}

// A client that is refused and sends no more holds no place of others, and no connection for
// long.
func TestRefusalHoldsNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newPipes(t, layered(t, 1))
		client := s.client(t, nil)
		started := time.Now()
		var waiting []net.Conn
		for _, head := range []string{
			"POST /v1/batch?writeKey=wrong HTTP/1.1\r\nContent-Length: 1000000\r\n",
			"POST /v1/batch?writeKey=wrong HTTP/1.0\r\nContent-Length: 1000\r\n",
			"POST /v1/track?writeKey=K HTTP/1.1\r\nContent-Length: 1000000\r\n",
			"POST /nothing?writeKey=K HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n",
		} {
			conn := s.dial(t)
			_, err := io.WriteString(conn, head+"Host: in.example\r\n\r\n")
			require.NoError(t, err)
			line, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, " 40", "it is answered before the rest of the body")
			waiting = append(waiting, conn)
			answer, err := client.Post("http://in.example/v1/track?writeKey=K", "application/json", strings.NewReader(goodTrack))
			require.NoError(t, err)
			answer.Body.Close()
			require.Equal(t, 200, answer.StatusCode, "while the others wait")
		}
		for _, conn := range waiting {
			_, err := io.Copy(io.Discard, conn)
			require.NoError(t, err, "the server ends it")
		}
		require.LessOrEqual(t, time.Since(started), 3*time.Second)
	})
}

// A client that is refused again and again has as many connections waiting for the rest of a body
// as it may have bodies, whatever refuses it.
func TestRefusalShares(t *testing.T) {
	t.Parallel()
	h := mustNew(t, new(testsink.Keeper), nil)
	keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "website"}})
	behind := httptest.NewServer(middleware.Chain(middleware.Payload(&middleware.PayloadOptions{MaxShare: 1}), middleware.Auth(keys, nil))(h))
	t.Cleanup(behind.Close)
	alone := httptest.NewServer(mustNew(t, new(testsink.Keeper), &inlet.Options{MaxInFlight: 8}))
	t.Cleanup(alone.Close)
	for path, s := range map[string]*httptest.Server{
		"/v1/batch?writeKey=wrong": behind, "/v1/track?writeKey=K": behind, "/nothing?writeKey=K": behind, "/v1/batch": alone,
	} {
		refused := func() net.Conn {
			conn := dial(t, s)
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: in.example\r\nContent-Length: 1000000\r\n\r\n", path)
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			_, err = io.ReadAll(answer.Body)
			require.NoError(t, err)
			return conn
		}
		ends := func(conn net.Conn, within time.Duration) bool {
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(within)))
			_, err := conn.Read(make([]byte, 1))
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
		first := refused()
		_, err := first.Write(make([]byte, 900_000)) // so that it has long to send more
		require.NoError(t, err)
		require.False(t, ends(first, 100*time.Millisecond), "%s: its rest is read", path)
		require.True(t, ends(refused(), time.Minute), "%s: there is no share left", path)
		_, err = first.Write(make([]byte, 100_000))
		require.NoError(t, err)
		_, err = first.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		require.NoError(t, err)
		require.True(t, ends(first, time.Minute), "%s: the next request is answered", path)
	}
}

// A client that waits to be asked for its body is not asked for one that is refused.
func TestRefusalBeforeContinue(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.1", "1.0"} {
		t.Run("HTTP/"+version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := newPipes(t, layered(t, 0)).dial(t)
				_, err := fmt.Fprintf(conn, "POST /v1/batch?writeKey=wrong HTTP/%s\r\nHost: in.example\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", version)
				require.NoError(t, err)
				started := time.Now()
				all, err := io.ReadAll(conn)
				require.NoError(t, err)
				require.Contains(t, string(all), " 401 Unauthorized")
				require.NotContains(t, string(all), " 100 ")
				require.Zero(t, time.Since(started), "and the connection is not held")
			})
		})
	}
}

// Which paths exist is no secret, but a layer does not know what else is behind it: without a
// known key everything is 401, except what needs no key.
func TestUnknownPath(t *testing.T) {
	t.Parallel()
	keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "website"}})
	h := middleware.Auth(keys, nil)(mustNew(t, new(testsink.Keeper), nil))
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     inlet.Code
	}{
		{"no key", "POST", "/nothing", "", 401, inlet.CodeMissingKey},
		{"no key in the body", "POST", "/nothing", `{"a":1}`, 401, inlet.CodeMissingKey},
		{"an unknown key", "POST", "/nothing?writeKey=wrong", "", 401, inlet.CodeUnknownKey},
		{"a known key", "POST", "/nothing?writeKey=K", "", 404, inlet.CodeNotFound},
		{"a known key in the body", "POST", "/nothing", `{"writeKey":"K"}`, 404, inlet.CodeNotFound},
		{"GET without a key", "GET", "/", "", 401, inlet.CodeMissingKey},
		{"another method without a key", "GET", "/v1/track", "", 401, inlet.CodeMissingKey},
		{"another method with a key", "GET", "/v1/track?writeKey=K", "", 405, inlet.CodeMethodNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var body io.Reader = http.NoBody
			if tt.body != "" {
				body = strings.NewReader(tt.body)
			}
			requireRefused(t, serve(h, request(tt.method, tt.path, body)), tt.status, tt.code)
		})
	}
	t.Run("where no layer asks for a key", func(t *testing.T) {
		t.Parallel()
		open := mustNew(t, new(testsink.Keeper), &inlet.Options{AllowAnonymous: true})
		requireRefused(t, serve(open, request("POST", "/nothing", strings.NewReader(goodTrack))), 404, inlet.CodeNotFound)
		closed := mustNew(t, new(testsink.Keeper), nil)
		requireRefused(t, serve(closed, request("POST", "/nothing", strings.NewReader(goodTrack))), 404, inlet.CodeNotFound)
	})
}
