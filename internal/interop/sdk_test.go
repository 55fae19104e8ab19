package interop

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	analytics "gopkg.in/segmentio/analytics-go.v3"
)

// exactNumbers are literals that a float64 cannot represent, or not in the same form.
var exactNumbers = map[string]any{"numbers": []any{
	json.Number("12345678901234567890"), json.Number("-9007199254740993"), json.Number("0.10"),
	json.Number("-0"), json.Number("1E5"), json.Number("1e400"), json.Number("3.14159265358979323846264338327950288"),
}}

func TestSegmentGo(t *testing.T) {
	t.Parallel()

	t.Run("every call, with numbers beyond 2^53", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		calls := everyCall(awkward(t, exactNumbers))
		sendGo(t, s.URL, 0, calls)
		requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
	})

	t.Run("600 events in many batches", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		calls := manyTracks(600)
		sendGo(t, s.URL, 25, calls)
		requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
	})

	t.Run("endpoint with a trailing slash", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		calls := manyTracks(3)
		sendGo(t, s.URL+"/", 0, calls)
		requireExactlyOnce(t, calls, s.stop(t))
	})
}

// sendGo makes the calls with the SDK and requires that it reports success for each. A
// batchSize of 0 is the SDK's default.
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

// A goOutcome counts the outcomes that the SDK reports.
type goOutcome struct{ succeeded, failed atomic.Int64 }

func (o *goOutcome) Success(analytics.Message) { o.succeeded.Add(1) }

func (o *goOutcome) Failure(analytics.Message, error) { o.failed.Add(1) }

// A goLogger writes the SDK's log to that of the test.
type goLogger struct{ t *testing.T }

func (l goLogger) Logf(format string, args ...any) { l.t.Logf(format, args...) }

func (l goLogger) Errorf(format string, args ...any) { l.t.Logf("SDK error: "+format, args...) }

// halfEmoji is what JavaScript sends for a text that was truncated inside an emoji: an
// unpaired surrogate.
var halfEmoji = map[string]any{"half": json.RawMessage(`"\ud83d"`)}

// nodeSDKs are the drivers of the SDKs for node that send batches.
var nodeSDKs = map[string]string{
	"@segment/analytics-node":      "segment.mjs",
	"analytics-node":               "legacy.mjs",
	"@rudderstack/rudder-sdk-node": "rudder.mjs",
}

func TestNodeSDKs(t *testing.T) {
	t.Parallel()
	for name, driver := range nodeSDKs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			t.Run("every call", func(t *testing.T) {
				t.Parallel()
				node, s := requireNode(t), startServer(t)
				calls := everyCall(awkward(t, nil))
				sendNode(t, node, driver, nodeJob{URL: s.URL, Calls: calls})
				requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
			})

			t.Run("300 events in many batches", func(t *testing.T) {
				t.Parallel()
				node, s := requireNode(t), startServer(t)
				calls := manyTracks(300)
				sendNode(t, node, driver, nodeJob{URL: s.URL, FlushAt: 15, Calls: calls})
				requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
			})

			t.Run("half an emoji is repaired", func(t *testing.T) {
				t.Parallel()
				node, s := requireNode(t), startServer(t)
				calls := manyTracks(1)
				calls[0].Content = halfEmoji
				sendNode(t, node, driver, nodeJob{URL: s.URL, Calls: calls})
				event := requireExactlyOnce(t, calls, s.stop(t))[calls[0].MessageID]
				require.Equal(t, map[string]any{"half": "\ufffd"}, event["properties"])
				require.Equal(t, []any{"text_repaired"}, event["warnings"])
			})
		})
	}

	t.Run("rate limit", func(t *testing.T) {
		t.Parallel()
		node, s := requireNode(t), startServer(t, "-rate", "5")
		calls := manyTracks(20)
		sendNode(t, node, "segment.mjs", nodeJob{URL: s.URL, FlushAt: 1, Calls: calls})
		requireExactlyOnce(t, calls, s.stop(t))
	})
}

// jitsuKey has the form that the SDK requires. The body contains it masked.
const jitsuKey = "JitsuKey:secret4711"

func TestJitsu(t *testing.T) {
	t.Parallel()
	node, s := requireNode(t), startServer(t, "-key", jitsuKey)
	var calls []call
	for _, c := range everyCall(awkward(t, nil)) {
		if c.Type != "screen" && c.Type != "alias" { // calls that the SDK does not have
			calls = append(calls, c)
		}
	}
	sendNode(t, node, "jitsu.mjs", nodeJob{URL: s.URL, WriteKey: jitsuKey, Calls: calls})

	lines := s.stop(t)
	require.Len(t, lines, len(calls), "every call arrives once")
	for i, c := range calls {
		require.Equal(t, c.Type, lines[i]["type"])
		require.Equal(t, c.UserID, lines[i]["userId"])
		requireMembers(t, c.Content, lines[i][c.contentMember()])
	}
}

// A nodeJob is the input of the drivers in testdata/node; see calls.mjs there.
type nodeJob struct {
	URL      string `json:"url"`
	WriteKey string `json:"writeKey"`
	FlushAt  int    `json:"flushAt,omitempty"`
	Calls    []call `json:"calls"`
}

// sendNode makes the calls with an SDK and requires that it reports success for each.
func sendNode(t *testing.T, node, driver string, job nodeJob) {
	t.Helper()
	job.WriteKey = cmp.Or(job.WriteKey, writeKey)
	report := runNode[struct {
		Delivered      int
		Failed, Errors []string
	}](t, node, driver, job)
	require.Empty(t, report.Failed)
	require.Empty(t, report.Errors)
	require.Equal(t, len(job.Calls), report.Delivered)
}

// runNode runs a driver with job as its standard input and returns the report
// that it prints.
func runNode[T any](t *testing.T, node, script string, job any) (report T) {
	t.Helper()
	input, err := json.Marshal(job)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir, cmd.Stdin = nodeDir, bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	require.NoError(t, err, "%s: %s", script, &stderr)
	require.NoError(t, json.Unmarshal(output, &report), "%s printed %q", script, output)
	return report
}
