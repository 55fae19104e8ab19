package interop

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinks/journal"
)

// nginxAround is what the documented configuration is put into: one process in the foreground
// that writes into a directory of its own.
const nginxAround = `daemon off; master_process off; pid DIR/pid; error_log DIR/error.log;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
    %s
}
`

// A change changes the documented configuration.
type change struct{ from, to string }

// in adds a directive to the location.
func in(directive string) change { return change{"proxy_pass", directive + ";\n        proxy_pass"} }

// startNginx starts nginx with the configuration that docs/OPERATIONS.md has, in front of a
// server, and returns its URL. It ends with the test.
func startNginx(t *testing.T, upstream string, changes ...change) string {
	t.Helper()
	program := requireProgram(t, "nginx")
	document, err := os.ReadFile("../../docs/OPERATIONS.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(document), "\n```nginx\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "\n```\n")
	address := freeAddress(t)
	changes = append(changes, change{"listen 80", "listen " + address}, change{"127.0.0.1:8080", strings.TrimPrefix(upstream, "http://")})
	for _, c := range changes {
		require.Contains(t, text, c.from)
		text = strings.ReplaceAll(text, c.from, c.to)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	text = strings.ReplaceAll(fmt.Sprintf(nginxAround, text), "DIR", dir)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	log := new(testkit.Log)
	cmd := exec.Command(program, "-p", dir, "-c", file, "-e", filepath.Join(dir, "start.log"))
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond, "nginx does not listen: %s", log)
	return "http://" + address
}

// freeAddress returns a loopback address that is free.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// nginxConfigurations are what people have, as changes of what is documented.
var nginxConfigurations = map[string][]change{
	"as documented":                        nil,
	"requests are not buffered":            {in("proxy_request_buffering off")},
	"answers are not buffered":             {in("proxy_buffering off")},
	"nothing is buffered, no kept conns":   {in("proxy_request_buffering off"), in("proxy_buffering off"), {"keepalive 32;", ""}, {"keepalive_timeout 50s;", ""}},
	"requests are buffered in files":       {in("client_body_buffer_size 1k"), in("client_body_in_file_only clean")},
	"HTTP/1.0 to the server":               {{"proxy_http_version 1.1", "proxy_http_version 1.0"}, {`proxy_set_header Connection "";`, ""}},
	"HTTP/1.0, requests are not buffered":  {{"proxy_http_version 1.1", "proxy_http_version 1.0"}, in("proxy_request_buffering off"), {`proxy_set_header Connection "";`, ""}},
	"the encoding is removed":              {in(`proxy_set_header Content-Encoding ""`)},
	"everything is said to be gzip":        {in("proxy_set_header Content-Encoding gzip")},
	"everything is said to be UTF-8":       {in("proxy_set_header Content-Encoding utf-8")},
	"answers are compressed":               {in("gzip on"), in("gzip_min_length 1"), in("gzip_types application/json"), in("gzip_proxied any")},
	"the client's headers are mostly gone": {in(`proxy_set_header Content-Type ""`), in(`proxy_set_header User-Agent ""`), in(`proxy_set_header Accept-Encoding ""`)},
	"slashes are merged":                   {{"merge_slashes off", "merge_slashes on"}},
}

// Behind nginx, in every usual configuration, each event of an SDK and of the forms of other
// clients is stored once, equal to what is stored without nginx.
func TestNginx(t *testing.T) {
	t.Parallel()
	requireProgram(t, "nginx")
	direct := startServer(t)
	sendAll(t, direct.URL)
	want := lasting(direct.stop(t))
	require.Greater(t, len(want), 50)
	for name, changes := range nginxConfigurations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			sendAll(t, startNginx(t, s.URL, changes...))
			require.Equal(t, want, lasting(s.stop(t)))
		})
	}
}

// sendAll sends what the SDK for Go sends, the forms of the clients that cannot be installed, and
// bodies of all sizes, with and without a length and compression.
func sendAll(t *testing.T, url string) {
	t.Helper()
	calls := everyCall(map[string]any{"text": "čaj ✅"})
	for i := range calls {
		calls[i].Timestamp = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	sendGo(t, url, 2, calls)
	for i, c := range rawClients {
		c.body = strings.ReplaceAll(c.body, `"m1"`, fmt.Sprintf(`"raw-%d"`, i))
		response := c.send(t, url)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, max(c.status, http.StatusOK), response.StatusCode, "%s: %s", c.name, answer)
		c.requireResponse(t, response, string(answer))
	}
	for i, size := range []int{10, 7_000, 20_000} {
		event := fmt.Sprintf(`{"event":"E","userId":"u","messageId":"pixel-%d","writeKey":%q,"properties":{"text":%q}}`, i, writeKey, strings.Repeat("č", size/2))
		response, err := http.Get(url + "/v1/pixel/track?data=" + base64.URLEncoding.EncodeToString([]byte(event)))
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Empty(t, response.Header.Get("X-Inlet-Error"))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{10, 5_000, 30_000, 300_000, 480_000} {
		var events []string
		for n := 0; n <= size; n += 25_000 {
			text := make([]byte, min(size, 25_000))
			for j := range text {
				text[j] = "abcdefghijklmnopqrstuvwxyz0123456789"[random.IntN(36)]
			}
			events = append(events, fmt.Sprintf(`{"type":"track","event":"E","userId":"u","messageId":"size-%d-%d","properties":{"text":%q}}`, i, n, text))
		}
		for j, c := range []rawClient{{}, {gzip: true}, {chunked: true}, {gzip: true, chunked: true}, {header: map[string]string{"Expect": "100-continue"}}} {
			c.path, c.basic = "//v1/batch", true
			c.body = strings.ReplaceAll(`{"batch":[`+strings.Join(events, ",")+`]}`, `"size-`, fmt.Sprintf(`"size-%d-`, j))
			response := c.send(t, url)
			answer, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode, "%d bytes: %s", size, answer)
		}
	}
}

// lasting returns the events of a journal without what differs from run to run, sorted.
func lasting(lines []line) []line {
	for _, event := range lines {
		warnings, _ := event["warnings"].([]any)
		if slices.Contains(warnings, "message_id_generated") {
			delete(event, "messageId")
		}
		for _, member := range []string{"receivedAt", "sentAt", "timestamp", "warnings", "_seq", "_c"} {
			if at, _ := event[member].(string); member != "timestamp" || !strings.HasPrefix(at, "2026-01-02") {
				delete(event, member)
			}
		}
	}
	key := func(l line) string { return fmt.Sprint(l["messageId"], l["type"], l["event"], l["name"], l["userId"]) }
	slices.SortStableFunc(lines, func(a, b line) int { return strings.Compare(key(a), key(b)) })
	return lines
}

// RudderStack's SDK for node compresses its bodies.
func TestNginxSDK(t *testing.T) {
	t.Parallel()
	node := requireNode(t)
	for name, changes := range map[string][]change{
		"the encoding is passed on": nil,
		"the encoding is removed":   {in(`proxy_set_header Content-Encoding ""`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			calls := everyCall(awkward(t, nil))
			sendNode(t, node, "rudder.mjs", nodeJob{URL: startNginx(t, s.URL, changes...), Calls: calls})
			requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
			require.Equal(t, changes != nil, strings.Contains(s.log.String(), "named=none found=gzip"), "%s", s.log)
		})
	}
}

// A refusal reaches the client through nginx, however large the body is.
func TestNginxRefusals(t *testing.T) {
	t.Parallel()
	requireProgram(t, "nginx")
	s := startServer(t)
	for _, name := range []string{"as documented", "requests are not buffered", "HTTP/1.0 to the server", "HTTP/1.0, requests are not buffered"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := startNginx(t, s.URL, nginxConfigurations[name]...)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for _, size := range []int{1000, 200_000, 1_000_000, 4_000_000} {
				for path, status := range map[string]int{
					"/v1/batch?writeKey=wrong": 401, "/nothing?writeKey=" + writeKey: 404, "/v1/track?writeKey=" + writeKey: 400,
				} {
					for i := range 6 {
						var body io.Reader = strings.NewReader(strings.Repeat("x", size))
						if i%2 == 1 {
							body = io.MultiReader(body) // net/http does not know its length
						}
						response, err := client.Post(proxy+path, jsonBody, body)
						require.NoError(t, err)
						answer, err := io.ReadAll(response.Body)
						require.NoError(t, err)
						_ = response.Body.Close()
						require.Equal(t, status, response.StatusCode, "%d bytes to %s: %s", size, path, answer)
						require.Contains(t, string(answer), `"success":false`)
					}
				}
			}
		})
	}
}

// nginx with a lower limit than Inlet answers 413 itself.
func TestNginxBodyLimit(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	proxy := startNginx(t, s.URL, change{"client_max_body_size 4m", "client_max_body_size 1m"})
	send := func(url string) int {
		body := `{"batch":[` + strings.Repeat(`{"type":"track","event":"E","userId":"u"},`, 30_000)[:1_200_000-1] + `]}`
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/import", strings.NewReader(body))
		require.NoError(t, err)
		r.SetBasicAuth(writeKey, "")
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, send(proxy))
	require.Equal(t, http.StatusBadRequest, send(s.URL), "it is broken, but not too large")

	// The SDK's batches are below it.
	calls := manyTracks(500)
	sendGo(t, proxy, 250, calls)
	requireExactlyOnce(t, calls, s.stop(t))
}

// Clients that send again what was not acknowledged lose and double nothing while the server
// restarts behind nginx, which sends again itself.
func TestNginxRestart(t *testing.T) {
	t.Parallel()
	requireProgram(t, "nginx")
	for name, changes := range map[string][]change{
		"as documented":             nil,
		"requests are not buffered": {in("proxy_request_buffering off")},
		"HTTP/1.0 to the server":    nginxConfigurations["HTTP/1.0 to the server"],
		// nginx has another server to try: the same one.
		"sent again by nginx": {{"max_fails=0;", "max_fails=0; server 127.0.0.1:8080 max_fails=0;"}, {"timeout non_idempotent", "timeout http_502 http_503 non_idempotent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, dir := freeAddress(t), filepath.Join(t.TempDir(), "journal")
			start := func() *server { return startServer(t, "-addr", address, "-dir", dir, "-log-level", "error") }
			s := start()
			proxy := startNginx(t, "http://"+address, changes...)
			var sent atomic.Int64
			stop := make(chan struct{})
			var clients sync.WaitGroup
			for range 6 {
				clients.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							sendUntilAccepted(t, proxy, sent.Add(1))
						}
					}
				})
			}
			more := func() {
				enough := sent.Load() + 25
				require.Eventually(t, func() bool { return sent.Load() >= enough }, time.Minute, 10*time.Millisecond)
			}
			for range 2 {
				time.Sleep(700 * time.Millisecond)
				more()
				s.terminate(t)
				s = start()
			}
			more()
			close(stop)
			clients.Wait()
			s.terminate(t)
			times := map[string]int{}
			for _, event := range readJournal(t, dir) {
				id, _ := event["messageId"].(string)
				times[id]++
				require.Equal(t, map[string]any{"id": id}, event["properties"])
			}
			require.Greater(t, sent.Load(), int64(50))
			require.Len(t, times, int(sent.Load()))
			for id, n := range times {
				require.Equal(t, 1, n, id)
			}
		})
	}
}

// sendUntilAccepted sends an event as SDKs do: again after no answer and after 5xx.
func sendUntilAccepted(t *testing.T, url string, id int64) {
	for range 2400 { // a minute, for the slow start of a server
		body := fmt.Sprintf(`{"event":"E","userId":"u","messageId":"m%d","properties":{"id":"m%d"},"writeKey":%q}`, id, id, writeKey)
		response, err := http.Post(url+"/v1/track", jsonBody, strings.NewReader(body))
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
			if response.StatusCode < 500 {
				t.Errorf("status %d: the client gives up", response.StatusCode)
				return
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Error("never accepted")
}

// Events forwarded by a journal through nginx arrive once and equal, also where nginx accepts
// less than a request has, and while the receiver restarts.
func TestNginxForward(t *testing.T) {
	t.Parallel()
	requireProgram(t, "nginx")
	for name, changes := range map[string][]change{
		"as documented":           nil,
		"the encoding is removed": {in(`proxy_set_header Content-Encoding ""`)},
		"HTTP/1.0 to the server":  nginxConfigurations["HTTP/1.0 to the server"],
		"at most 64 KiB":          {{"client_max_body_size 4m", "client_max_body_size 64k"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, dir := freeAddress(t), filepath.Join(t.TempDir(), "receiver")
			receiver := startServer(t, "-addr", address, "-dir", dir)
			sink, err := httpsink.New(startNginx(t, "http://"+address, changes...), writeKey, &httpsink.Options{AllowHTTP: true, AllowPrivate: true})
			require.NoError(t, err)
			store, err := journal.Open(t.TempDir(), nil)
			require.NoError(t, err)
			delivery, err := store.Deliver("nginx", sink, &journal.DeliverOptions{MinBackoff: 20 * time.Millisecond, MaxBackoff: 100 * time.Millisecond})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			want := writeEvents(t, store, 0, 300)
			receiver.terminate(t)
			maps.Copy(want, writeEvents(t, store, 300, 600))
			receiver = startServer(t, "-addr", address, "-dir", dir)
			require.Eventually(t, func() bool { return delivery.Stats().Delivered >= 600 }, time.Minute, 10*time.Millisecond, "%+v", delivery.Stats())
			require.Zero(t, delivery.Stats().Refused)
			require.NoError(t, store.Close(ctx))
			require.NoError(t, sink.Close(ctx))
			receiver.terminate(t)
			got := map[string]any{}
			for _, event := range readJournal(t, dir) {
				id, _ := event["messageId"].(string)
				require.NotContains(t, got, id)
				got[id] = event["properties"]
			}
			require.Equal(t, want, got)
		})
	}
}

// writeEvents writes events to a sink, with text that does not get short by compression, and
// returns their properties.
func writeEvents(t *testing.T, sink inlet.Sink, from, to int) map[string]any {
	t.Helper()
	h, err := inlet.New(sink, nil)
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(uint64(from), 1))
	properties := map[string]any{}
	for i := from; i < to; i++ {
		text := make([]byte, 700)
		for j := range text {
			text[j] = "abcdefghijklmnopqrstuvwxyz0123456789"[random.IntN(36)]
		}
		id := fmt.Sprintf("forwarded-%d", i)
		raw := fmt.Appendf(nil, `{"text":%q}`, text)
		require.NoError(t, h.Ingest(t.Context(), &inlet.Source{ID: "web"}, &inlet.Event{Type: inlet.TypeTrack, Name: "E", UserID: "u", MessageID: id, Properties: raw}))
		properties[id] = map[string]any{"text": string(text)}
	}
	return properties
}

// An SDK that asks for its settings is sent to nginx, not to the server behind it.
func TestNginxSettings(t *testing.T) {
	t.Parallel()
	proxy := startNginx(t, startServer(t).URL)
	response, err := http.Get(proxy + "/v1/projects/" + writeKey + "/settings")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), strings.TrimPrefix(proxy, "http://")+"/v1")
}

// The address that nginx adds is the client's, whatever the client says itself.
func TestNginxAddress(t *testing.T) {
	t.Parallel()
	requireProgram(t, "nginx")
	sink := new(sinks.Memory)
	h, err := inlet.New(sink, &inlet.Options{AllowAnonymous: true})
	require.NoError(t, err)
	seen := make(chan netip.Addr, 1)
	clientIP := middleware.ClientIP(&middleware.ClientIPOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	s := httptest.NewServer(clientIP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- inlet.ClientIP(r)
		h.ServeHTTP(w, r)
	})))
	t.Cleanup(s.Close)
	proxy, err := url.Parse(startNginx(t, s.URL))
	require.NoError(t, err)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := dialer.Dial("tcp", proxy.Host)
	if err != nil {
		t.Skipf("the machine has no 127.0.0.2: %v", err)
	}
	defer func() { _ = conn.Close() }()
	body := `{"event":"E","userId":"u"}`
	_, err = fmt.Fprintf(conn, "POST /v1/track HTTP/1.0\r\nHost: in.example\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.True(t, bytes.Contains(answer, []byte("200 OK")), "%s", answer)
	require.Equal(t, "127.0.0.2", (<-seen).String())
	require.Len(t, sink.Events(), 1)
}
