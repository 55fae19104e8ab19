//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/internal/testkit"
)

const event = `{"event":"E","userId":"u"}`

// startWith starts a server with variables of the environment.
func startWith(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{log: new(bytes.Buffer)}
	p.cmd = exec.Command(binary, append([]string{"serve", "-addr", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(append(os.Environ(), "INLET_DIR="+dir), env...)
	p.begin(t)
	return p
}

func TestVariables(t *testing.T) {
	t.Parallel()
	t.Run("they set flags that are not given", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p := startWith(t, dir, []string{"INLET_KEY=one two", "INLET_LOG_LEVEL=warn", "INLET_ADDR=not an address"})
		for _, key := range []string{"one", "two"} {
			p.key = key
			status, _ := p.post(t, "/v1/track", event)
			require.Equal(t, 200, status)
		}
		p.stop(t)
		require.Empty(t, p.log.String())
		require.Len(t, events(t, dir), 2)
	})
	t.Run("a flag wins", func(t *testing.T) {
		t.Parallel()
		p := startWith(t, t.TempDir(), []string{"INLET_KEY=one"}, "-key", "two")
		p.key = "one"
		status, _ := p.post(t, "/v1/track", event)
		require.Equal(t, 401, status)
	})
	t.Run("a wrong value is said by the variable's name", func(t *testing.T) {
		t.Parallel()
		cmd := exec.Command(binary, "serve", "-dir", t.TempDir())
		cmd.Env = append(os.Environ(), "INLET_RETAIN_SIZE=much")
		out, err := cmd.CombinedOutput()
		require.Equal(t, statusUsage, exitCode(err))
		require.Contains(t, string(out), "invalid value of INLET_RETAIN_SIZE: must be a whole number")
	})
}

func TestWrongValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		env  string
		want string
	}{
		{[]string{"tail", "-type", "trak"}, "", `invalid value "trak" for flag -type: must be track, page, screen, identify, group or alias`},
		{[]string{"tail", "-n", "ten"}, "", `invalid value "ten" for flag -n: must be a whole number`},
		{[]string{"tail", "-json=maybe"}, "", `invalid boolean value "maybe" for -json: must be true or false`},
		{[]string{"tail", "-from", "-x"}, "", `invalid value "-x" for flag -from: must be a number such as 4711`},
		{[]string{"serve", "-stop-delay", "5"}, "", `invalid value "5" for flag -stop-delay: must be a duration such as 90s`},
		{[]string{"replay", "-rate", "fast"}, "", `invalid value "fast" for flag -rate: must be a number`},
		{[]string{"serve"}, "INLET_LOG_JSON=maybe", "invalid value of INLET_LOG_JSON: must be true or false"},
		{[]string{"serve"}, "INLET_STOP_DELAY=5", "invalid value of INLET_STOP_DELAY: must be a duration such as 90s"},
		{[]string{"fake"}, "INLET_KEEP=many", "invalid value of INLET_KEEP: must be a whole number"},
	} {
		t.Run(strings.Join(append(tt.args, tt.env), " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, tt.args...)
			cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), tt.env)
			out, err := cmd.CombinedOutput()
			require.Equal(t, statusUsage, exitCode(err))
			require.Contains(t, string(out), tt.want)
			require.NotContains(t, string(out), "parse error")
		})
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "keys.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"keys":[{"key":"k","source":"shop"}]}`), 0o600))
	p := startWith(t, filepath.Join(dir, "data"), nil, "-keys", file)
	require.Contains(t, p.curl, "WRITE-KEY")
	p.key = "k"
	status, _ := p.post(t, "/v1/track", event)
	require.Equal(t, 200, status)
	require.Equal(t, "shop", events(t, filepath.Join(dir, "data"))[0].SourceID)
	require.NoFileExists(t, filepath.Join(dir, "data", server.KeyName))
}

var inspectorLine = regexp.MustCompile(`inlet: inspector" url=(\S+)`)

// logged waits for a line of the log, which comes by another way than the greeting.
func logged(t *testing.T, log fmt.Stringer, line *regexp.Regexp) (found []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		found = line.FindStringSubmatch(log.String())
		return found != nil
	}, 2*time.Minute, time.Millisecond)
	return found
}

func TestInspector(t *testing.T) {
	t.Parallel()
	log := new(testkit.Log)
	p := &process{log: new(bytes.Buffer)}
	p.cmd = exec.Command(binary, "serve", "-addr", "127.0.0.1:0", "-dir", t.TempDir(), "-key", "secret-key", "-inspector", ":0")
	p.logTo = log
	p.begin(t)
	p.key = "secret-key"
	url := logged(t, log, inspectorLine)
	page, status := get(t, url[1]+"/")
	require.Equal(t, 200, status)
	require.Contains(t, page, "<title>Inlet inspector</title>")
	require.NotContains(t, page, `data-token=""`, "the buttons work here")
	require.Contains(t, page, `data-api="`+p.url+`"`, "events are sent to another port")

	stream, err := http.Get(url[1] + "/stream")
	require.NoError(t, err)
	defer stream.Body.Close()
	p.post(t, "/v1/track", event)
	p.post(t, "/v1/track", `{"event":"E"}`)
	var kinds []string
	for lines := bufio.NewScanner(stream.Body); len(kinds) < 2 && lines.Scan(); {
		if row, ok := strings.CutPrefix(lines.Text(), "data: {\"id\""); ok {
			kinds = append(kinds, regexp.MustCompile(`"kind":"(\w+)"`).FindStringSubmatch(row)[1])
			require.NotContains(t, row, "secret-key")
		}
	}
	require.Equal(t, []string{"accepted", "refused"}, kinds)

	r, err := http.NewRequest(http.MethodGet, url[1]+"/", nil)
	require.NoError(t, err)
	r.Host = "attacker.example"
	refused, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_ = refused.Body.Close()
	require.Equal(t, 403, refused.StatusCode)
	p.stop(t)

	out, err := exec.Command(binary, "serve", "-dir", t.TempDir(), "-inspector", "0.0.0.0:8082").CombinedOutput()
	require.Equal(t, statusUsage, exitCode(err))
	require.Contains(t, string(out), "must be of the loopback interface, such as :8082 or 127.0.0.1:8082")
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		flags  []string
		status int
	}{
		{"not by default", nil, 401},
		{"with the flag", []string{"-openapi"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := startWith(t, t.TempDir(), nil, tt.flags...)
			description, status := get(t, p.url+"/openapi.json")
			require.Equal(t, tt.status, status)
			require.Equal(t, tt.status == 200, strings.Contains(description, `"servers": [{"url": "`+p.url+`"`))
		})
	}
}

var metricsLine = regexp.MustCompile(`metrics at /debug/vars" addr=(\S+)`)

func TestMetrics(t *testing.T) {
	t.Parallel()
	log := new(testkit.Log)
	p := &process{log: new(bytes.Buffer)}
	p.cmd = exec.Command(binary, "serve", "-addr", "127.0.0.1:0", "-dir", t.TempDir(), "-key", "secret-key", "-metrics", ":0")
	p.logTo = log
	p.begin(t)
	p.key = "secret-key"
	p.post(t, "/v1/track", event)
	p.post(t, "/v1/track", `{"event":"E"}`)
	p.key = "wrong"
	p.post(t, "/v1/track", event)
	addr := logged(t, log, metricsLine)
	host, _, err := net.SplitHostPort(addr[1])
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	var got struct {
		Requests, Refusals map[string]int
		Accepted           int `json:"events_accepted"`
		Rejected           int `json:"events_rejected"`
		Journal            struct{ Events int }
	}
	// A request is counted after it was answered.
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + addr[1] + "/debug/vars")
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NotContains(t, string(body), "secret-key")
		got.Requests = nil
		require.NoError(t, json.Unmarshal(body, &got))
		return got.Requests["200"]+got.Requests["400"]+got.Requests["401"] == 3
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, map[string]int{"200": 1, "400": 1, "401": 1}, got.Requests)
	require.Equal(t, 1, got.Refusals["unknown_key"])
	require.Equal(t, 1, got.Accepted)
	require.Equal(t, 1, got.Rejected)
	require.Equal(t, 1, got.Journal.Events)
	_, status := get(t, p.url+"/debug/vars")
	require.NotEqual(t, 200, status, "metrics at the address of the API")
}

func get(t *testing.T, url string) (body string, status int) {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text), answer.StatusCode
}

// The certificate is read again when it changes; a file that is no certificate changes nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate(t, 1, cert, key)
	p := startWith(t, filepath.Join(dir, "data"), nil, "-tls-cert", cert, "-tls-key", key)
	require.Regexp(t, "^https://", p.url)
	serial := func() int64 {
		c, err := tls.Dial("tcp", p.url[len("https://"):], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		require.Equal(t, "h2", c.ConnectionState().NegotiatedProtocol)
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	require.Equal(t, int64(1), serial())
	require.NoError(t, os.WriteFile(cert, []byte("no certificate"), 0o600))
	require.Equal(t, int64(1), serial())
	certificate(t, 2, cert, key)
	require.Eventually(t, func() bool { return serial() == 2 }, 30*time.Second, 50*time.Millisecond)
	p.stop(t)

	out, err := exec.Command(binary, "serve", "-dir", t.TempDir(), "-tls-cert", cert, "-tls-key", cert).CombinedOutput()
	require.Equal(t, statusFailed, exitCode(err), "%s", out)
}

// certificate writes a new certificate of the loopback interface.
func certificate(t *testing.T, serial int64, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
}

// A destination gets the events, its lag is in stats, and what it refuses becomes a dead letter.
func TestDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startWith(t, w.dir, []string{"INLET_KEY_BACKUP=receiver-key"}, "-to", "backup="+w.receiver)
	p.post(t, "/v1/track", event)
	require.Len(t, w.received.Wait(t, 25), 25)
	p.stop(t)
	require.Contains(t, w.succeed(t, "stats"), "destination\tbackup\tposition\t25\tbehind\t0\tdead letters\t0\n")
	require.NotContains(t, p.log.String(), "receiver-key")
}

// Refused events are kept with the reason, unless that is not wanted.
func TestRejects(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		dir := t.TempDir()
		p := start(t, dir, fmt.Sprintf("-no-rejects=%t", !kept))
		status, _ := p.post(t, "/v1/track", `{"event":"E"}`)
		require.Equal(t, 400, status)
		p.stop(t)
		if !kept {
			require.NoDirExists(t, filepath.Join(dir, server.RejectsDir))
			continue
		}
		require.Len(t, events(t, filepath.Join(dir, server.RejectsDir)), 1)
	}
}
