package interop

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// halfEmoji is what JavaScript sends where a text was cut inside an emoji.
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

			t.Run("every call arrives once and unchanged", func(t *testing.T) {
				t.Parallel()
				node, s := requireNode(t), startServer(t)
				calls := everyCall(awkward(t, nil))
				sendNode(t, node, driver, nodeJob{URL: s.URL, Calls: calls})
				requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
			})

			t.Run("300 events in many batches arrive once each", func(t *testing.T) {
				t.Parallel()
				node, s := requireNode(t), startServer(t)
				calls := manyTracks(300)
				sendNode(t, node, driver, nodeJob{URL: s.URL, FlushAt: 15, Calls: calls})
				requireUnchanged(t, calls, requireExactlyOnce(t, calls, s.stop(t)))
			})

			t.Run("half an emoji is repaired and does not cost the event", func(t *testing.T) {
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
}

func TestSegmentNodeLosesNothingToARateLimit(t *testing.T) {
	t.Parallel()
	node, s := requireNode(t), startServer(t, "-rate", "5")
	calls := manyTracks(20)
	sendNode(t, node, "segment.mjs", nodeJob{URL: s.URL, FlushAt: 1, Calls: calls})
	requireExactlyOnce(t, calls, s.stop(t))
}

// jitsuKey has the form that the SDK insists on. Its body holds it masked.
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

// A nodeJob is what the drivers of testdata/node read; see calls.mjs there.
type nodeJob struct {
	URL      string `json:"url"`
	WriteKey string `json:"writeKey"`
	FlushAt  int    `json:"flushAt,omitempty"`
	Calls    []call `json:"calls"`
}

// sendNode makes the calls with an SDK and requires that it reports success for
// each.
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
