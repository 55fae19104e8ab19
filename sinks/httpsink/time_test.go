package httpsink_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// clocks are by how much a client's clock is ahead of ours.
var clocks = []time.Duration{-time.Hour, -2 * time.Second, 0, 2 * time.Second, 90 * time.Second, 23 * time.Hour, 48 * time.Hour}

func TestTheTimeOfAnEventIsCorrectedOnce(t *testing.T) {
	t.Parallel()
	for _, ahead := range clocks {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			far := newReceiver(t, nil, nil)
			near := new(sinks.Memory)
			forward := newSink(t, far.url, nil)
			first := newReceiver(t, nil, func(inlet.Sink) inlet.Sink { return inlet.SinkFunc(both(near, forward)) })

			now := time.Now().Add(ahead)
			body := `{"batch":[` +
				`{"type":"track","event":"Now","userId":"u","messageId":"m1","timestamp":"` + format(now) + `"},` +
				`{"type":"track","event":"Earlier","userId":"u","messageId":"m2","timestamp":"` + format(now.Add(-time.Hour)) + `"},` +
				`{"type":"track","event":"Offline","userId":"u","messageId":"m3","originalTimestamp":"` + format(now.Add(-time.Minute)) + `"}` +
				`],"sentAt":"` + format(now) + `"}`
			post(t, first.url+"/v1/batch", body)

			require.Len(t, near.Events(), 3)
			for i, want := range near.Events() {
				got := far.Events()[i]
				require.Equal(t, want.MessageID, got.MessageID)
				require.WithinDuration(t, want.Timestamp, got.Timestamp, 0)
				require.Zero(t, got.Extra)
			}
		})
	}
}

// both writes to a memory and then to another sink.
func both(first *sinks.Memory, second inlet.Sink) func(context.Context, []*inlet.Event) error {
	return func(ctx context.Context, events []*inlet.Event) error {
		if err := first.Write(ctx, events); err != nil {
			return err
		}
		return second.Write(ctx, events)
	}
}

func format(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func post(t testing.TB, url, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth(writeKey, "")
	response, err := new(http.Client).Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestSegmentsFormulaLeavesTheTimeOfAnEvent(t *testing.T) {
	t.Parallel()
	batch := sinktest.Events(20)
	s := newOffline(t, func(r *http.Request) (*http.Response, error) {
		receivedAt := time.Now()
		var envelope struct {
			SentAt time.Time
			Batch  []struct{ Timestamp, OriginalTimestamp, SentAt, ReceivedAt time.Time }
		}
		require.NoError(t, json.Unmarshal([]byte(bodyOf(t, r)), &envelope))
		for i, e := range envelope.Batch {
			require.Zero(t, e.OriginalTimestamp)
			require.Zero(t, e.SentAt)
			require.Zero(t, e.ReceivedAt)
			corrected := receivedAt.Add(-envelope.SentAt.Sub(e.Timestamp))
			require.WithinDuration(t, batch[i].Timestamp, corrected, 3*time.Second)
		}
		return success(), nil
	}, nil)
	require.NoError(t, s.Write(t.Context(), batch))
}

func TestEveryAttemptSaysWhenItWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where time begins in 2000
		var bodies, keys []string
		s := newOffline(t, func(r *http.Request) (*http.Response, error) {
			bodies, keys = append(bodies, bodyOf(t, r)), append(keys, r.Header.Get("Idempotency-Key"))
			return respond(503, ""), nil
		}, nil)
		for range 2 {
			require.Error(t, s.Write(t.Context(), events("a")))
			time.Sleep(90 * time.Second)
		}
		require.Contains(t, bodies[0], `"sentAt":"2000-01-01T00:00:00.000Z"`)
		require.Contains(t, bodies[1], `"sentAt":"2000-01-01T00:01:30.000Z"`)
		require.Equal(t, keys[0], keys[1])
	})
}
