package interop

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	analytics "gopkg.in/segmentio/analytics-go.v3"
)

// exactNumbers are literals that a float64 does not hold, or not so.
var exactNumbers = map[string]any{"numbers": []any{
	json.Number("12345678901234567890"), json.Number("-9007199254740993"), json.Number("0.10"),
	json.Number("-0"), json.Number("1E5"), json.Number("1e400"), json.Number("3.14159265358979323846264338327950288"),
}}

func TestSegmentGo(t *testing.T) {
	t.Parallel()

	t.Run("every call arrives once and unchanged, numbers beyond 2^53 too", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		calls := everyCall(awkward(t, exactNumbers))
		sendGo(t, s.URL, 0, calls)
		requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
	})

	t.Run("600 events in many batches arrive once each", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		calls := manyTracks(600)
		sendGo(t, s.URL, 25, calls)
		requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
	})

	t.Run("an endpoint with a trailing slash works without a redirect", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		calls := manyTracks(3)
		sendGo(t, s.URL+"/", 0, calls)
		requireExactlyOnce(t, calls, s.stop(t))
	})
}

// sendGo makes the calls with the SDK and requires that it reports success for
// each. A batchSize of 0 is the SDK's own.
func sendGo(t *testing.T, endpoint string, batchSize int, calls []call) {
	t.Helper()
	var outcome goOutcome
	client, err := analytics.NewWithConfig(writeKey, analytics.Config{
		Endpoint: endpoint, BatchSize: batchSize, Callback: &outcome, Logger: goLogger{t},
		RetryAfter: func(int) time.Duration { return 50 * time.Millisecond },
	})
	require.NoError(t, err)
	for _, c := range calls {
		require.NoError(t, client.Enqueue(goMessage(c)))
	}
	require.NoError(t, client.Close())
	require.EqualValues(t, len(calls), outcome.succeeded.Load())
	require.Zero(t, outcome.failed.Load())
}

func goMessage(c call) analytics.Message {
	ctx := &analytics.Context{Extra: c.Context}
	switch c.Type {
	case "identify":
		return analytics.Identify{MessageId: c.MessageID, UserId: c.UserID, AnonymousId: c.AnonymousID,
			Timestamp: c.Timestamp, Traits: c.Content, Context: ctx}
	case "group":
		return analytics.Group{MessageId: c.MessageID, UserId: c.UserID, AnonymousId: c.AnonymousID,
			GroupId: c.GroupID, Timestamp: c.Timestamp, Traits: c.Content, Context: ctx}
	case "page":
		return analytics.Page{MessageId: c.MessageID, UserId: c.UserID, AnonymousId: c.AnonymousID,
			Name: c.Name, Timestamp: c.Timestamp, Properties: c.Content, Context: ctx}
	case "screen":
		return analytics.Screen{MessageId: c.MessageID, UserId: c.UserID, AnonymousId: c.AnonymousID,
			Name: c.Name, Timestamp: c.Timestamp, Properties: c.Content, Context: ctx}
	case "alias":
		return analytics.Alias{MessageId: c.MessageID, UserId: c.UserID, PreviousId: c.PreviousID,
			Timestamp: c.Timestamp, Context: ctx}
	}
	return analytics.Track{MessageId: c.MessageID, UserId: c.UserID, AnonymousId: c.AnonymousID,
		Event: c.Name, Timestamp: c.Timestamp, Properties: c.Content, Context: ctx}
}

// A goOutcome counts what the SDK says became of its messages.
type goOutcome struct{ succeeded, failed atomic.Int64 }

func (o *goOutcome) Success(analytics.Message)        { o.succeeded.Add(1) }
func (o *goOutcome) Failure(analytics.Message, error) { o.failed.Add(1) }

// A goLogger shows the SDK's own words when a test fails.
type goLogger struct{ t *testing.T }

func (l goLogger) Logf(format string, args ...any)   { l.t.Logf(format, args...) }
func (l goLogger) Errorf(format string, args ...any) { l.t.Logf("SDK error: "+format, args...) }
