//go:build rig && linux

package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/bench"
)

// An attacker is many connections to a server, until a time.
type attacker struct {
	address  string
	until    time.Time
	requests atomic.Int64
	statuses [600]atomic.Int64
	first    sync.Map // from a status to the first answer with it
}

// dial connects to the server. It returns nil once the time is over.
func (a *attacker) dial() net.Conn {
	for time.Now().Before(a.until) {
		conn, err := net.DialTimeout("tcp", a.address, time.Until(a.until))
		if err == nil {
			_ = conn.SetDeadline(a.until)
			return conn
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// attack runs do on n connections until the time is over. Whenever it returns, it gets a new
// connection.
func (a *attacker) attack(n int, do func(conn net.Conn)) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for conn := a.dial(); conn != nil; conn = a.dial() {
				do(conn)
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
}

// repeat sends the same request again and again, and reads the answers.
func (a *attacker) repeat(request []byte) func(net.Conn) {
	return func(conn net.Conn) {
		for answers := bufio.NewReader(conn); ; {
			a.requests.Add(1)
			_, sendErr := conn.Write(request) // the server may answer before it has read everything
			if !a.readAnswer(answers) || sendErr != nil {
				return
			}
		}
	}
}

// readAnswer reads an answer, and reports whether the connection can be used again.
func (a *attacker) readAnswer(answers *bufio.Reader) bool {
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		return false
	}
	if a.statuses[answer.StatusCode].Add(1) == 1 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		a.first.Store(answer.StatusCode, string(text))
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return err == nil && !answer.Close
}

// waiting sends the beginning of a request and waits until the server ends the connection.
func (a *attacker) waiting(request []byte) func(net.Conn) {
	return func(conn net.Conn) {
		a.requests.Add(1)
		if _, err := conn.Write(request); err != nil {
			return
		}
		for answers := bufio.NewReader(conn); a.readAnswer(answers); {
		}
	}
}

// unread sends the same request again and again, and reads nothing.
func (a *attacker) unread(request []byte) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		for {
			a.requests.Add(1)
			if _, err := conn.Write(request); err != nil {
				return
			}
		}
	}
}

// aborted sends all of a request but the last byte, and resets the connection.
func (a *attacker) aborted(request []byte) func(net.Conn) {
	return func(conn net.Conn) {
		a.requests.Add(1)
		_, _ = conn.Write(request[:len(request)-1])
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// outcomes returns how many answers had which status.
func (a *attacker) outcomes() string {
	var all []string
	for status := range a.statuses {
		if n := a.statuses[status].Load(); n > 0 {
			all = append(all, fmt.Sprintf("%d × %d", n, status))
		}
	}
	return strings.Join(all, ", ")
}

// A form is a request of HTTP/1, or one of HTTP/2 without TLS.
type form struct {
	method, path string // POST is the default
	key          bool
	header       []string // names and values in turn
	body         []byte
	announced    int // the Content-Length, if it is more than that of the body
}

func (f form) headers() []string {
	all := slices.Clone(f.header)
	if f.key {
		all = append(all, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(bench.WriteKey+":")))
	}
	if f.method == "" {
		all = append(all, "Content-Length", fmt.Sprint(max(f.announced, len(f.body))))
	}
	return all
}

// bytes returns the request as HTTP/1 sends it.
func (f form) bytes() []byte {
	method := f.method
	if method == "" {
		method = http.MethodPost
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: collect.example.com\r\n", method, f.path)
	for header := range slices.Chunk(f.headers(), 2) {
		fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
	}
	b.WriteString("\r\n")
	b.Write(f.body)
	return b.Bytes()
}

// What the healthy client does.
const (
	healthyAddress = "127.0.0.2"
	healthyRate    = 20 // requests per second
	patience       = 10 * time.Second
)

// A health is what happened to healthy requests.
type health struct {
	Sent     int
	Statuses map[int]int // 0: no answer
	P50, P99 time.Duration
	Worst    time.Duration
}

// stored is the part of the requests that were stored.
func (h *health) stored() float64 {
	return float64(h.Statuses[http.StatusOK]) / float64(max(1, h.Sent))
}

func (h *health) String() string {
	var all []string
	for _, status := range slices.Sorted(maps.Keys(h.Statuses)) {
		all = append(all, fmt.Sprintf("%d × %d", h.Statuses[status], status))
	}
	return strings.Join(all, ", ")
}

// healthy sends healthy requests for a time, in a process of its own with a higher priority,
// so that it does not wait for the attackers' processor time.
func healthy(t *testing.T, address string, long time.Duration) *health {
	t.Helper()
	cmd := exec.Command("nice", "-n", "-10", os.Args[0], address, long.String())
	cmd.Env = append(os.Environ(), role+"=healthy")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	h := new(health)
	require.NoError(t, json.Unmarshal(out, h))
	return h
}

// sendHealthy is the main function of the healthy client.
func sendHealthy(address, long string) error {
	duration, err := time.ParseDuration(long)
	if err != nil {
		return err
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(healthyAddress)}}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: from.DialContext, MaxIdleConnsPerHost: 4}}
	all := make([]struct {
		status int
		took   time.Duration
	}, int(duration.Seconds()*healthyRate))
	events := bench.Corpus{At: time.Now()}.Tracks()
	var wg sync.WaitGroup
	start := time.Now()
	for i := range all {
		due := start.Add(time.Duration(i) * time.Second / healthyRate)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			all[i].status = ask(client, address, events[i%len(events)])
			all[i].took = time.Since(due)
		})
	}
	wg.Wait()
	h := health{Sent: len(all), Statuses: map[int]int{}}
	var took []time.Duration
	for _, one := range all {
		h.Statuses[one.status]++
		took = append(took, one.took)
	}
	slices.Sort(took)
	h.P50, h.P99, h.Worst = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return json.NewEncoder(os.Stdout).Encode(h)
}

// ask sends an event and returns the status of the answer, or 0.
func ask(client *http.Client, address string, event []byte) int {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+"/v1/track", bytes.NewReader(event))
	if err != nil {
		return 0
	}
	r.SetBasicAuth(bench.WriteKey, "")
	answer, err := client.Do(r)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if errors.Join(err, answer.Body.Close()) != nil {
		return 0
	}
	return answer.StatusCode
}
