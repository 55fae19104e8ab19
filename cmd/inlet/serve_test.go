//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/server"
)

func TestGreeting(t *testing.T) {
	t.Parallel()
	t.Run("curl stores an event, tail shows it", func(t *testing.T) {
		t.Parallel()
		needs(t, "curl")
		dir := filepath.Join(t.TempDir(), "a user's data")
		p := start(t, dir)
		require.JSONEq(t, `{"success":true}`, paste(t, p.curl))
		require.Contains(t, paste(t, p.tail), `"event":"Signed Up"`)

		p.stop(t)
		require.Empty(t, files(t, dir, "*.part"), "every file is sealed")
		require.Len(t, events(t, dir), 1)
		require.NotContains(t, p.log.String(), p.key, "the log contains the write key")
	})
	t.Run("a key with special characters", func(t *testing.T) {
		t.Parallel()
		needs(t, "curl")
		for i, key := range []string{"id:secret", "ends=", "ends:", "=a:b=c::", `it's"$HOME"\`, "žluť/+?&#%20", strings.Repeat("k", 255)} {
			p := start(t, t.TempDir(), "-key", key, "-key", "another")
			require.JSONEq(t, `{"success":true}`, paste(t, p.curl), "key %d", i)
			p.stop(t)
			require.NotContains(t, p.log.String(), key)
		}
	})
}

// needs skips the test if a program is not installed, except where that is required.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		require.NotEqual(t, "1", os.Getenv("INLET_REQUIRE_CLIENTS"), "INLET_REQUIRE_CLIENTS=1, but %s is not installed", program)
		t.Skip(program + " is not installed")
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	t.Run("a generated key survives a restart and is private", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		first := start(t, dir)
		first.stop(t)
		second := start(t, dir)
		require.Equal(t, first.key, second.key)
		require.Len(t, second.key, 26)
		info, err := os.Stat(filepath.Join(dir, server.KeyName))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	})
	t.Run("given keys are used instead, with a source each", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p := start(t, dir, "-key", "one", "-key", "two")
		for _, key := range []string{"one", "two"} {
			p.key = key
			status, _ := p.post(t, "/v1/track", `{"event":"E","userId":"u"}`)
			require.Equal(t, 200, status)
		}
		require.NoFileExists(t, filepath.Join(dir, server.KeyName))
		stored := events(t, dir)
		require.Len(t, stored, 2)
		require.Equal(t, "source-1", stored[0].SourceID)
		require.Equal(t, "source-2", stored[1].SourceID)
	})
}

func TestServer(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	event := `{"event":"E","userId":"u"}`
	for _, c := range []struct {
		name, method, path, key, body string
		status                        int
		code                          any
	}{
		{"an event is stored", "POST", "/v1/track", p.key, event, 200, nil},
		{"a doubled slash, not redirected", "POST", "//v1//track", p.key, event, 200, nil},
		{"a trailing slash, not redirected", "POST", "/v1/track/", p.key, event, 200, nil},
		{"a wrong key", "POST", "/v1/track", "wrong", event, 401, "unknown_key"},
		{"no key", "POST", "/v1/track", "", event, 401, "missing_key"},
		{"not JSON", "POST", "/v1/track", p.key, `{"event":`, 400, "invalid_json"},
		{"no user", "POST", "/v1/track", p.key, `{"event":"E"}`, 400, "no_user_anon_id"},
		{"too large", "POST", "/v1/track", p.key, `{"event":"` + strings.Repeat("E", 40_000) + `"}`, 400, "payload_too_large"},
		{"an unknown path", "POST", "/v2/track", p.key, event, 404, "not_found"},
		{"a wrong method", "GET", "/v1/track", p.key, "", 405, "method_not_allowed"},
		{"ready", "GET", "/ready", "", "", 200, nil},
		{"live", "GET", "/live", "", "", 200, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest(c.method, p.url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			if c.key != "" {
				r.SetBasicAuth(c.key, "")
			}
			status, answer := do(t, r)
			require.Equal(t, c.status, status, "%v", answer)
			require.Equal(t, c.code, answer["code"])
		})
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	t.Run("rate limits each key separately", func(t *testing.T) {
		t.Parallel()
		p := start(t, t.TempDir(), "-rate", "0.5", "-key", "one", "-key", "two")
		event := `{"event":"E","userId":"u"}`
		status, _ := p.post(t, "/v1/track", event)
		require.Equal(t, 200, status)
		status, answer := p.post(t, "/v1/track", event)
		require.Equal(t, 429, status)
		require.Equal(t, "rate_limited", answer["code"])
		p.key = "two"
		status, _ = p.post(t, "/v1/track", event)
		require.Equal(t, 200, status)
	})
	t.Run("origins default to all", func(t *testing.T) {
		t.Parallel()
		p := start(t, t.TempDir())
		header := preflight(t, p, "https://anywhere.example")
		require.NotEmpty(t, header.Get("Access-Control-Allow-Origin"))
		require.Empty(t, header.Get("Access-Control-Allow-Credentials"))
	})
	t.Run("origins as a list", func(t *testing.T) {
		t.Parallel()
		p := start(t, t.TempDir(), "-origins", "https://shop.example, https://www.shop.example/")
		for origin, allowed := range map[string]bool{
			"https://shop.example": true, "https://www.shop.example": true, "https://other.example": false,
		} {
			got := preflight(t, p, origin).Get("Access-Control-Allow-Origin")
			require.Equal(t, allowed, got == origin, "%s: %q", origin, got)
		}
	})
	t.Run("log-level", func(t *testing.T) {
		t.Parallel()
		for level, logged := range map[string]bool{"info": true, "warn": false} {
			p := start(t, t.TempDir(), "-log-level", level)
			p.post(t, "/v1/track", `{"event":"E","userId":"u"}`)
			p.stop(t)
			require.Equal(t, logged, strings.Contains(p.log.String(), "/v1/track"), "%s: %s", level, p.log)
		}
	})
	for _, args := range [][]string{
		{"-rate", "-1"}, {"-rate", "NaN"}, {"-memory", "15"}, {"-memory", "1.5"}, {"-key", ""}, {"-key", "a b"}, {"-key", strings.Repeat("k", 256)},
		{"-retain-size", "63"}, {"-retain-age", "-1h"}, {"-to", "backup"}, {"-to", "backup=https://events.example"}, {"-to", "A=https://events.example"},
		{"-tls-cert", "x"}, {"-keys", "x", "-key", "k"}, {"-metrics", "8081"}, {"-trusted-proxies", "0.0.0.0/0"},
		{"-proxy-header", "X-Real-IP"}, {"-trusted-proxies", "10.0.0.0/8", "-proxy-header", "X Real IP"}, {"-dir", ""},
		{"-public-url", "shop.example"},
		{"-origins", "shop.example"}, {"-origins", "*,https://shop.example"}, {"-origins", ""}, {"-log-level", "loud"}, {"-unknown"}, {"extra"},
	} {
		t.Run(fmt.Sprintf("%.20v is refused", args), func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(binary, append([]string{"serve", "-dir", t.TempDir()}, args...)...).CombinedOutput()
			require.Equal(t, 2, exitCode(err), "%s", out)
			require.Contains(t, string(out), "Usage")
		})
	}
}

// preflight sends the preflight of a browser, and returns the headers of the response.
func preflight(t *testing.T, p *process, origin string) http.Header {
	t.Helper()
	r, err := http.NewRequest(http.MethodOptions, p.url+"/v1/t", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization")
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.Header
}

func TestStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	for name, args := range map[string][]string{
		"a directory in use": {"serve", "-addr", "127.0.0.1:0", "-dir", dir},
		"an address in use":  {"serve", "-addr", strings.TrimPrefix(p.url, "http://"), "-dir", t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(binary, args...).CombinedOutput()
			require.Equal(t, 1, exitCode(err))
			require.Regexp(t, "^inlet serve: .*in use", string(bytes.TrimSpace(out)))
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("a request in flight is answered and stored", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p := start(t, dir)
		rest, answer := halfRequest(t, p)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
		require.Eventually(t, func() bool { return refuses(p) }, 20*time.Second, time.Millisecond)
		rest()
		require.Contains(t, answer(), "200 OK")
		require.NoError(t, p.wait(), "%s", p.log)
		require.Len(t, events(t, dir), 1)
		require.Empty(t, files(t, dir, "*.part"))
	})
	t.Run("a second signal does not wait", func(t *testing.T) {
		t.Parallel()
		p := start(t, t.TempDir())
		halfRequest(t, p)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.Eventually(t, func() bool { return refuses(p) }, 20*time.Second, time.Millisecond)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.Equal(t, syscall.SIGTERM, endedBy(p.wait()), "%s", p.log)
	})
}

// halfRequest sends an event except for its last byte. rest sends that byte, and answer returns
// everything that the server sends.
func halfRequest(t *testing.T, p *process) (rest func(), answer func() string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	body := `{"event":"E","userId":"u"}`
	_, err = fmt.Fprintf(conn, "POST /v1/track HTTP/1.1\r\nHost: x\r\nX-Write-Key: %s\r\nContent-Length: %d\r\n"+
		"Expect: 100-continue\r\n\r\n%s", p.key, len(body), body[:len(body)-1])
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))) // the server reads the body
	require.NoError(t, err)
	rest = func() { _, err := io.WriteString(conn, body[len(body)-1:]); require.NoError(t, err) }
	return rest, func() string { all, err := io.ReadAll(conn); require.NoError(t, err); return string(all) }
}

// refuses reports whether the server refuses connections.
func refuses(p *process) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}
