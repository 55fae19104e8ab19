package inlet_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

// encoded returns text in a content encoding, level 9.
func encoded(t testing.TB, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w, _ = gzip.NewWriterLevel(&b, gzip.BestCompression)
	case "zlib":
		w, _ = zlib.NewWriterLevel(&b, zlib.BestCompression)
	case "flate":
		w, _ = flate.NewWriter(&b, flate.BestCompression)
	case "zstd":
		w, _ = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	default:
		return text
	}
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// zstdFrame returns text in one frame of zstd with its size in the header.
func zstdFrame(text string) string {
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

// zstdBlock returns text as the last block of a frame, as it is.
func zstdBlock(text string) string {
	header := uint32(len(text))<<3 | 1
	return string([]byte{byte(header), byte(header >> 8), byte(header >> 16)}) + text
}

// padTo returns an event that is exactly n bytes long.
func padTo(n int) string {
	const before, after = `{"userId":"u","event":"E","type":"track","properties":{"s":"`, `"}}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

// A deadliner is a ResponseWriter that keeps the deadlines it is given.
type deadliner struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

// SetReadDeadline keeps the deadline.
func (d *deadliner) SetReadDeadline(when time.Time) error {
	d.deadlines = append(d.deadlines, when)
	return nil
}

// dial opens a connection to a server on loopback, bounded in time.
func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// onlyUnwraps is a ResponseWriter as another layer may put around ours.
type onlyUnwraps struct{ inner http.ResponseWriter }

func (o onlyUnwraps) Header() http.Header { return o.inner.Header() }

func (o onlyUnwraps) Write(b []byte) (int, error) { return o.inner.Write(b) }

func (o onlyUnwraps) WriteHeader(status int) { o.inner.WriteHeader(status) }

func (o onlyUnwraps) Unwrap() http.ResponseWriter { return o.inner }

// pipes is a server whose connections are in memory, so that its deadlines are on the clock of
// the bubble that it is made in.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// newPipes starts a server for h.
func newPipes(t *testing.T, h http.Handler) *pipes {
	t.Helper()
	p := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: h, Protocols: protocols}
	served := make(chan error, 1)
	go func() { served <- server.Serve(p) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		time.Sleep(time.Second) // of the bubble: the server lingers on a body that it has not read
	})
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address, which a server asks for.
func (p *pipes) Addr() net.Addr { return new(net.TCPAddr) }

// dial opens a connection, which has an end even if the server does nothing.
func (p *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	require.NoError(t, client.SetDeadline(time.Now().Add(time.Hour)))
	p.accept <- server
	return client
}

// client returns a client with connections of its own.
func (p *pipes) client(t *testing.T, protocols *http.Protocols) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(t), nil }}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// slowServer is a server whose bodies have a time to arrive, below wrapped writers.
func slowServer(t *testing.T, bodyTime time.Duration) (*pipes, *testsink.Keeper) {
	t.Helper()
	sink := new(testsink.Keeper)
	h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true, Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: bodyTime}}})
	return newPipes(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(onlyUnwraps{onlyUnwraps{w}}, r)
	})), sink
}

func TestPayloadContentType(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"", "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "text/plain",
		"text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "application/octet-stream", "multipart/form-data",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			r := authenticated("/v1/track", goodTrack)
			if kind != "" {
				r.Header.Set("Content-Type", kind)
			}
			requireSuccess(t, serve(mustNew(t, sink, nil), r))
			require.Len(t, sink.Events(), 1)
		})
	}
}

func TestPayloadEncoding(t *testing.T) {
	t.Parallel()
	t.Run("encodings", func(t *testing.T) {
		t.Parallel()
		zipped, bomb := encoded(t, "gzip", goodTrack), encoded(t, "gzip", strings.Repeat(" ", 4<<20))
		loose := `{"userId":"u","event":"E","properties":{"s":"` + strings.Repeat("ab", 10_000) + `"}}`
		tests := []struct {
			name, body string
			encodings  []string
			status     int
			code       inlet.Code
		}{
			{"none", goodTrack, nil, 200, ""},
			{"an empty header", goodTrack, []string{""}, 200, ""},
			{"identity", goodTrack, []string{"identity"}, 200, ""},
			{"gzip", zipped, []string{"gzip"}, 200, ""},
			{"gzip in upper case and spaces", zipped, []string{" GZIP "}, 200, ""},
			{"x-gzip", zipped, []string{"x-gzip"}, 200, ""},
			{"gzip in two members", encoded(t, "gzip", goodTrack[:10]) + encoded(t, "gzip", goodTrack[10:]), []string{"gzip"}, 200, ""},
			{"deflate in its zlib form", encoded(t, "zlib", goodTrack), []string{"deflate"}, 200, ""},
			{"deflate in its raw form", encoded(t, "flate", goodTrack), []string{"deflate"}, 200, ""},
			{"gzip twice in one header", encoded(t, "gzip", zipped), []string{"gzip, gzip"}, 415, inlet.CodeUnsupportedEncoding},
			{"gzip twice in two headers", encoded(t, "gzip", zipped), []string{"gzip", "gzip"}, 415, inlet.CodeUnsupportedEncoding},
			{"gzip twice and said once", encoded(t, "gzip", zipped), []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"gzip twice and not said", encoded(t, "gzip", zipped), nil, 400, inlet.CodeInvalidEncoding},
			{"zstd in gzip", encoded(t, "gzip", encoded(t, "zstd", goodTrack)), []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"br", goodTrack, []string{"br"}, 415, inlet.CodeUnsupportedEncoding},
			{"an unknown one", goodTrack, []string{"rot13"}, 415, inlet.CodeUnsupportedEncoding},
			{"no gzip at all, but JSON", goodTrack, []string{"gzip"}, 200, ""},
			{"no gzip at all", "-" + goodTrack, []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"two bytes that are no gzip", "ab", []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"the first two bytes of gzip", zipped[:2], []string{"gzip"}, 400, inlet.CodeIncompleteBody},
			{"two bytes of JSON", "{}", []string{"gzip"}, 400, inlet.CodeNoUserAnonID},
			{"no byte of gzip", "", []string{"gzip"}, 400, inlet.CodeIncompleteBody},
			{"no deflate at all", "\xff\xff\xff\xff", []string{"deflate"}, 400, inlet.CodeInvalidEncoding},
			{"a wrong checksum", zipped[:len(zipped)-8] + "12345678", []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"a wrong zlib checksum", encoded(t, "zlib", goodTrack)[:len(encoded(t, "zlib", goodTrack))-4] + "zzzz", []string{"deflate"}, 400, inlet.CodeInvalidEncoding},
			{"text behind gzip", zipped + "more", []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"much text behind gzip", zipped + "more than a header is long", []string{"gzip"}, 400, inlet.CodeInvalidEncoding},
			{"truncated gzip", zipped[:len(zipped)-9], []string{"gzip"}, 400, inlet.CodeIncompleteBody},
			{"truncated header of gzip", zipped[:4], []string{"gzip"}, 400, inlet.CodeIncompleteBody},
			{"truncated zlib", encoded(t, "zlib", goodTrack)[:20], []string{"deflate"}, 400, inlet.CodeIncompleteBody},
			{"truncated deflate", encoded(t, "flate", goodTrack)[:20], []string{"deflate"}, 400, inlet.CodeIncompleteBody},
			{"gzip without a header", zipped, nil, 200, ""},
			{"a bomb", bomb, []string{"gzip"}, 400, inlet.CodePayloadTooLarge},
			{"zstd", encoded(t, "zstd", goodTrack), []string{"zstd"}, 200, ""},
			{"zstd in two frames", encoded(t, "zstd", goodTrack[:10]) + encoded(t, "zstd", goodTrack[10:]), []string{"zstd"}, 200, ""},
			{"zstd without a header", encoded(t, "zstd", goodTrack), nil, 200, ""},
			{"zstd and zeros", encoded(t, "zstd", goodTrack) + "\x00\x00", []string{"zstd"}, 200, ""},
			{"zstd that says how large it is", zstdFrame(goodTrack), []string{"ZSTD"}, 200, ""},
			{"zstd of more than the guess", encoded(t, "zstd", loose), []string{"zstd"}, 200, ""},
			{"zstd twice", encoded(t, "zstd", goodTrack), []string{"zstd, zstd"}, 415, inlet.CodeUnsupportedEncoding},
			{"zstd behind gzip", encoded(t, "zstd", goodTrack), []string{"gzip, zstd"}, 415, inlet.CodeUnsupportedEncoding},
			{"no zstd at all, but JSON", goodTrack, []string{"zstd"}, 200, ""},
			{"no zstd at all", "-" + goodTrack, []string{"zstd"}, 400, inlet.CodeInvalidEncoding},
			{"no byte of zstd", "", []string{"zstd"}, 400, inlet.CodeIncompleteBody},
			{"truncated zstd", encoded(t, "zstd", goodTrack)[:40], []string{"zstd"}, 400, inlet.CodeIncompleteBody},
			{"a wrong zstd checksum", encoded(t, "zstd", goodTrack)[:len(encoded(t, "zstd", goodTrack))-1] + "z", []string{"zstd"}, 400, inlet.CodeInvalidEncoding},
			{"a zstd window of 8 MiB", "\x28\xb5\x2f\xfd\x00\x68" + zstdBlock(goodTrack), []string{"zstd"}, 200, ""},
			{"a zstd window of 9 MiB", "\x28\xb5\x2f\xfd\x00\x69" + zstdBlock(goodTrack), []string{"zstd"}, 400, inlet.CodeInvalidEncoding},
			{"zstd with a dictionary", "\x28\xb5\x2f\xfd\x01\x00\x07" + zstdBlock(goodTrack), []string{"zstd"}, 400, inlet.CodeInvalidEncoding},
			{"a zstd bomb", encoded(t, "zstd", strings.Repeat(" ", 4<<20)), []string{"zstd"}, 400, inlet.CodePayloadTooLarge},
			{"a zstd bomb that says so", zstdFrame(strings.Repeat(" ", 4<<20)), []string{"zstd"}, 400, inlet.CodePayloadTooLarge},
			{"a zstd bomb that lies", "\x28\xb5\x2f\xfd\x20\x07" + strings.Repeat("\x02\x00\x10 ", 8) + "\x03\x00\x10 ", []string{"zstd"}, 400, inlet.CodeInvalidEncoding},
		}
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, nil)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				for _, how := range []string{"as it comes", "byte by byte", "with its end"} {
					var body io.Reader = strings.NewReader(test.body)
					switch how {
					case "byte by byte":
						body = iotest.OneByteReader(body)
					case "with its end":
						body = iotest.DataErrReader(body)
					}
					r := inlet.WithSource(request("POST", "/v1/track", body), website)
					r.Header["Content-Encoding"] = test.encodings
					w := serve(h, r)
					if test.code == "" {
						requireSuccess(t, w)
					} else {
						requireRefused(t, w, test.status, test.code)
					}
				}
			})
		}
	})
	t.Run("ratio", func(t *testing.T) {
		t.Parallel()
		text := `{"userId":"u","event":"E","properties":{"s":"` + strings.Repeat("a", 200_000) + `"}}`
		body := encoded(t, "gzip", text)
		ratio := int64(len(text) / len(body))
		require.Greater(t, ratio, int64(200))
		for most, status := range map[int64]int{ratio + 2: 200, ratio / 2: 400, 0: 400} {
			h := mustNew(t, new(testsink.Keeper), &inlet.Options{
				Protocol: &inlet.Protocol{Limits: inlet.Limits{EventBytes: 1 << 20}, Payload: inlet.PayloadLimits{MaxRatio: most}},
			})
			require.Equal(t, status, serve(h, authenticated("/v1/track", body, "Content-Encoding", "gzip")).Code, "ratio %d", most)
		}
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxRatio: 1}}})
		short := encoded(t, "gzip", `{"userId":"u","event":"E","properties":{"s":"`+strings.Repeat("a", 30_000)+`"}}`)
		requireSuccess(t, serve(h, authenticated("/v1/track", short, "Content-Encoding", "gzip")))
	})
}

func TestPayloadLimits(t *testing.T) {
	t.Parallel()
	t.Run("size of a body", func(t *testing.T) {
		t.Parallel()
		batch := func(n int) string {
			var events []string
			for size := len(batchOf()); size < n; {
				next := min(n-size, 30_000)
				if rest := n - size - next; rest > 0 && rest < 1000 {
					next -= 1000
				}
				events = append(events, padTo(next-1)+" ")
				size += next + 1 // the comma
				if size == n+1 {
					break
				}
			}
			body := batchOf(events...)
			return body + strings.Repeat(" ", n-len(body))
		}
		tests := []struct {
			name, path, body string
			status           int
			code             inlet.Code
		}{
			{"a single event at its limit", "/v1/track", padTo(32_768), 200, ""},
			{"a single event one over", "/v1/track", padTo(32_769), 400, inlet.CodePayloadTooLarge},
			{"a single event with white space one over", "/v1/track", padTo(32_000) + strings.Repeat(" ", 769), 400, inlet.CodePayloadTooLarge},
			{"a batch at its limit", "/v1/batch", batch(512_000), 200, ""},
			{"a batch one over", "/v1/batch", batch(512_001), 400, inlet.CodePayloadTooLarge},
			{"the short form of a batch at its limit", "/b", batch(512_000), 200, ""},
			{"an import at its limit", "/v1/import", batch(4 << 20), 200, ""},
			{"an import one over", "/v1/import", batch(4<<20 + 1), 400, inlet.CodePayloadTooLarge},
			{"metrics as large as a batch", "/v1/m", batch(512_000), 200, ""},
			{"metrics one over", "/v1/m", batch(512_001), 400, inlet.CodePayloadTooLarge},
		}
		h := mustNew(t, new(testsink.Keeper), nil)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				for _, encoding := range []string{"", "gzip", "zstd"} {
					for _, known := range []bool{true, false} {
						r := authenticated(test.path, encoded(t, encoding, test.body))
						if encoding != "" {
							r.Header.Set("Content-Encoding", encoding)
						}
						if !known {
							r.ContentLength = -1
						}
						w := serve(looseHandler(t, h, encoding), r)
						if test.code == "" {
							requireSuccess(t, w)
						} else {
							requireRefused(t, w, test.status, test.code)
						}
					}
				}
			})
		}
	})
	t.Run("an event of a batch is refused alone", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		w := serve(mustNew(t, sink, nil), authenticated("/v1/batch", batchOf(padTo(32_768), padTo(32_769), padTo(100))))
		require.Equal(t, 200, w.Code)
		a := readReply(t, w)
		require.True(t, *a.Success)
		require.Equal(t, 2, *a.Accepted)
		require.Len(t, a.Rejected, 1)
		require.Equal(t, 1, a.Rejected[0].Index)
		require.Equal(t, inlet.CodeEventTooLarge, a.Rejected[0].Code)
		require.Len(t, sink.Events(), 2)
	})
	t.Run("an event is measured as received", func(t *testing.T) {
		t.Parallel()
		// Each \xff is repaired to three bytes, which do not count.
		broken := func(n int) string {
			return strings.Replace(padTo(n), "xxxxxxxx", "\xff\xff\xff\xff\xff\xff\xff\xff", 1)
		}
		for _, encoding := range []string{"", "gzip", "zstd"} {
			t.Run("encoding "+encoding, func(t *testing.T) {
				t.Parallel()
				h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxRatio: 1 << 20}}})
				r := inlet.WithSource(sent(encoding, strings.NewReader(encoded(t, encoding, batchOf(broken(32_768), broken(32_769), padTo(32_768), padTo(32_769))))), website)
				a := readReply(t, serve(h, r))
				require.Equal(t, 2, *a.Accepted)
				require.Len(t, a.Rejected, 2)
				for i, place := range []int{1, 3} {
					require.Equal(t, place, a.Rejected[i].Index)
					require.Equal(t, inlet.CodeEventTooLarge, a.Rejected[i].Code)
				}
				single := func(body string) *httptest.ResponseRecorder {
					r := authenticated("/v1/track", encoded(t, encoding, body))
					r.Header.Set("Content-Encoding", encoding)
					return serve(h, r)
				}
				requireSuccess(t, single(broken(32_768)))
				requireRefused(t, single(broken(32_769)), 400, inlet.CodePayloadTooLarge)
			})
		}
	})
	t.Run("size of a query", func(t *testing.T) {
		t.Parallel()
		h := mustNew(t, new(testsink.Keeper), nil)
		requireSuccess(t, serve(h, authenticated("/v1/track?"+strings.Repeat("q", 64<<10), goodTrack)))
		requireRefused(t, serve(h, authenticated("/v1/track?"+strings.Repeat("q", 64<<10+1), goodTrack)), 400, inlet.CodePayloadTooLarge)
	})
}

// looseHandler returns h for bodies as they are, and for compressed ones, which
// here shrink more than bodies do, a handler that ignores the ratio.
func looseHandler(t testing.TB, h http.Handler, encoding string) http.Handler {
	if encoding == "" {
		return h
	}
	return mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxRatio: 1 << 20}}})
}

func TestPayloadIncomplete(t *testing.T) {
	t.Parallel()
	secret := errors.New("the cable is at 10.0.0.7")
	tests := []struct {
		name string
		body io.Reader
		code inlet.Code
	}{
		{"an error immediately", iotest.ErrReader(secret), inlet.CodeIncompleteBody},
		{"an error after half of it", io.MultiReader(strings.NewReader(goodTrack[:20]), iotest.ErrReader(secret)), inlet.CodeIncompleteBody},
		{"an error after all of it", io.MultiReader(strings.NewReader(goodTrack), iotest.ErrReader(secret)), inlet.CodeIncompleteBody},
		{"a limit of the host's", http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(goodTrack)), 10), inlet.CodePayloadTooLarge},
		{"nothing", http.NoBody, inlet.CodeInvalidJSON},
		{"an empty body", strings.NewReader(""), inlet.CodeInvalidJSON},
		{"white space", strings.NewReader(" \n"), inlet.CodeInvalidJSON},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			w := serve(mustNew(t, sink, nil), inlet.WithSource(request("POST", "/v1/track", test.body), website))
			requireRefused(t, w, 400, test.code)
			require.NotContains(t, w.Body.String(), "10.0.0.7")
			require.Zero(t, sink.Calls())
		})
	}
}

func TestPayloadDeadline(t *testing.T) {
	t.Parallel()
	t.Run("set and cleared", func(t *testing.T) {
		t.Parallel()
		const rest = 2 * time.Second // of a body that is refused
		tests := []struct {
			name    string
			request *http.Request
			last    time.Duration // 0 for none
		}{
			{"a body that arrives at once needs none", authenticated("/v1/track", goodTrack), 0},
			{"the rest of a body that is too large must arrive in time", authenticated("/v1/track", padTo(40_000)), rest},
			{"the body of a request without a key must arrive in time", request("POST", "/v1/track", strings.NewReader(goodTrack)), rest},
			{"the body of a request for nothing must arrive in time", authenticated("/nothing", goodTrack), rest},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: time.Minute}}})
					w := &deadliner{ResponseRecorder: httptest.NewRecorder()}
					h.ServeHTTP(w, test.request)
					if test.last == 0 {
						require.Empty(t, w.deadlines)
						return
					}
					require.NotEmpty(t, w.deadlines)
					require.Equal(t, test.last, time.Until(w.deadlines[len(w.deadlines)-1]))
				})
			})
		}
	})
	t.Run("slow body", func(t *testing.T) {
		t.Parallel()
		for _, wrapped := range []bool{false, true} {
			t.Run(fmt.Sprintf("wrapped %t", wrapped), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					sink := new(testsink.Keeper)
					h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true, Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{ReadTimeout: 100 * time.Millisecond}}})
					conn := newPipes(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if wrapped {
							w = onlyUnwraps{onlyUnwraps{w}}
						}
						h.ServeHTTP(w, r)
					})).dial(t)
					started := time.Now()
					fmt.Fprint(conn, "POST /v1/track HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n{")
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					require.NoError(t, err)
					defer resp.Body.Close()
					require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
					require.NotEmpty(t, resp.Header.Get("Retry-After"))
					require.Equal(t, 100*time.Millisecond, time.Since(started))
					require.Zero(t, sink.Calls())
				})
			})
		}
	})
	t.Run("trickling body", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, sink := slowServer(t, 250*time.Millisecond)
			conn := s.dial(t)
			started := time.Now()
			fmt.Fprint(conn, "POST /v1/track HTTP/1.1\r\nHost: test\r\nContent-Length: 30000\r\n\r\n")
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
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
			require.Equal(t, "1", resp.Header.Get("Retry-After"))
			require.Equal(t, 250*time.Millisecond, took)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			_, err = answers.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection is kept, although the start of its next request is unknown")
			<-stopped
			require.Zero(t, sink.Calls())
		})
	})
	t.Run("a connection outlives it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, _ := slowServer(t, 50*time.Millisecond)
			conn := s.dial(t)
			answers := bufio.NewReader(conn)
			for range 3 {
				fmt.Fprintf(conn, "POST /v1/track HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", len(goodTrack), goodTrack)
				resp, err := http.ReadResponse(answers, nil)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(t, err)
				require.Equal(t, 200, resp.StatusCode)
				time.Sleep(60 * time.Millisecond)
			}
		})
	})
	t.Run("slow HTTP/2 stream", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, sink := slowServer(t, 250*time.Millisecond)
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			client := s.client(t, protocols)
			post := func(body io.Reader) (status int, reused bool) {
				trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
				r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", "http://test/v1/track", body)
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
				started := time.Now()
				status, reused := post(body)
				rest.Close()
				require.Equal(t, http.StatusRequestTimeout, status)
				require.Equal(t, 250*time.Millisecond, time.Since(started))
				require.True(t, reused)
				status, reused = post(strings.NewReader(goodTrack))
				require.Equal(t, 200, status)
				require.True(t, reused)
			}
			require.Len(t, sink.Events(), 3)
		})
	})
}

func TestPayloadWire(t *testing.T) {
	t.Parallel()
	sink := new(testsink.Keeper)
	s := httptest.NewServer(mustNew(t, sink, &inlet.Options{AllowAnonymous: true}))
	t.Cleanup(s.Close)
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 10, goodTrack[:10], len(goodTrack)-10, goodTrack[10:])
	tests := []struct {
		name, rest string
		drop       bool
		status     int
	}{
		{"chunked without a length", chunked, false, 200},
		{"a chunk that is announced and does not come", "Transfer-Encoding: chunked\r\n\r\nff\r\n{", true, 400},
		{"a length that is longer than the body", "Content-Length: 5000\r\n\r\n" + goodTrack, true, 400},
		{"a length that is shorter than the body", "Content-Length: 20\r\nConnection: close\r\n\r\n" + goodTrack, false, 400},
		{"a length beyond the limit and no body", "Content-Length: 999999999\r\n\r\n", true, 400},
		{"a body that must be asked for", fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(goodTrack), goodTrack), false, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			fmt.Fprintf(conn, "POST /v1/track HTTP/1.1\r\nHost: test\r\n%s", test.rest)
			if test.drop {
				require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			}
			answers := bufio.NewReader(conn)
			resp, err := http.ReadResponse(answers, nil)
			if err == nil && resp.StatusCode == 100 {
				resp, err = http.ReadResponse(answers, nil)
			}
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, test.status, resp.StatusCode)
		})
	}
}

// mustReader returns a reader of payloads.
func mustReader(t testing.TB, o inlet.PayloadLimits) *inlet.PayloadReader {
	t.Helper()
	pr, err := inlet.NewPayloadReader(o)
	require.NoError(t, err)
	return pr
}

// payloadLayer is the least layer that reads payloads.
func payloadLayer(pr *inlet.PayloadReader, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, p, err := pr.Read(w, r)
		if err != nil {
			inlet.WriteError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
		p.Release()
	})
}

// readAndClosed is a body of a foreign layer's.
type readAndClosed struct{ io.Reader }

func (readAndClosed) Close() error { return nil }

func TestPayloadLayers(t *testing.T) {
	t.Parallel()
	t.Run("in between", func(t *testing.T) {
		t.Parallel()
		const other = `{"userId":"u2","event":"Replaced"}`
		tests := []struct {
			name, event string
			layer       func(r *http.Request) *http.Request
		}{
			{"nothing", "Signed Up", func(r *http.Request) *http.Request { return r }},
			{"one that replaces the body", "Replaced", func(r *http.Request) *http.Request {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(other)), int64(len(other))
				return r
			}},
			{"one that reads the body and puts it back", "Signed Up", func(r *http.Request) *http.Request {
				all, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(all))
				return r
			}},
			{"one that wraps the body", "Signed Up", func(r *http.Request) *http.Request {
				r.Body = readAndClosed{io.TeeReader(r.Body, io.Discard)}
				return r
			}},
			{"one that closes the body", "Signed Up", func(r *http.Request) *http.Request {
				r.Body.Close()
				return r
			}},
			{"one that copies the request", "Signed Up", func(r *http.Request) *http.Request { return r.Clone(context.Background()) }},
			{"one that replaces the body by an encoded one", "Replaced", func(r *http.Request) *http.Request {
				body := encoded(t, "gzip", other)
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				r.Header.Set("Content-Encoding", "gzip")
				return r
			}},
		}
		for _, test := range tests {
			for _, encoding := range []string{"", "gzip"} {
				t.Run(test.name+" "+encoding, func(t *testing.T) {
					t.Parallel()
					sink := new(testsink.Keeper)
					h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true})
					outer := authenticated("/v1/track", encoded(t, encoding, goodTrack))
					if encoding != "" {
						outer.Header.Set("Content-Encoding", encoding)
					}
					body, header := outer.Body, outer.Header.Clone()
					w := serve(payloadLayer(mustReader(t, inlet.PayloadLimits{}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						require.Empty(t, r.Header.Get("Content-Encoding"))
						require.Equal(t, int64(len(goodTrack)), r.ContentLength)
						h.ServeHTTP(w, test.layer(r))
					})), outer)
					requireSuccess(t, w)
					require.Len(t, sink.Events(), 1)
					require.Equal(t, test.event, sink.Events()[0].Name)
					require.Equal(t, body, outer.Body, "the caller's request was changed")
					if test.name == "nothing" {
						require.Equal(t, header, outer.Header, "the caller's headers were changed")
					}
				})
			}
		}
	})
	t.Run("one that reads half of the body", func(t *testing.T) {
		t.Parallel()
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{AllowAnonymous: true})
		w := serve(payloadLayer(mustReader(t, inlet.PayloadLimits{}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadFull(r.Body, make([]byte, 5))
			require.NoError(t, err)
			h.ServeHTTP(w, r)
		})), authenticated("/v1/track", goodTrack))
		requireRefused(t, w, 400, inlet.CodeInvalidJSON)
	})
	// Under http.TimeoutHandler the outer layers give back the payload while the
	// handler still works on it: neither may read another request's bytes.
	t.Run("http.TimeoutHandler", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			late, sink := make(chan struct{}), new(testsink.Keeper)
			var done = make(chan string, 1)
			sink.Respond = func(_ context.Context, events []*inlet.Event) error {
				if events[0].Name == "Slow" {
					<-late
					done <- string(events[0].Properties)
				}
				return nil
			}
			h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true})
			chain := payloadLayer(mustReader(t, inlet.PayloadLimits{}), http.TimeoutHandler(h, 20*time.Millisecond, "late"))
			body := func(name, fill string) string {
				return `{"userId":"u","event":"` + name + `","properties":{"s":"` + strings.Repeat(fill, 2000) + `"}}`
			}
			require.Equal(t, 503, serve(chain, request("POST", "/v1/track", strings.NewReader(body("Slow", "a")))).Code)
			for range 50 {
				serve(chain, request("POST", "/v1/track", strings.NewReader(body("Quick", "b"))))
			}
			close(late)
			require.Equal(t, `{"s":"`+strings.Repeat("a", 2000)+`"}`, <-done)
		})
	})
}

func TestPayloadSharing(t *testing.T) {
	t.Parallel()
	t.Run("read once and shared until the last release", func(t *testing.T) {
		t.Parallel()
		pr := mustReader(t, inlet.PayloadLimits{})
		outer := authenticated("/v1/track", encoded(t, "gzip", goodTrack), "Content-Encoding", "gzip")
		sent := outer.ContentLength
		r1, p1, err := pr.Read(httptest.NewRecorder(), outer)
		require.NoError(t, err)
		r2, p2, err := pr.Read(httptest.NewRecorder(), r1)
		require.NoError(t, err)
		require.Same(t, r1, r2)
		require.Same(t, p1, p2)
		require.Equal(t, goodTrack, string(p2.Bytes()))
		require.Equal(t, sent, p2.WireSize())
		p1.Release()
		require.Equal(t, goodTrack, string(p2.Bytes()))
		all, err := io.ReadAll(r2.Body)
		require.NoError(t, err)
		require.Equal(t, goodTrack, string(all))
		p2.Release()
		_, err = r2.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		(*inlet.Payload)(nil).Release()
	})
	t.Run("not used after its release", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, &inlet.Options{AllowAnonymous: true})
		r, p, err := mustReader(t, inlet.PayloadLimits{}).Read(httptest.NewRecorder(), authenticated("/v1/track", goodTrack))
		require.NoError(t, err)
		p.Release()
		requireRefused(t, serve(h, r), 503, inlet.CodeOverloaded)
		require.Zero(t, sink.Calls())
	})
	t.Run("not reused after a panic", func(t *testing.T) {
		t.Parallel()
		var lost []byte
		chain := payloadLayer(mustReader(t, inlet.PayloadLimits{}), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, p, err := mustReader(t, inlet.PayloadLimits{}).Read(nil, r)
			require.NoError(t, err)
			lost = p.Bytes()
			panic(http.ErrAbortHandler)
		}))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(chain, authenticated("/v1/track", goodTrack)) })
		h := mustNew(t, new(testsink.Keeper), nil)
		for range 50 {
			requireSuccess(t, serve(h, authenticated("/v1/track", strings.Replace(goodTrack, "Signed Up", "Overwrote", 1))))
		}
		require.Equal(t, goodTrack, string(lost))
	})
}

// The budget of these tests: bodies may hold 4 MiB together, or 128 small ones.
const (
	allBytes   = 4 << 20
	smallBytes = 32 << 10
	allSmall   = allBytes / smallBytes
)

func smallBudget() inlet.PayloadLimits {
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

// A stalled body announces much and sends nothing until it is let go.
type stalled struct {
	reading *atomic.Int64
	letGo   chan struct{}
}

func (s stalled) Close() error { return nil }

func (s stalled) Read([]byte) (int, error) {
	s.reading.Add(1)
	<-s.letGo
	return 0, io.ErrUnexpectedEOF
}

func TestPayloadBudget(t *testing.T) {
	t.Parallel()
	t.Run("a body that does not fit is refused unread", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: &inlet.Protocol{Payload: smallBudget()}})
			s := stalled{new(atomic.Int64), make(chan struct{})}
			var slow sync.WaitGroup
			for range allSmall - 2 {
				r := &http.Request{Method: "POST", URL: &url.URL{Path: "/v1/batch"}, Body: s, ContentLength: 30_000}
				slow.Go(func() { serve(h, inlet.WithSource(r, website)) })
			}
			time.Sleep(200 * time.Millisecond) // they do not arrive, and so do not make others wait
			require.EqualValues(t, allSmall-2, s.reading.Load(), "announcing alone takes little")
			unread := iotest.ErrReader(errors.New("the body was read"))
			r := inlet.WithSource(sent("", unread), website)
			r.ContentLength = 3 * smallBytes
			w := serve(h, r)
			requireRefused(t, w, 503, inlet.CodeOverloaded)
			require.Contains(t, []string{"1", "2", "3"}, w.Header().Get("Retry-After"))
			requireSuccess(t, serve(h, authenticated("/v1/track", goodTrack))) // which fits
			close(s.letGo)
			slow.Wait()
			requireSuccess(t, serve(h, authenticated("/v1/batch", batchOf(repeated(20, padTo(10_000))...))))
		})
	})
	t.Run("a shared body counts once", func(t *testing.T) {
		t.Parallel()
		pr := mustReader(t, smallBudget())
		for range 2 * allSmall {
			r, outer, err := pr.Read(nil, sent("", strings.NewReader("x")))
			require.NoError(t, err)
			_, inner, err := pr.Read(nil, r)
			require.NoError(t, err)
			outer.Release()
			inner.Release()
		}
	})
}

func TestPayloadOptions(t *testing.T) {
	t.Parallel()
	_, err := inlet.NewPayloadReader(inlet.PayloadLimits{MaxBytes: -1, MaxWireBytes: -1, MaxRatio: -1, ReadTimeout: -1, MaxBytesInFlight: -1})
	for _, field := range []string{"MaxBytes", "MaxWireBytes", "MaxRatio", "ReadTimeout", "MaxBytesInFlight"} {
		require.ErrorContains(t, err, field+" is")
	}
	for field, o := range map[string]inlet.PayloadLimits{
		"MaxBytes":         {MaxBytes: 1<<30 + 1},
		"MaxWireBytes":     {MaxWireBytes: 1<<30 + 1},
		"MaxBytesInFlight": {MaxBytesInFlight: 16<<20 - 1}, // four times the default of MaxBytes
	} {
		_, err = inlet.NewPayloadReader(o)
		require.ErrorContains(t, err, field+" is")
	}
	_, err = inlet.NewPayloadReader(inlet.PayloadLimits{MaxBytes: 10, MaxBytesInFlight: 4<<20 - 1})
	require.ErrorContains(t, err, "MaxBytesInFlight is 4194303, must be at least 4194304")
	mustReader(t, inlet.PayloadLimits{MaxBytes: 1 << 30})
}
