package httpsink_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

func TestPublicInternet(t *testing.T) {
	t.Parallel()
	t.Run("literal addresses", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{
			"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1",
			"168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
			"192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
			"240.0.0.1", "255.255.255.255",
			"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
			"64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:a9fe:a9fe::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
			"2002:a9fe:a9fe::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%25eth0",
			"2606:4700::1%25eth0", "fec0::1", "ff02::1",
		} {
			host := address
			if strings.Contains(address, ":") {
				host = "[" + address + "]"
			}
			_, err := httpsink.New("https://"+host, writeKey, nil)
			require.ErrorContains(t, err, "is not an address on the public internet", address)
			_, err = httpsink.New("https://"+host, writeKey, &httpsink.Options{AllowPrivate: true})
			require.NoError(t, err, address)
		}
		for _, address := range []string{
			"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.1.1.1", "128.0.0.1", "172.15.255.255",
			"172.32.0.1", "192.0.1.1", "192.169.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255",
			"[2001:200::1]", "[2606:4700::1111]", "[::ffff:1.1.1.1]", "[2a00:1450::1]",
		} {
			_, err := httpsink.New("https://"+address, writeKey, nil)
			require.NoError(t, err, address)
		}
	})
	t.Run("name of this machine", func(t *testing.T) {
		t.Parallel()
		url := answering(t, http.StatusOK, "")
		_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		s, err := httpsink.New("http://localhost:"+port, writeKey, &httpsink.Options{AllowHTTP: true})
		require.NoError(t, err)
		err = s.Write(t.Context(), events("a"))
		require.Equal(t, []string{"later"}, outcomes(err, 1))
		require.ErrorContains(t, err, "is not an address on the public internet; see Options.AllowPrivate")
	})
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		require.Fail(t, "the redirect was followed")
	}))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newSink(t, answering(t, status, "", "Location", elsewhere+"/v1/batch"), nil)
		err := s.Write(t.Context(), events("a"))
		require.Equal(t, []string{"later"}, outcomes(err, 1), "%v", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, c *tls.Config) *httptest.Server {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, 1, r.ProtoMajor)
			_, _ = io.WriteString(w, `{"success":true}`)
		}))
		server.TLS = c
		server.EnableHTTP2 = true
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	write := func(t *testing.T, server *httptest.Server, c *tls.Config) error {
		return newSink(t, server.URL, &httpsink.Options{TLSConfig: c}).Write(t.Context(), events("a"))
	}
	trusting := func(server *httptest.Server) *tls.Config {
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		return &tls.Config{RootCAs: roots}
	}

	t.Run("unknown authority", func(t *testing.T) {
		t.Parallel()
		err := write(t, start(t, nil), nil)
		require.Equal(t, []string{"later"}, outcomes(err, 1))
		require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
	})
	t.Run("private authority", func(t *testing.T) {
		t.Parallel()
		server := start(t, nil)
		c := trusting(server)
		s := newSink(t, server.URL, &httpsink.Options{TLSConfig: c})
		c.RootCAs = nil // the options are the caller's
		require.NoError(t, s.Write(t.Context(), events("a")))
	})
	t.Run("TLS 1.1", func(t *testing.T) {
		t.Parallel()
		server := start(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		require.Equal(t, []string{"later"}, outcomes(write(t, server, trusting(server)), 1))
	})
}

func TestWriteKeyIsSecret(t *testing.T) {
	t.Parallel()
	credentials := base64.StdEncoding.EncodeToString([]byte(writeKey + ":"))
	requireSecret := func(t *testing.T, text string) {
		t.Helper()
		require.NotContains(t, text, writeKey)
		require.NotContains(t, text, strings.TrimRight(credentials, "="))
	}

	t.Run("sink", func(t *testing.T) {
		t.Parallel()
		s := newSink(t, "https://events.example/base/", nil)
		require.Equal(t, "httpsink to https://events.example/base/v1/batch", s.String())
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("made", "sink", s)
		for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q", s), log.String()} {
			requireSecret(t, text)
		}
	})
	t.Run("response that quotes it", func(t *testing.T) {
		t.Parallel()
		quoting := strings.Repeat("x", 190) + " " + writeKey + " Basic " + credentials
		for _, status := range []int{200, 400, 401, 503} {
			for _, body := range []string{
				quoting, `{"success":false,"message":"` + quoting + `"}`,
				`{"success":true,"rejected":[{"index":0,"code":"` + writeKey + `","message":"` + quoting + `"}]}`,
			} {
				if err := newSink(t, answering(t, status, body), nil).Write(t.Context(), events("a")); err != nil {
					requireSecret(t, err.Error())
				}
			}
		}
	})
	t.Run("malformed response", func(t *testing.T) {
		t.Parallel()
		for _, broken := range []string{
			writeKey + " " + credentials + "\r\n\r\n", "HTTP/1.1 " + writeKey + "\r\n\r\n", "HTTP/1.1 200 OK\r\n" + credentials + "\r\n\r\n",
		} {
			s := newSink(t, talking(t, broken), nil)
			err := s.Write(t.Context(), events("a"))
			require.Equal(t, []string{"later"}, outcomes(err, 1))
			for ; err != nil; err = errors.Unwrap(err) {
				requireSecret(t, err.Error())
			}
		}
	})
	t.Run("constructor", func(t *testing.T) {
		t.Parallel()
		for _, endpoint := range []string{
			"https://" + writeKey + ":@events.example", "https://" + writeKey + ":x", "https://e.example/?writeKey=" + writeKey, writeKey,
			"https://events.example/%zz" + writeKey,
		} {
			_, err := httpsink.New(endpoint, writeKey, nil)
			require.Error(t, err)
			requireSecret(t, err.Error())
		}
		_, err := httpsink.New("https://events.example", writeKey+"\n", nil)
		require.Error(t, err)
		requireSecret(t, err.Error())
	})
}

// talking returns the URL of a server that answers every request with text and hangs
// up.
func talking(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, text)
			}
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func TestNetworkFailure(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	for name, url := range map[string]string{
		"not listening":                "http://" + listener.Addr().String(),
		"hangs up":                     talking(t, ""),
		"hangs up during its response": talking(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
		"unknown name":                 "http://events.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newSink(t, url, nil).Write(t.Context(), events("a"))
			require.Equal(t, []string{"later"}, outcomes(err, 1))
			require.ErrorContains(t, err, "httpsink: no response, the outcome is unknown: ")
		})
	}
}

func TestContextCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	s := newOffline(t, func(r *http.Request) (*http.Response, error) {
		cancel(inlet.Permanent(errors.New("the event is at fault")))
		return hang(r)
	}, nil)
	err := s.Write(ctx, events("a"))
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, inlet.IsPermanent(err))
}

// The header of a response is read up to a bound, whatever a receiver sends: the events stay, and
// no more than the bound is held.
func TestResponseHeaderIsBounded(t *testing.T) {
	t.Parallel()
	const kibi = 1 << 10
	for _, tt := range []struct {
		name   string
		header func(w http.ResponseWriter)
		stored bool
	}{
		{"an ordinary header", func(w http.ResponseWriter) { w.Header().Set("A", strings.Repeat("a", 16*kibi)) }, true},
		{"a long value", func(w http.ResponseWriter) { w.Header().Set("A", strings.Repeat("a", 256*kibi)) }, false},
		{"many values", func(w http.ResponseWriter) {
			w.Header()["A"] = slices.Repeat([]string{strings.Repeat("a", 100)}, 3*kibi)
		}, false},
		{"many names", func(w http.ResponseWriter) {
			for i := range 20 * kibi {
				w.Header().Set(fmt.Sprintf("A-%d", i), "a")
			}
		}, false},
		{"hints without end", func(w http.ResponseWriter) {
			w.Header().Set("Link", strings.Repeat("a", 16*kibi))
			for range 64 {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.Header().Del("Link")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				tt.header(w)
				_, _ = io.WriteString(w, `{"success":true}`)
			}))
			err := newSink(t, url, nil).Write(t.Context(), events("m"))
			if tt.stored {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.False(t, inlet.IsPermanent(err))
			require.Less(t, len(err.Error()), 4*kibi)
		})
	}
}
