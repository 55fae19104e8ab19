//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/bench"
	"github.com/inlet-go/inlet/internal/testkit"
)

// TestMain serves in a process that a test has started as a server.
func TestMain(m *testing.M) {
	if serveIfAsked() {
		return
	}
	testkit.Main(m)
}

// Each server keeps single events and batches, and has all of them in its files after its end.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for _, l := range loads() {
				f := p.requests()
				requests, err := requestsOf(f, l.path(f), l.bodies[:2])
				require.NoError(t, err)
				s, err := startServer(p, t.TempDir())
				require.NoError(t, err)
				c := contender{server: s}
				c.client, err = dial(s.port, 2, requests)
				require.NoError(t, err)
				require.NoError(t, c.client.send(100/l.events))
				require.Len(t, c.client.acked, 100)
				_, err = s.used()
				require.NoError(t, err)
				require.NoError(t, c.end(p))
			}
		})
	}
}

// What was acknowledged and flushed survives a kill; what is torn does not count.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, p := range peers() {
		if p.means != "on the disk" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l := loads()[0]
			requests, err := requestsOf(segment, l.path(segment), l.bodies)
			require.NoError(t, err)
			s, err := startServer(p, t.TempDir())
			require.NoError(t, err)
			c := contender{server: s}
			c.client, err = dial(s.port, 4, requests)
			require.NoError(t, err)
			require.NoError(t, c.client.sendUntilKilled(20, s.kill))
			require.GreaterOrEqual(t, len(c.client.acked), 20)
			require.NoError(t, c.client.close())
			require.NoError(t, c.count(p, 0))
		})
	}
}

// A reader that finds nothing would not notice what is lost.
func TestMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := newFlushed(dir)
	require.NoError(t, err)
	line := `{"messageId":"ajs-next-00000000-0000-4000-8000-000000000001"}`
	require.NoError(t, s.Add([]byte(line+"\n"+line[:20])))
	require.NoError(t, s.Close())
	c := contender{server: &server{dir: dir}, client: &client{sent: 2, acked: map[int]bool{0: true, 1: true}}}
	n, err := c.missing(peers()[0])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorContains(t, c.count(peers()[0], 0), "1 of 2 events are missing")
	require.NoDirExists(t, dir)
	require.NoError(t, os.Mkdir(dir, 0o700)) // which t.TempDir removes
}

// All servers refuse what is not JSON, and an event without a user. Those that know the key refuse
// others.
func TestRefusals(t *testing.T) {
	t.Parallel()
	anonymous := `{"type":"track","event":"E","messageId":"m"}`
	for _, p := range peers() {
		if p.form != nil {
			continue // it accepts any text
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, err := startServer(p, t.TempDir())
			require.NoError(t, err)
			require.NotEqual(t, 200, post(t, s, segment.single, bench.WriteKey, `{"type":"track",`))
			require.NotEqual(t, 200, post(t, s, segment.single, bench.WriteKey, anonymous))
			require.NotEqual(t, 200, post(t, s, segment.batch, bench.WriteKey, `{"batch":[`+anonymous+`]}`))
			if !p.keyless {
				require.Equal(t, 401, post(t, s, segment.single, "another", `{"type":"track","event":"E","userId":"u","messageId":"m"}`))
			}
			require.NoError(t, s.end())
			require.NoError(t, p.kept(s.dir, func(string) { t.Error("something was kept") }))
		})
	}
}

func post(t *testing.T, s *server, path, key, body string) (status int) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path), strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth(key, "")
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}
