package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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

// A silent body sends nothing until it is closed.
type silent struct{ closed chan struct{} }

func (s silent) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.ErrUnexpectedEOF
}

func (s silent) Close() error { return nil }

// sendSilent sends h a request whose body does not arrive, and returns a function that ends the
// body and returns the status. It is for a bubble of [synctest].
func sendSilent(h http.Handler) (end func() int) {
	closed, done := make(chan struct{}), make(chan int)
	r := call{key: writeKey}.request()
	r.Body, r.ContentLength = silent{closed}, 111
	go func() { done <- answered(h, r).Code }()
	synctest.Wait()
	return func() int {
		close(closed)
		return <-done
	}
}

// A request with a bad key in a header or the query leaves before its body is read.
func TestPayloadKeyFirst(t *testing.T) {
	t.Parallel()
	layers := func(auth inlet.Authenticator, more ...func(http.Handler) http.Handler) http.Handler {
		return middleware.Chain(append([]func(http.Handler) http.Handler{
			middleware.Recover(&middleware.RecoverOptions{Logger: quiet}), middleware.CORS(nil), middleware.Payload(nil),
			middleware.Auth(auth, nil), middleware.Migrate(inlet.CommandersActV1(), nil),
		}, more...)...)(newHandler(t, new(sinks.Discard)))
	}
	for _, tt := range []struct {
		name   string
		path   string
		header map[string]string
		status int
	}{
		{"unknown, Basic", "/v1/track", map[string]string{"Authorization": "Basic bm9wZTo="}, 401},
		{"unknown, X-Write-Key", "/v1/batch", map[string]string{"X-Write-Key": "nope"}, 401},
		{"unknown, query", "/v1/track?writeKey=nope", nil, 401},
		{"unknown, Bearer", "/events", map[string]string{"Authorization": "Bearer nope"}, 401},
		{"unknown, compressed", "/v1/import", map[string]string{"X-Write-Key": "nope", "Content-Encoding": "gzip"}, 401},
		{"disabled", "/v1/track", map[string]string{"X-Write-Key": disabledKey}, 403},
		{"another origin", "/v1/track", map[string]string{"X-Write-Key": boundKey, "Origin": "https://evil.example"}, 403},
		{"known, no route", "/nothing", map[string]string{"X-Write-Key": writeKey}, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, h := range map[string]http.Handler{
				"documented": mount(newHandler(t, new(sinks.Discard))), "migrating": layers(keys), "foreign inside": layers(keys, wrapping),
			} {
				if tt.status == 404 && name == "foreign inside" {
					continue // its body is read for the foreign layer
				}
				r := call{path: tt.path, header: tt.header}.request()
				if tt.header["Authorization"] == "Bearer nope" && !strings.HasPrefix(tt.path, "/events") {
					continue
				}
				r.Body, r.ContentLength = unreadable{t}, 100
				require.Equal(t, tt.status, answered(h, r).Code, name)
			}
		})
	}
	t.Run("over a connection, a body that never comes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			resp := exchange(t, layers(keys), "POST /v1/track?writeKey=nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", nil)
			require.Equal(t, 401, resp.StatusCode)
			require.LessOrEqual(t, time.Since(begun), 2*time.Second, "the rest of a short body is waited for")
		})
	})
}

// exchange sends the beginning of a request to a server for h, then what more sends, and
// returns the answer. It is for bubbles.
func exchange(t *testing.T, h http.Handler, begin string, more func(net.Conn)) *http.Response {
	t.Helper()
	client, connection := net.Pipe()
	server := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(&oneConnection{connection: connection, closed: make(chan struct{})}) }()
	var sending sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		sending.Wait()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		time.Sleep(time.Second) // of the bubble: the server lingers on a body that it has not read
	})
	_, err := io.WriteString(client, begin)
	require.NoError(t, err)
	if more != nil {
		sending.Go(func() { more(client) })
	}
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	require.NoError(t, err)
	return resp
}

// Bodies of one client that are being read hold at most its share.
func TestPayloadShare(t *testing.T) {
	t.Parallel()
	forwarded := middleware.ClientIP(&middleware.ClientIPOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for _, tt := range []struct {
		name    string
		options middleware.PayloadOptions
		client  func(i int) call
		other   call
		held    int
	}{
		{"an address, the default", middleware.PayloadOptions{MaxInFlight: 16}, func(int) call { return call{from: "192.0.2.1:1"} }, call{from: "192.0.2.2:1"}, 2},
		{"an address, few slots", middleware.PayloadOptions{MaxInFlight: 3}, func(int) call { return call{from: "192.0.2.1:1"} }, call{from: "192.0.2.2:1"}, 1},
		{"an address, a share of its own", middleware.PayloadOptions{MaxInFlight: 16, MaxShare: 5}, func(int) call { return call{from: "192.0.2.1:1"} }, call{from: "192.0.2.2:1"}, 5},
		{"an IPv6 network", middleware.PayloadOptions{MaxInFlight: 16}, func(i int) call { return call{from: fmt.Sprintf("[2001:db8::%x]:1", i)} }, call{from: "[2001:db8:0:1::1]:1"}, 2},
		{"an address in IPv6 form", middleware.PayloadOptions{MaxInFlight: 16}, func(i int) call {
			return call{from: []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", "[64:ff9b::192.0.2.1]:1"}[i%3]}
		}, call{from: "[64:ff9b::192.0.2.2]:1"}, 2},
		{"an address behind a proxy", middleware.PayloadOptions{MaxInFlight: 16}, func(int) call {
			return call{from: "10.0.0.1:1", header: map[string]string{"X-Forwarded-For": "192.0.2.1"}}
		}, call{from: "10.0.0.1:1", header: map[string]string{"X-Forwarded-For": "192.0.2.2"}}, 2},
		{"no address", middleware.PayloadOptions{MaxInFlight: 16}, func(int) call { return call{from: "@"} }, call{from: "192.0.2.2:1"}, 2},
	} {
		for _, key := range []string{"", writeKey} { // read by Payload, or by the handler
			t.Run(fmt.Sprintf("%s, key %q", tt.name, key), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					memory := new(testsink.Keeper)
					h := middleware.Chain(forwarded, middleware.Payload(&tt.options), middleware.Auth(keys, nil))(newHandler(t, memory))
					closed := make(chan struct{})
					var mu sync.Mutex
					statuses := map[int]int{}
					var all sync.WaitGroup
					for i := range 16 {
						c := tt.client(i)
						c.key = key
						r := c.request()
						r.Body, r.ContentLength = silent{closed}, 111
						all.Go(func() {
							status := answered(h, r).Code
							mu.Lock()
							defer mu.Unlock()
							statuses[status]++
						})
					}
					synctest.Wait()
					mu.Lock()
					require.Equal(t, map[int]int{503: 16 - tt.held}, statuses)
					mu.Unlock()
					other := tt.other // shared with the other key
					other.body, other.key = track, writeKey
					require.Equal(t, 200, other.do(h).Code)
					close(closed)
					all.Wait()
					require.Equal(t, tt.held, statuses[400], "of those that were read")
					again := tt.client(0)
					again.body, again.key = track, writeKey
					for range 3 * tt.held {
						require.Equal(t, 200, again.do(h).Code, "every slot was given back")
					}
				})
			})
		}
	}
}

// Requests with slow bodies do not count as in flight in the handler behind the layer.
func TestPayloadSlowBodyHoldsNoHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner, err := inlet.New(new(testsink.Keeper), &inlet.Options{Logger: quiet, MaxInFlight: 1})
		require.NoError(t, err)
		h := middleware.Chain(middleware.Payload(nil), middleware.Auth(keys, nil))(inner)
		end := sendSilent(h)
		require.Equal(t, 200, call{body: track, key: writeKey}.do(h).Code)
		require.Equal(t, 400, end())
		require.NoError(t, inner.Shutdown(context.Background()))
	})
}

// Streams of HTTP/2 count as connections do. The real protocol, over loopback.
func TestPayloadShareHTTP2(t *testing.T) {
	t.Parallel()
	loopback := middleware.ClientIP(&middleware.ClientIPOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	patient := &middleware.PayloadOptions{ // with bodies that are silent for minutes
		MaxInFlight: 24, MinRate: 1, Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: time.Hour}},
	}
	h := middleware.Chain(loopback, middleware.Payload(patient), middleware.Auth(keys, nil))(newHandler(t, new(testsink.Keeper)))
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the client dials more than it needs
	inlet.Harden(server.Config)
	server.StartTLS()
	t.Cleanup(server.Close)
	post := func(from string, body io.Reader) (int, error) {
		r, err := http.NewRequest(http.MethodPost, server.URL+"/v1/track", body)
		if err != nil {
			return 0, err
		}
		r.Header.Set("X-Forwarded-For", from)
		if from != "192.0.2.1" {
			r.Header.Set("X-Write-Key", writeKey)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 {
			return 0, fmt.Errorf("the protocol is %s", resp.Proto)
		}
		return resp.StatusCode, nil
	}
	statuses := make(chan int, 20)
	var all sync.WaitGroup
	var pipes []*io.PipeWriter
	endBodies := func() {
		for _, p := range pipes {
			p.Close()
		}
		all.Wait()
	}
	t.Cleanup(endBodies) // which the server waits for, if a test fails
	for range 20 {
		reader, writer := io.Pipe()
		pipes = append(pipes, writer)
		all.Go(func() {
			begun := io.MultiReader(strings.NewReader(strings.Repeat(" ", 600)), reader)
			status, _ := post("192.0.2.1", struct {
				io.Reader
				io.Closer
			}{begun, reader})
			statuses <- status
		})
	}
	for range 17 {
		require.Equal(t, 503, <-statuses, "beyond the share of 3")
	}
	status, err := post("192.0.2.2", strings.NewReader(track))
	require.NoError(t, err)
	require.Equal(t, 200, status)
	endBodies()
}

func TestPayloadMinRate(t *testing.T) {
	t.Parallel()
	drip := func(n int, every time.Duration, size int) func(net.Conn) {
		return func(c net.Conn) {
			for range n {
				time.Sleep(every)
				if _, err := c.Write([]byte(strings.Repeat(" ", size))); err != nil {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name   string
		more   func(net.Conn)
		rate   int64
		status int
		after  time.Duration
	}{
		{"nothing", nil, 0, 408, 2 * time.Second},
		{"a byte a second", drip(100, time.Second, 1), 0, 408, 2 * time.Second},
		{"half of the rate", drip(100, 500*time.Millisecond, 250), 0, 408, 3500 * time.Millisecond},
		{"all but a little of the rate", drip(100, 500*time.Millisecond, 512), 0, 408, 10 * time.Second},
		{"in time", drip(1, 1500*time.Millisecond, 4096), 0, 200, 1500 * time.Millisecond},
		{"at the rate", drip(4, time.Second, 1024), 0, 200, 4 * time.Second},
		{"a higher rate", drip(4, time.Second, 1024), 1 << 20, 408, 2 * time.Second},
		{"a lower rate", drip(100, time.Second, 128), 100, 408, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := middleware.Payload(&middleware.PayloadOptions{MinRate: tt.rate})(echo)
				length := 4096
				if strings.HasPrefix(tt.name, "all but") {
					length = 1 << 20
				}
				begun := time.Now()
				resp := exchange(t, h, fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length), tt.more)
				require.Equal(t, tt.status, resp.StatusCode)
				require.InDelta(t, tt.after.Seconds(), time.Since(begun).Seconds(), 0.26)
			})
		})
	}
}

// A slow reader is a writer whose client takes large writes only when it is let go.
type slowReader struct {
	*httptest.ResponseRecorder
	letGo     chan struct{}
	deadlines []time.Duration
}

func (w *slowReader) SetWriteDeadline(at time.Time) error {
	w.deadlines = append(w.deadlines, time.Until(at))
	return nil
}

func (w *slowReader) Write(b []byte) (int, error) {
	if len(b) > 2<<10 {
		<-w.letGo
	}
	return w.ResponseRecorder.Write(b)
}

// refusedBatch is a batch of which every event but the first n is refused.
func refusedBatch(n, refused int) string {
	event := `{"type":"track","userId":"u","event":"E"}`
	return `{"batch":[` + strings.Repeat(event+",", n) + strings.Repeat("1,", refused-1) + `1]}`
}

// Clients that do not read their answers hold neither memory nor a place.
func TestPayloadUnreadAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"key in a header", "key in the body", "compressed"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 1 << 20, MaxBytesInFlight: 4 << 20}}
				inner, err := inlet.New(new(testsink.Keeper), &inlet.Options{Logger: quiet, MaxInFlight: 2, Protocol: protocol})
				require.NoError(t, err)
				h := middleware.Chain(middleware.Payload(&middleware.PayloadOptions{MaxInFlight: 2, Protocol: protocol}),
					middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol}))(inner)
				c := call{path: "/v1/batch", body: refusedBatch(1, 2000), key: writeKey}
				switch kind {
				case "key in the body":
					c.key, c.body = "", strings.Replace(c.body, "{", `{"writeKey":"`+writeKey+`",`, 1)
				case "compressed":
					c.body, c.header = zipped(t, c.body), map[string]string{"Content-Encoding": "gzip"}
				}
				letGo := make(chan struct{})
				var all sync.WaitGroup
				var writers []*slowReader
				for range 200 { // 6.4 MB by their bodies' least; their answers need 2.6 MB
					w := &slowReader{ResponseRecorder: httptest.NewRecorder(), letGo: letGo}
					writers = append(writers, w)
					all.Go(func() { h.ServeHTTP(w, c.request()) })
					synctest.Wait()
				}
				require.Equal(t, 200, call{body: track, key: writeKey}.do(h).Code)
				shut := make(chan error, 1)
				go func() { shut <- inner.Shutdown(context.Background()) }()
				synctest.Wait()
				require.Empty(t, shut, "Shutdown waits for the answers")
				close(letGo)
				all.Wait()
				require.NoError(t, <-shut)
				for i, w := range writers {
					require.Equal(t, 200, w.Code)
					require.Len(t, w.deadlines, 1)
					want := 10 * time.Second
					if i > 0 { // more than an eighth of the places
						want = time.Second
					}
					require.LessOrEqual(t, w.deadlines[0], want)
				}
			})
		})
	}
}

// An answer lists at most 100 events.
func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accepted, refused, listed int
	}{{1, 1, 1}, {1, 100, 100}, {1, 101, 100}, {0, 100, 100}, {0, 101, 100}, {0, 2500, 100}, {5, 2000, 100}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			t.Parallel()
			c := call{path: "/v1/batch", body: zipped(t, refusedBatch(tt.accepted, tt.refused)), key: writeKey, header: map[string]string{"Content-Encoding": "gzip"}}
			w := c.do(mount(newHandler(t, new(testsink.Keeper))))
			var body struct {
				Accepted      int
				Rejected      []json.RawMessage
				RejectedCount *int
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			if tt.refused > 1 || tt.accepted > 0 {
				require.Len(t, body.Rejected, tt.listed)
			}
			require.Equal(t, tt.accepted, body.Accepted)
			require.Less(t, w.Body.Len(), 16<<10)
			if tt.refused > tt.listed {
				require.Equal(t, tt.refused, *body.RejectedCount)
			} else {
				require.Nil(t, body.RejectedCount)
			}
		})
	}
	t.Run("long texts", func(t *testing.T) {
		t.Parallel()
		name := strings.Repeat("\\u0001", 5000)
		event := `{"type":"track","userId":"u","event":"E","` + name + `":1,"` + name + `":2}`
		w := call{path: "/v1/batch", body: `{"batch":[` + strings.Repeat(event+",", 7) + event + `]}`, key: writeKey}.do(mount(newHandler(t, new(testsink.Keeper))))
		require.Less(t, w.Body.Len(), 64<<10)
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}

// A foreign layer that wraps the body passes on why it cannot be read.
func TestPayloadErrorThroughWrappedBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tee := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.TeeReader(r.Body, io.Discard), r.Body}
				next.ServeHTTP(w, r)
			})
		}
		h := middleware.Chain(middleware.Payload(&middleware.PayloadOptions{MaxShare: 1}), middleware.Auth(keys, nil), tee)(newHandler(t, new(testsink.Keeper)))
		require.Equal(t, 200, call{body: track, key: writeKey}.do(h).Code)
		end := sendSilent(h)
		require.Equal(t, 503, call{body: track, key: writeKey}.do(h).Code, "events are kept for later")
		require.Equal(t, 400, end())
	})
}

// A refusal names its limit in the log of the layer and in the access log, and clients that are
// refused together come back at different times.
func TestPayloadRefusalIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var own, access bytes.Buffer
		text := func(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
		m := middleware.Chain(
			middleware.AccessLog(&middleware.AccessLogOptions{Logger: text(&access)}),
			middleware.Payload(&middleware.PayloadOptions{MaxShare: 1, Logger: text(&own)}))(echo)
		hold, release := io.Pipe()
		var held sync.WaitGroup
		held.Go(func() {
			r := call{}.request()
			r.Body = hold
			m.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		waits := map[string]int{}
		for range 64 {
			w := call{body: "b"}.do(m)
			require.Equal(t, 503, w.Code)
			waits[w.Header().Get("Retry-After")]++
		}
		require.Len(t, waits, 3, "%v", waits)
		require.Equal(t, 1, strings.Count(own.String(), `level=WARN msg="inlet: overloaded" limit=MaxShare reason=`), own.String())
		require.Equal(t, 64, strings.Count(access.String(), "code=overloaded limit=MaxShare reason="), access.String())
		require.NoError(t, release.Close())
		held.Wait()
	})
}
