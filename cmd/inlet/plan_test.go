//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks/journal"
)

// shopPlan is a plan that sets aside what has no total, and rejects what it does not know.
func shopPlan(version, required string) string {
	return fmt.Sprintf(`{"name":"shop","version":%q,"modes":{"required":"quarantine","unplanned_event":"reject"},"rules":[
		{"type":"track","event":"Order Completed","schema":{"properties":{"properties":{"required":[%s]}}}}]}`, version, required)
}

func saveFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// withPlan puts next to the directory what the documented commands about plans need: plans that
// its events follow, and something in quarantine.
func (w *world) withPlan(t *testing.T) {
	t.Helper()
	text := w.succeed(t, "plan", "infer")
	for _, name := range []string{"plan.json", "old.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(w.dir), name), []byte(text), 0o600))
	}
	w.quarantine(t, "Order Completed")
}

// quarantine stores events without properties as a plan quarantines them.
func (w *world) quarantine(t *testing.T, names ...string) {
	t.Helper()
	p, err := plan.Load(strings.NewReader(shopPlan("1", `"total"`)), nil)
	require.NoError(t, err)
	judge := p.Judge(nil)
	aside, err := journal.Open(filepath.Join(w.dir, server.ViolationsDir), nil)
	require.NoError(t, err)
	q, err := judge.Quarantine(inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }), aside)
	require.NoError(t, err)
	var events []*inlet.Event
	for i, name := range names {
		events = append(events, &inlet.Event{
			Type: inlet.TypeTrack, Name: name, MessageID: fmt.Sprint("q", i+1), UserID: "user-9",
			Timestamp: received0, ReceivedAt: received0, Source: &inlet.Source{ID: "web"}, Properties: []byte(`{"coupon":"X"}`),
		})
	}
	require.NoError(t, q.Write(context.Background(), events))
	require.NoError(t, aside.Close(context.Background()))
}

// facts returns the lines of which the first column is a name.
func facts(text string) map[string]string {
	all := map[string]string{}
	for _, row := range cells(text) {
		all[row[0]] = strings.Join(row[1:], " ")
	}
	return all
}

// A server with a plan quarantines and rejects; a replay stores what a new plan lets pass, once.
func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := saveFile(t, "plan.json", shopPlan("1", `"total"`))
	p := start(t, w.dir, "-plan", path)
	send := func(id, properties string) int {
		t.Helper()
		status, _ := p.post(t, "/v1/track", `{"event":"Order Completed","userId":"user-9","messageId":"`+id+`","properties":`+properties+`}`)
		return status
	}
	require.Equal(t, 200, send("n1", `{"total":1}`))
	require.Equal(t, 200, send("n2", `{"total_eur":2}`))
	require.Equal(t, 200, send("n2", `{"total_eur":2}`), "sent again")
	require.Equal(t, 200, send("n3", `{}`))
	status, answer := p.post(t, "/v1/track", `{"event":"Order Canceled","userId":"user-9"}`)
	require.Equal(t, 400, status)
	require.Contains(t, fmt.Sprint(answer), "plan_unplanned_event")

	rows := cells(w.succeed(t, "letters"))
	var boxes []string
	for _, row := range rows {
		boxes = append(boxes, row[0]+" "+row[3]+" "+row[4])
	}
	require.Equal(t, []string{"rejects/ plan_unplanned_event event", "violations/ plan_required properties.total", "violations/ plan_required properties.total"}, boxes)
	require.Len(t, cells(w.succeed(t, "letters", "-rejects")), 1)
	_, stderr, status := w.inlet("plan", "replay", "-plan", path)
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "stop the server first")
	p.stop(t)
	p = start(t, w.dir, "-plan", path)
	require.Equal(t, 200, send("n2", `{"total_eur":2}`), "sent again after a restart")
	p.stop(t)
	require.Equal(t, "2", facts(w.succeed(t, "stats"))["violations"])

	stored := func() []string {
		var ids []string
		for _, row := range cells(w.succeed(t, "tail", "-n", "0", "-user", "user-9", "-json")) {
			var e inlet.Event
			require.NoError(t, json.Unmarshal([]byte(row[0]), &e))
			require.NotContains(t, row[0], "_refused")
			ids = append(ids, e.MessageID)
		}
		return ids
	}
	require.Equal(t, []string{"n1"}, stored())
	require.Equal(t, map[string]string{"replayed": "0", "left": "2"}, facts(w.succeed(t, "plan", "replay", "-plan", path)))
	require.Equal(t, map[string]string{"replayed": "0", "left": "2"}, facts(w.succeed(t, "plan", "replay", "-plan", path)), "they are judged again")
	second := saveFile(t, "plan.json", shopPlan("2", `"total_eur"`))
	require.Equal(t, map[string]string{"replayed": "1", "left": "1"}, facts(w.succeed(t, "plan", "replay", "-plan", second)))
	require.Equal(t, []string{"n1", "n2"}, stored())
	require.Equal(t, map[string]string{"replayed": "0", "left": "1"}, facts(w.succeed(t, "plan", "replay", "-plan", second)), "each once")
	third := saveFile(t, "plan.json", shopPlan("3", ""))
	require.Equal(t, map[string]string{"replayed": "1", "left": "0"}, facts(w.succeed(t, "plan", "replay", "-plan", third)))
	require.Equal(t, []string{"n1", "n2", "n3"}, stored())
	require.Contains(t, w.succeed(t, "verify"), "faults\t0\n")

	require.Equal(t, "8", facts(w.succeed(t, "erase", "-user", "user-9"))["erased violations"], "two in quarantine, and six that stayed there")
	requireNoText(t, w.dir, "user-9")
}

// Quarantined events may go to another server.
func TestPlanReplayTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.quarantine(t, "Order Completed", "Order Completed")
	path := saveFile(t, "plan.json", shopPlan("2", ""))
	require.Equal(t, map[string]string{"replayed": "2", "left": "0"}, facts(w.succeed(t, "plan", "replay", "-plan", path, "-to", "backup="+w.receiver)))
	require.Len(t, w.received.Events(), 2)
	_, stderr, status := newWorld(t).inlet("plan", "replay", "-plan", path)
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "nothing was quarantined")
}

// Events of a journal, or of a file, make a plan that they follow; check says which do not.
func TestPlanInferAndCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inferred := saveFile(t, "plan.json", w.succeed(t, "plan", "infer", "-plan-name", "shop"))
	require.Equal(t, map[string]string{"plan": "shop 1", "clean": "24", "observed": "0", "quarantined": "0", "rejected": "0"},
		facts(w.succeed(t, "plan", "check", "-plan", inferred)))
	lines := saveFile(t, "events.ndjson", w.succeed(t, "tail", "-n", "0", "-json"))
	require.Equal(t, w.succeed(t, "plan", "infer", "-plan-name", "shop"), w.succeed(t, "plan", "infer", "-plan-name", "shop", "-file", lines))

	strict := saveFile(t, "plan.json", shopPlan("1", `"total"`))
	stdout, _, status := w.inlet("plan", "check", "-plan", strict)
	require.Equal(t, statusFailed, status)
	rows := cells(stdout)
	require.Equal(t, map[string]string{"clean": "0", "quarantined": "2", "rejected": "22"}, map[string]string{"clean": rows[1][1], "quarantined": rows[3][1], "rejected": rows[4][1]})
	require.Equal(t, []string{"violation", "2", "quarantine", "track", "Order Completed", "required", "properties.total", "m5", "properties.total is missing"}, rows[5])
	require.Len(t, rows, 5+23)

	raw := saveFile(t, "events.ndjson", "\uFEFF"+`{"type":"track","event":"Order Completed","userId":"u","properties":{"total":1}}`+"\n\n"+`{"event":"x"}`+"\n"+`{`+"\n")
	stdout, stderr, status := w.inlet("plan", "check", "-plan", strict, "-file", raw)
	require.Equal(t, statusFailed, status)
	require.Equal(t, "1", facts(stdout)["clean"])
	require.Contains(t, stderr, "line 3: is no event: it has no type")
	require.Contains(t, stderr, "line 4: ")

	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"check"}, statusUsage, "-plan is missing"},
		{[]string{"check", "-plan", strict, "-format", "x"}, statusUsage, "-format must be inlet, segment or rudderstack"},
		{[]string{"check", "-plan", "none.json"}, statusFailed, "no such file"},
		{[]string{"check", "-plan", lines}, statusFailed, lines + ": plan: "},
		{[]string{"infer", "-source", "none"}, statusFailed, "there are no events"},
		{[]string{"infer", "-file", "none"}, statusFailed, "no such file"},
		{[]string{"infer", "-plan-name", ""}, statusUsage, "must not be empty"},
	} {
		_, stderr, status := w.inlet(append([]string{"plan"}, tt.args...)...)
		require.Equal(t, tt.status, status, tt.args)
		require.Contains(t, stderr, tt.want)
	}
}

// A new version that breaks something makes the status 1, and is said line by line.
func TestPlanDiff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := saveFile(t, "old.json", shopPlan("1", `"total"`)), saveFile(t, "plan.json", shopPlan("2", `"total","currency"`))
	stdout, _, status := w.inlet("plan", "diff", "-old", first, "-plan", second)
	require.Equal(t, statusFailed, status)
	require.Equal(t, [][]string{{"breaks", "track Order Completed", "properties.currency", "is required now"}, {"breaking", "1"}}, cells(stdout))
	require.Equal(t, [][]string{{"loosens", "track Order Completed", "properties.currency", "is not required any more"}, {"breaking", "0"}},
		cells(w.succeed(t, "plan", "diff", "-old", second, "-plan", first)))
	_, stderr, status := w.inlet("plan", "diff", "-plan", second)
	require.Equal(t, statusUsage, status)
	require.Contains(t, stderr, "-old is missing")
}

func TestPlanTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := saveFile(t, "plan.json", shopPlan("1", `"total"`))
	require.Contains(t, w.succeed(t, "plan", "types", "-plan", path), "\npackage events\n")
	_, stderr, status := w.inlet("plan", "types", "-plan", path, "-package", "a b")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, `"a b" cannot be the name of a package`)
}
