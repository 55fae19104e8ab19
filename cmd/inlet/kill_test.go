//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A kill shows that no event is acknowledged before it has left the process. It cannot show what
// a power cut loses: for that see the tests of the journal.
func TestKill(t *testing.T) {
	t.Parallel()
	dir, l := t.TempDir(), &load{sent: map[string]*fate{}}
	for round := range 3 {
		p := start(t, dir, "-log-level", "error")
		l.resend(t, p)
		before := l.acknowledged()
		l.run(t, p, round, time.Second, 100)
		require.Greater(t, l.acknowledged(), before+100, "too little load to show anything")
	}
	p := start(t, dir, "-log-level", "error")
	l.resend(t, p)
	p.stop(t)
	l.check(t, events(t, dir))
}

// load is what clients have sent, and what was acknowledged.
type load struct {
	mu   sync.Mutex
	sent map[string]*fate // by messageId
}

// fate is what happened to one event. A client without an answer retries.
type fate struct{ acked, resent bool }

// run sends events from several clients, and kills the server amid their requests: after d, or
// later if no more than enough were acknowledged by then.
func (l *load) run(t *testing.T, p *process, round int, d time.Duration, enough int64) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	var acknowledged atomic.Int64
	began := time.Now()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for i := 0; l.send(client, p, fmt.Sprintf("round%d-client%d-%d", round, n, i)); i++ {
				if acknowledged.Add(1) > enough && time.Since(began) >= d {
					p.kill()
				}
			}
		})
	}
	clients.Wait()
}

// send sends an event and reports whether it was acknowledged.
func (l *load) send(client *http.Client, p *process, id string) bool {
	f := l.fate(id)
	body := fmt.Sprintf(`{"event":"E","userId":"u","messageId":%q,"properties":{"pad":%q}}`, id, strings.Repeat("x", 200))
	r, err := http.NewRequest(http.MethodPost, p.url+"/v1/track", strings.NewReader(body))
	if err != nil {
		return false
	}
	r.SetBasicAuth(p.key, "")
	response, err := client.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // SDKs use the status only
	l.mu.Lock()
	defer l.mu.Unlock()
	f.acked = response.StatusCode == http.StatusOK
	return f.acked
}

func (l *load) fate(id string) *fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent[id] == nil {
		l.sent[id] = new(fate)
	}
	return l.sent[id]
}

// resend retries what was not acknowledged, as SDKs do.
func (l *load) resend(t *testing.T, p *process) {
	t.Helper()
	for id, f := range l.sent {
		if !f.acked {
			f.resent = true
			require.True(t, l.send(http.DefaultClient, p, id), "a restarted server accepts %s", id)
		}
	}
}

func (l *load) acknowledged() (n int) {
	for _, f := range l.sent {
		if f.acked {
			n++
		}
	}
	return n
}

// check requires that every event is stored exactly once, although clients retried what a server
// had not acknowledged before it was killed: the next server knows what the journal has.
func (l *load) check(t *testing.T, all []stored) {
	t.Helper()
	times := map[string]int{}
	for _, e := range all {
		require.NotNil(t, l.sent[e.MessageID], "%s was not sent", e.MessageID)
		times[e.MessageID]++
	}
	resent := 0
	for id, f := range l.sent {
		if f.resent {
			resent++
		}
		require.True(t, f.acked)
		require.Equal(t, 1, times[id], "%s was acknowledged", id)
	}
	t.Logf("%d events acknowledged over 3 kills, %d of them after a resend", len(l.sent), resent)
}
