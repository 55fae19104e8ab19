//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A world is a directory with a journal, and a server that events can be sent to.
type world struct {
	dir      string
	receiver *httptest.Server
	received *inlettest.Server
	events   []*inlet.Event // of the journal
}

// received0 is when the first event of a world was received; each other is an hour later.
var received0 = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "data"), received: inlettest.New(t, &inlettest.Options{Key: "receiver-key"})}
	w.receiver = httptest.NewServer(w.received)
	t.Cleanup(w.receiver.Close)
	for i := range 24 {
		w.events = append(w.events, &inlet.Event{
			Type: inlet.TypeTrack, Name: fmt.Sprintf("Event %d", i+1), MessageID: fmt.Sprintf("m%d", i+1), UserID: fmt.Sprintf("user-%d", i%3+1),
			Timestamp: received0, ReceivedAt: received0.Add(time.Duration(i) * time.Hour), Dialect: "segment",
			Source: &inlet.Source{ID: fmt.Sprintf("source-%d", i%2+1)}, Properties: []byte(`{"n":1.50}`),
		})
	}
	w.events[4].Name = "Order Completed"
	w.events[23].Name, w.events[23].ReceivedAt = "Order Completed", time.Now().UTC()
	w.write(t, w.events, 8)
	return w
}

// write adds events to the journal, in segments of at most n events.
func (w *world) write(t *testing.T, events []*inlet.Event, n int) {
	t.Helper()
	for len(events) > 0 {
		n = min(n, len(events))
		j := w.open(t)
		require.NoError(t, j.Write(context.Background(), events[:n]))
		require.NoError(t, j.Close(context.Background()))
		events = events[n:]
	}
}

func (w *world) open(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(w.dir, &journal.Options{LowWater: -1})
	require.NoError(t, err)
	return j
}

// environment is that of a process: the command is found by its name, and knows the directory.
func (w *world) environment() []string {
	return append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "INLET_DIR="+w.dir, "INLET_KEY_BACKUP=receiver-key")
}

// inlet runs the command on the directory.
func (w *world) inlet(args ...string) (stdout, stderr string, status int) {
	cmd := exec.Command(binary, args...)
	cmd.Env = w.environment()
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	status = exitCode(cmd.Run())
	return out.String(), log.String(), status
}

// succeed runs the command, requires that it succeeds, and returns what it prints.
func (w *world) succeed(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, status := w.inlet(args...)
	require.Equal(t, statusOK, status, "%v: %s", args, stderr)
	return stdout
}

// startAndStop runs a command line until it has printed its greeting.
func (w *world) startAndStop(t *testing.T, line string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Env = w.environment()
	p := &process{cmd: cmd, log: new(bytes.Buffer)}
	p.begin(t)
	p.stop(t)
}

// cells splits lines into their columns.
func cells(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}
