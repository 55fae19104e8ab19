package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain runs the tests, or a process of the fleet if this is one.
func TestMain(m *testing.M) {
	if role(os.Args[1:]) {
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The whole example, with a kill every second.
func TestCluster(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(t.Context(), config{duration: 4 * time.Second, rate: 400, kill: time.Second, down: 300 * time.Millisecond, seed: 3}, &out)
	require.NoError(t, err, &out)
	require.Contains(t, out.String(), "\n0 lost, 0 twice", &out)
	require.NotContains(t, out.String(), "\n0 events are acknowledged", &out)
	require.Contains(t, out.String(), " is killed\n", &out)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	clients := []*client{{number: 0, batches: 2}, {number: 1, batches: 1, open: true}}
	copies := map[string]int{}
	for _, c := range clients {
		for b := range c.batches {
			for e := range batchSize {
				copies[id(c.number, b, e)] = 1
			}
		}
	}
	v := compare(clients, copies)
	require.NoError(t, v.fault())
	require.Equal(t, 3*batchSize, v.acknowledged)
	require.Equal(t, 3*batchSize, v.stored)
	require.Zero(t, v.unanswered)

	copies[id(1, 1, 0)] = 1 // of the batch that no answer came to
	delete(copies, id(0, 1, 7))
	copies[id(0, 0, 3)]++
	v = compare(clients, copies)
	require.ErrorContains(t, v.fault(), "1 events are lost, such as [c0-1-7]; 1 are stored twice, such as [c0-0-3]")
	require.Equal(t, 1, v.unanswered)
	require.Equal(t, 3*batchSize+1, v.stored)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	v := &verdict{kills: []time.Time{at(10 * time.Second)}}
	outside, all := v.times([]answer{
		{at(0), at(time.Second)},
		{at(9 * time.Second), at(10*time.Second + time.Millisecond)}, // killed meanwhile
		{at(10*time.Second + failOver - 1), at(20 * time.Second)},
		{at(10*time.Second + failOver), at(10*time.Second + failOver + time.Millisecond)},
	})
	require.Len(t, all, 4)
	require.Equal(t, []time.Duration{time.Millisecond, time.Second}, outside)
	require.Equal(t, time.Second, percentile(outside, 100))
	require.Zero(t, percentile(nil, 99))
}

// A request goes to another node only if the first one has not answered at all.
func TestBalancer(t *testing.T) {
	t.Parallel()
	node := func(answer func(w http.ResponseWriter)) (b *backend, asked *atomic.Int32) {
		asked = new(atomic.Int32)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			answer(w)
		}))
		t.Cleanup(s.Close)
		return &backend{name: s.URL, host: strings.TrimPrefix(s.URL, "http://")}, asked
	}
	dies, dead := node(func(http.ResponseWriter) { panic(http.ErrAbortHandler) })
	fails, failures := node(func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
	away, asked := node(func(http.ResponseWriter) {})
	b := newBalancer([]*backend{away, dies, fails})
	t.Cleanup(b.transport.CloseIdleConnections)
	send := func() *httptest.ResponseRecorder {
		dies.ready.Store(true)
		w := httptest.NewRecorder()
		b.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://balancer.example/v1/batch", strings.NewReader("{}")))
		return w
	}
	require.Equal(t, http.StatusServiceUnavailable, send().Code, "none is ready but one, which dies")
	require.Positive(t, dead.Load())
	fails.ready.Store(true)
	for range 3 { // beginning with each
		w := send()
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.Equal(t, fails.name, w.Header().Get(nodeHeader))
	}
	require.EqualValues(t, 3, failures.Load(), "what it has answered is not asked again")
	require.Zero(t, asked.Load(), "it is not ready")

	large := httptest.NewRecorder()
	b.handler().ServeHTTP(large, httptest.NewRequest(http.MethodPost, "http://balancer.example/v1/import", strings.NewReader(strings.Repeat("x", maxBody+1))))
	require.Equal(t, http.StatusRequestEntityTooLarge, large.Code)
	require.EqualValues(t, 3, failures.Load(), "no node gets a part of it")
}
