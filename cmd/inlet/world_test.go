//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A world is a directory with a journal, and a server that events can be sent to.
type world struct {
	dir      string
	receiver string // its URL
	received *inlettest.Server
	events   []*inlet.Event // of the journal
}

// received0 is when the first event of a world was received; each other is an hour later.
var received0 = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// The directories of worlds are copies: the lock of a journal that this process has just closed
// may still be held for a moment by a child process that another test starts at that time.
var plainOnce, lettersOnce sync.Once

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: filepath.Join(scratch, "plain"), events: worldEvents()}
	plainOnce.Do(func() { w.write(t, w.events, 8) })
	w.dir = copyDir(t, w.dir)
	w.received = inlettest.New(t, &inlettest.Options{Key: "receiver-key"})
	w.receiver = w.received.URL()
	return w
}

// withLetters is a world with a destination that has refused two events.
func withLetters(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	lettersDir := filepath.Join(scratch, "letters")
	lettersOnce.Do(func() {
		require.NoError(t, os.CopyFS(lettersDir, os.DirFS(w.dir)))
		at := &world{dir: lettersDir}
		at.refuse(t)
		sink, err := server.Destination{Name: "backup", URL: at.receiver, Key: "receiver-key"}.Sink()
		require.NoError(t, err)
		j := at.open(t)
		d, err := j.Deliver("backup", sink, nil)
		require.NoError(t, err)
		require.NoError(t, d.Drain(context.Background()))
		require.NoError(t, j.Close(context.Background()))
	})
	w.dir = copyDir(t, lettersDir)
	w.refuse(t)
	return w
}

// copyDir copies a directory of a journal without its locks.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
	return dir
}

var worldEvents = sync.OnceValue(func() (events []*inlet.Event) {
	for i := range 24 {
		events = append(events, &inlet.Event{
			Type: inlet.TypeTrack, Name: fmt.Sprintf("Event %d", i+1), MessageID: fmt.Sprintf("m%d", i+1), UserID: fmt.Sprintf("user-%d", i%3+1),
			Timestamp: received0, ReceivedAt: received0.Add(time.Duration(i) * time.Hour), Dialect: "segment",
			Source: &inlet.Source{ID: fmt.Sprintf("source-%d", i%2+1)}, Properties: []byte(`{"n":1.50}`),
		})
	}
	events[4].Name = "Order Completed"
	events[23].Name, events[23].ReceivedAt = "Order Completed", time.Now().UTC()
	return events
})

// refuseOrders is a validator of a receiver.
func refuseOrders(e *inlet.Event) *inlet.Problem {
	if e.Name == "Order Completed" {
		return &inlet.Problem{Code: "not_in_catalogue", Message: "this event is not in the catalogue", Field: "event"}
	}
	return nil
}

// refuse makes the world's receiver refuse orders.
func (w *world) refuse(t *testing.T) *inlettest.Server {
	t.Helper()
	refusing := inlettest.New(t, &inlettest.Options{Key: "receiver-key", Handler: &inlet.Options{
		Validators: []inlet.Validator{refuseOrders}, Logger: slog.New(slog.DiscardHandler),
	}})
	w.receiver = refusing.URL()
	return refusing
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

// open opens the journal.
func (w *world) open(t *testing.T) (j *journal.Journal) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		j, err = journal.Open(w.dir, &journal.Options{LowWater: -1, Logger: slog.New(slog.DiscardHandler)})
		return !errors.Is(err, journal.ErrLocked)
	}, 20*time.Second, time.Millisecond)
	require.NotNil(t, j)
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
	cmd.Env, cmd.Dir = w.environment(), filepath.Dir(w.dir)
	p := &process{cmd: cmd, log: new(bytes.Buffer)}
	cmd.Stderr = p.log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "it prints nothing")
	require.Contains(t, lines.Text(), "listens on http://127.0.0.1:")
	p.stop(t)
}

// cells splits lines into their columns.
func cells(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}
