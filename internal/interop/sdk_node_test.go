package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// halfEmoji is what JavaScript sends where a text was cut inside an emoji.
var halfEmoji = map[string]any{"half": json.RawMessage(`"\ud83d"`)}

func TestSegmentNode(t *testing.T) {
	t.Parallel()

	t.Run("every call arrives once and unchanged", func(t *testing.T) {
		t.Parallel()
		node, s := requireNode(t), startServer(t)
		calls := everyCall(awkward(t, nil))
		sendNode(t, node, map[string]any{"host": s.URL, "writeKey": writeKey, "calls": calls})
		events := requireExactlyOnce(t, calls, s.stop(t))
		for _, c := range calls {
			event := events[c.MessageID]
			requireEqual(t, c, event)
			require.NotContains(t, event, "warnings")
			if c.Content != nil {
				require.Equal(t, c.Content, event[c.contentMember()])
			}
		}
	})

	t.Run("300 events in many batches arrive once each", func(t *testing.T) {
		t.Parallel()
		node, s := requireNode(t), startServer(t)
		calls := manyTracks(300)
		sendNode(t, node, map[string]any{"host": s.URL, "writeKey": writeKey, "flushAt": 15, "calls": calls})
		events := requireExactlyOnce(t, calls, s.stop(t))
		for _, c := range calls {
			requireEqual(t, c, events[c.MessageID])
		}
	})

	t.Run("half an emoji is repaired and does not cost the event", func(t *testing.T) {
		t.Parallel()
		node, s := requireNode(t), startServer(t)
		calls := manyTracks(1)
		calls[0].Content = halfEmoji
		sendNode(t, node, map[string]any{"host": s.URL, "writeKey": writeKey, "calls": calls})
		event := requireExactlyOnce(t, calls, s.stop(t))[calls[0].MessageID]
		require.Equal(t, map[string]any{"half": "\ufffd"}, event["properties"])
		require.Equal(t, []any{"text_repaired"}, event["warnings"])
	})
}

// A nodeReport is what testdata/node/server.mjs says the SDK reported.
type nodeReport struct {
	Version   string   `json:"version"`
	Delivered int      `json:"delivered"`
	Failed    []string `json:"failed"`
	Errors    []string `json:"errors"`
}

// sendNode makes the calls with the SDK and requires that it reports success
// for each.
func sendNode(t *testing.T, node string, job map[string]any) {
	t.Helper()
	report := runNode[nodeReport](t, node, "server.mjs", job)
	require.Empty(t, report.Failed)
	require.Empty(t, report.Errors)
	require.Equal(t, len(job["calls"].([]call)), report.Delivered)
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
