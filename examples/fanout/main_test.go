package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A program is one run of the example.
type program struct {
	screen *testkit.Log // what the program prints
	enter  io.Writer
	end    func()
}

func start(t *testing.T, dir string) *program {
	t.Helper()
	in, enter := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{screen: new(testkit.Log), enter: enter}
	ended := make(chan error, 1)
	c := config{dir: dir, addr: "127.0.0.1:0", warehouseAddr: "127.0.0.1:0", every: 5 * time.Millisecond, report: 20 * time.Millisecond}
	go func() { ended <- run(ctx, c, in, p.screen) }()
	p.end = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended, "%s", p.screen)
		require.NoError(t, enter.Close())
	})
	t.Cleanup(p.end)
	return p
}

// press presses Enter and waits for text that is printed after that.
func (p *program) press(t *testing.T, pattern string) {
	t.Helper()
	before := len(p.screen.String())
	_, err := io.WriteString(p.enter, "\n")
	require.NoError(t, err)
	p.await(t, before, pattern)
}

// await waits for text after an offset that matches pattern.
func (p *program) await(t *testing.T, from int, pattern string) {
	t.Helper()
	is := regexp.MustCompile(pattern)
	ended := time.Now().Add(20 * time.Second)
	for text := ""; !is.MatchString(text); text = p.screen.String()[from:] {
		if time.Now().After(ended) {
			require.FailNow(t, "the program never printed "+pattern, "%s", text[max(0, len(text)-2000):])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// What is printed while the warehouse works, and while it does not.
const (
	works = `warehouse: \d+ delivered, \d pending\n`
	fails = `archive: \d+ delivered, \d pending   warehouse: \d+ delivered, \d+ pending, the oldest for .*attempts failed`
)

func TestFanout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	p.await(t, 0, works)
	p.await(t, 0, `archive: ([3-9]\d|\d{3,}) delivered`)
	p.press(t, fails)
	p.press(t, works)
	p.press(t, fails)
	p.end()
	require.Contains(t, p.screen.String(), "The archive has received all of them.\nThe warehouse is stopped: ")

	p = start(t, dir)
	p.await(t, 0, works)
	p.end()
	require.Contains(t, p.screen.String(), "The archive has received all of them.\nThe warehouse has received all of them.\n")

	want := read(t, filepath.Join(dir, "journal"))
	require.Greater(t, len(want), 20)
	require.Equal(t, want, read(t, filepath.Join(dir, "warehouse")), "each once, in the same order")
	require.Equal(t, want, archived(t, filepath.Join(dir, "archive.ndjson")))
}

// read returns the ids of the events in a journal.
func read(t *testing.T, dir string) (ids []string) {
	t.Helper()
	j, err := journal.Open(dir, nil)
	require.NoError(t, err)
	for r, err := range j.Events(t.Context(), 0) {
		require.NoError(t, err)
		ids = append(ids, r.Event.MessageID)
	}
	require.NoError(t, j.Close(t.Context()))
	return ids
}

// archived returns the ids of the events in a file.
func archived(t *testing.T, name string) (ids []string) {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	for line := range bytes.Lines(content) {
		var e inlet.Event
		require.NoError(t, e.UnmarshalJSON(line))
		ids = append(ids, e.MessageID)
	}
	return ids
}
