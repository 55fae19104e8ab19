//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/server"
)

// stopDelay is the -stop-delay of the servers in these tests.
const stopDelay = 2 * time.Second

// A rolling restart under load: the next process is started while the last one serves, and waits
// for the directory. Clients come through a balancer that asks /ready, and retry, as SDKs do.
// Every event is acknowledged in the end and stored once, and no connection is refused or cut that
// a balancer could not have known of.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := &balancer{}
	front := httptest.NewServer(b)
	defer front.Close()
	server := startReplica(t, dir)
	server.read(t)
	b.add(server.url)
	clients := newClients(front.URL, server.key)
	clients.run()
	for range 2 {
		clients.await(t, 100)
		next := startReplica(t, dir)
		next.log.await(t, "directory is in use by another journal; waiting")
		clients.await(t, 100) // by the one that has the directory
		require.NoError(t, server.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, server.wait(), "%s", server.log)
		next.read(t)
		b.add(next.url)
		server = next
	}
	clients.await(t, 100)
	clients.stop(t)
	require.NoError(t, server.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.wait(), "%s", server.log)

	require.Empty(t, b.faults, "a server that was ready a moment ago failed a request")
	times := map[string]int{}
	for _, e := range events(t, dir) {
		times[e.MessageID]++
	}
	for id := range clients.acked {
		require.Equal(t, 1, times[id], "%s was acknowledged", id)
	}
	require.Len(t, times, len(clients.acked), "all that was sent was acknowledged")
	require.NotContains(t, server.log.String(), "level=ERROR")
	t.Logf("%d events, each stored once; %d answers 503 of the balancer, %d of servers", len(times), b.unavailable, b.refused)
}

// A replica is a server that is started while another has its directory.
type replica struct {
	*process
	log    *logBuffer
	stdout io.Reader
}

func startReplica(t *testing.T, dir string, args ...string) *replica {
	t.Helper()
	r := &replica{process: &process{}, log: newLogBuffer()}
	r.cmd = exec.Command(binary, append([]string{"serve", "-addr", "127.0.0.1:0", "-dir", dir,
		"-lock-timeout", "5m", "-stop-delay", stopDelay.String()}, args...)...)
	r.cmd.Stderr = r.log
	stdout, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(r.kill)
	r.stdout = stdout
	return r
}

// read waits for the greeting, which comes once the server listens.
func (r *replica) read(t *testing.T) {
	t.Helper()
	r.process.read(t, r.stdout)
}

// A logBuffer keeps what a process logs, and may be read meanwhile.
type logBuffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // after each write
}

func newLogBuffer() *logBuffer { return &logBuffer{wrote: make(chan struct{}, 1)} }

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await returns once a text is logged.
func (l *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(time.Minute)
	for !strings.Contains(l.String(), text) {
		select {
		case <-l.wrote:
		case <-limit:
			require.FailNow(t, "not logged: "+text, "%s", l)
		}
	}
}

// A balancer passes requests on to the last server that was added, or the one before, whichever
// says that it is ready. It asks before each request: a server that was ready then must take a
// request during its -stop-delay, however slow the machine is.
type balancer struct {
	mu      sync.Mutex
	servers []string
	faults  []string

	unavailable, refused int
}

func (b *balancer) add(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = append(b.servers, url)
}

// transport makes a connection for each request, so that one which the server closes is not used.
var transport = &http.Transport{DisableKeepAlives: true}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	servers := b.servers[max(0, len(b.servers)-2):]
	b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	for i := len(servers) - 1; i >= 0; i-- {
		asked := time.Now()
		if !isReady(servers[i]) {
			continue
		}
		out, err := http.NewRequestWithContext(r.Context(), r.Method, servers[i]+r.URL.Path, bytes.NewReader(body))
		if err != nil {
			panic(err)
		}
		out.Header = r.Header.Clone()
		response, err := transport.RoundTrip(out)
		if err != nil {
			b.fault(asked, err)
			break
		}
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
		_ = response.Body.Close()
		b.count(response.StatusCode)
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	b.count(0)
}

// fault notes a request that failed, unless the server was last asked so long ago that it may have
// ended properly since.
func (b *balancer) fault(asked time.Time, err error) {
	if time.Since(asked) >= stopDelay {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, err.Error())
}

func (b *balancer) count(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch status {
	case 0:
		b.unavailable++
	case http.StatusServiceUnavailable:
		b.refused++
	}
}

func isReady(url string) bool {
	r, err := http.NewRequest(http.MethodGet, url+"/ready", nil)
	if err != nil {
		panic(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// clients send events and retry each until it is acknowledged.
type clients struct {
	url, key string
	http     *http.Client
	running  sync.WaitGroup
	end      chan struct{}
	done     atomic.Int64

	mu     sync.Mutex
	acked  map[string]bool
	faults []string
}

func newClients(url, key string) *clients {
	return &clients{
		url: url, key: key, end: make(chan struct{}), acked: map[string]bool{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
}

func (c *clients) run() {
	for n := range 4 {
		c.running.Go(func() {
			for i := 0; !c.ended(); i++ {
				c.deliver(fmt.Sprintf("client%d-%d", n, i))
			}
		})
	}
}

func (c *clients) ended() bool {
	select {
	case <-c.end:
		return true
	default:
		return false
	}
}

// deliver sends an event until it is acknowledged. Only 200 and 503 are right.
func (c *clients) deliver(id string) {
	for {
		status, err := c.send(id)
		switch {
		case err == nil && status == http.StatusOK:
			c.mu.Lock()
			c.acked[id] = true
			c.mu.Unlock()
			c.done.Add(1)
			return
		case err != nil || status != http.StatusServiceUnavailable:
			c.mu.Lock()
			c.faults = append(c.faults, cmp.Or(err, fmt.Errorf("status %d", status)).Error())
			c.mu.Unlock()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (c *clients) send(id string) (status int, err error) {
	body, err := json.Marshal(map[string]string{"event": "E", "userId": "u", "messageId": id})
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequest(http.MethodPost, c.url+"/v1/track", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(c.key, "")
	response, err := c.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// await returns once n more events are acknowledged.
func (c *clients) await(t *testing.T, n int64) {
	t.Helper()
	want := c.done.Load() + n
	require.Eventually(t, func() bool { return c.done.Load() >= want }, time.Minute, time.Millisecond, "no events are acknowledged")
}

func (c *clients) stop(t *testing.T) {
	t.Helper()
	close(c.end)
	c.running.Wait()
	c.http.CloseIdleConnections()
	require.Empty(t, c.faults, "the answers are 200 and 503 only")
}

func TestLockTimeout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir)
	t.Run("a signal ends the wait", func(t *testing.T) {
		t.Parallel()
		r := startReplica(t, dir)
		r.log.await(t, "waiting")
		require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, r.wait(), "%s", r.log)
	})
	t.Run("the time is up", func(t *testing.T) {
		t.Parallel()
		out, err := exec.Command(binary, "serve", "-addr", "127.0.0.1:0", "-dir", dir, "-lock-timeout", "10ms").CombinedOutput()
		require.Equal(t, statusFailed, exitCode(err))
		require.Contains(t, string(out), "waited 10ms: journal: directory is in use by another journal")
	})
	for _, name := range []string{"lock-timeout", "stop-delay", "drain-timeout", "retain-age"} {
		t.Run("a negative "+name+" is refused", func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(binary, "serve", "-dir", t.TempDir(), "-"+name, "-1s").CombinedOutput()
			require.Equal(t, statusUsage, exitCode(err), "%s", out)
		})
	}
}

// A server that is to stop before it serves has not failed.
func TestStopEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // whose ids it would read
	stray := filepath.Join(w.dir, server.RejectsDir, "00000000000000000001.ndjson")
	require.NoError(t, os.MkdirAll(stray, 0o700)) // which is logged, before it does
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := new(bytes.Buffer)
	c := server.Config{Addr: "127.0.0.1:0", Dir: w.dir, Logger: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("setting it aside")) {
			cancel()
		}
		return len(p), nil
	}), nil))}
	require.NoError(t, c.Run(ctx, out))
	require.Error(t, ctx.Err())
	require.Empty(t, out.String())
}

// A writerFunc is a function that writes.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStopDelay(t *testing.T) {
	t.Parallel()
	r := startReplica(t, t.TempDir(), "-stop-delay", "1h")
	r.read(t)
	status, _ := r.post(t, "/v1/track", event)
	require.Equal(t, 200, status)
	require.True(t, isReady(r.url))
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	r.log.await(t, "still serving")
	require.False(t, isReady(r.url))
	status, _ = r.post(t, "/v1/track", event)
	require.Equal(t, 200, status, "it still serves")
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, syscall.SIGTERM, endedBy(r.wait()), "a second signal ends it")
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	t.Run("waits until the destinations have everything", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		r := startDraining(t, w, w.receiver, "1m")
		require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, r.wait(), "%s", r.log)
		require.Contains(t, r.log.String(), "all destinations have everything")
		require.Len(t, w.received.Events(), len(w.events))
	})
	t.Run("fails if one lacks some, and names it", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		gone, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, gone.Close())
		r := startDraining(t, w, "http://"+gone.Addr().String(), "100ms")
		require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
		require.Equal(t, statusFailed, exitCode(r.wait()))
		require.Contains(t, r.log.String(), `not drained: keep the directory, and start the server again: journal: destination "backup" lacks up to 24 events`)
		require.Len(t, events(t, w.dir), 24)
	})
}

// startDraining starts a server whose destination is at url, and waits until it listens.
func startDraining(t *testing.T, w *world, url, timeout string) *replica {
	t.Helper()
	r := &replica{process: &process{}, log: newLogBuffer()}
	r.cmd = exec.Command(binary, "serve", "-addr", "127.0.0.1:0", "-to", "backup="+url, "-drain-timeout", timeout)
	r.cmd.Env, r.cmd.Stderr = w.environment(), r.log
	stdout, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(r.kill)
	r.stdout = stdout
	r.read(t)
	return r
}

func TestReady(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	require.NoError(t, err)
	unready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(unready.Close)
	redirecting := httptest.NewServer(http.RedirectHandler(p.url+"/ready", http.StatusFound))
	t.Cleanup(redirecting.Close)
	for _, tt := range []struct {
		name   string
		args   []string
		env    string
		status int
		text   string
	}{
		{"ready", []string{"-addr", "127.0.0.1:" + port}, "", statusOK, "ready\n"},
		{"of all interfaces", []string{"-addr", ":" + port}, "", statusOK, "ready\n"},
		{"of all interfaces, by a variable", nil, "INLET_ADDR=0.0.0.0:" + port, statusOK, "ready\n"},
		{"of all interfaces, IPv6", []string{"-addr", "[::]:" + port}, "", statusOK, "ready\n"},
		{"not ready", []string{"-addr", unready.Listener.Addr().String()}, "", statusFailed, "503"},
		{"a redirect is no answer", []string{"-addr", redirecting.Listener.Addr().String()}, "", statusFailed, "302"},
		{"no port", []string{"-addr", "localhost"}, "", statusUsage, "HOST:PORT"},
		{"an address that is none", []string{"-addr", "a b:1"}, "", statusUsage, "Usage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, append([]string{"ready"}, tt.args...)...)
			if tt.env != "" {
				cmd.Env = append(cmd.Environ(), tt.env)
			}
			out, err := cmd.CombinedOutput()
			require.Equal(t, tt.status, exitCode(err), "%s", out)
			require.Contains(t, string(out), tt.text)
		})
	}
}
