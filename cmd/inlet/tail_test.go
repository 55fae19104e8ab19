//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

func TestTail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	numbers := func(args ...string) (all []string) {
		for _, row := range cells(w.succeed(t, append([]string{"tail"}, args...)...)) {
			require.Len(t, row, 7)
			all = append(all, row[0])
		}
		return all
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "15 16 17 18 19 20 21 22 23 24"},
		{[]string{"-n", "2"}, "23 24"},
		{[]string{"-n", "9", "-source", "source-1"}, "7 9 11 13 15 17 19 21 23"},
		{[]string{"-n", "3", "-user", "user-2"}, "17 20 23"},
		{[]string{"-name", "Order Completed"}, "5 24"},
		{[]string{"-name", "Order Completed", "-n", "1"}, "24"},
		{[]string{"-type", "page"}, ""},
		{[]string{"-dialect", "segment", "-n", "1"}, "24"},
		{[]string{"-from", "22"}, "22 23 24"},
		{[]string{"-from", "99"}, ""},
		{[]string{"-from", "2026-05-01T21:00:00Z"}, "22 23 24"},
		{[]string{"-from", "2026-05-01T20:59:59"}, "22 23 24"},
		{[]string{"-from", "1h"}, "24"},
		{[]string{"-n", "0", "-user", "user-3", "-source", "source-2"}, "6 12 18 24"},
	} {
		require.Equal(t, tt.want, strings.Join(numbers(tt.args...), " "), "%v", tt.args)
	}
	t.Run("a line", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "5\t2026-05-01T04:00:00Z\ttrack\tsource-1\tsegment\tuser-2\tOrder Completed\n",
			w.succeed(t, "tail", "-name", "Order Completed", "-from", "1", "-user", "user-2"))
	})
	t.Run("json has the event and its number", func(t *testing.T) {
		t.Parallel()
		var got struct {
			inlet.Event
			Seq string `json:"_seq"`
		}
		line := []byte(w.succeed(t, "tail", "-json", "-n", "1"))
		require.NoError(t, json.Unmarshal(line, &got.Event))
		require.True(t, strings.HasSuffix(string(line), `,"_seq":"0000000000000024"}`+"\n"), "%s", line)
		require.Equal(t, "m24", got.MessageID)
		require.JSONEq(t, `{"n":1.50}`, string(got.Properties))
	})
}

func TestTailFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		args   []string
		status int
		text   string
	}{
		{[]string{"-dir", filepath.Join(w.dir, "missing")}, 1, "no such file"},
		{[]string{"-dir", binary}, 1, "not a directory"},
		{[]string{"-dir", ""}, 2, "-dir must not be empty"},
		{[]string{"-n", "-1"}, 2, "-n must not be negative"},
		{[]string{"-n", "x"}, 2, "invalid value"},
		{[]string{"-from", "yesterday"}, 2, "must be a number such as"},
	} {
		stdout, stderr, status := w.inlet(append([]string{"tail"}, tt.args...)...)
		require.Equal(t, tt.status, status)
		require.Empty(t, stdout)
		require.Contains(t, stderr, tt.text)
	}
}

// What a client has sent stays in its column and off the terminal.
func TestTailHostile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(t, []*inlet.Event{{
		Type: inlet.TypeTrack, Name: "a\tb\nc\x1b[2J\u202e", MessageID: "m", UserID: "-", AnonymousID: `"x`,
		Timestamp: received0, ReceivedAt: received0, Source: &inlet.Source{ID: "s"},
	}}, 1)
	require.Equal(t, [][]string{{"25", "2026-05-01T00:00:00Z", "track", "s", "-", `"-"`, `"a\tb\nc\x1b[2J\u202e"`}},
		cells(w.succeed(t, "tail", "-n", "1")))
}

// Events appear as they are stored, across segments, also while the file is written ahead, and an
// interrupt ends it with status 0.
func TestTailFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cmd := exec.Command(binary, "tail", "-f", "-n", "1")
	cmd.Env = w.environment()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, log: nil}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(stdout)
	next := func() string {
		require.True(t, lines.Scan(), "%v", lines.Err())
		return strings.Split(lines.Text(), "\t")[0]
	}
	require.Equal(t, "24", next())
	for n, want := range []string{"25", "26", "27"} {
		w.write(t, w.events[n:n+1], 1) // each in a segment of its own
		require.Equal(t, want, next())
	}
	j := w.open(t)
	for n, want := range []string{"28", "29"} {
		require.NoError(t, j.Write(context.Background(), w.events[n:n+1]))
		require.Equal(t, want, next())
	}
	require.NoError(t, j.Close(context.Background()))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.wait())
}

func TestStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	j := w.open(t) // which a server holds
	defer func() { _ = j.Close(context.Background()) }()
	require.NoError(t, j.Write(context.Background(), w.events[:1]))
	facts := map[string]string{}
	for _, row := range cells(w.succeed(t, "stats")) {
		facts[row[0]] = strings.Join(row[1:], " ")
	}
	require.Equal(t, "4", facts["segments"])
	require.Equal(t, "25", facts["events"])
	require.Equal(t, "1", facts["first number"])
	require.Equal(t, "25", facts["last number"])
	require.Equal(t, received0.Format(time.RFC3339Nano), facts["first received"])
	require.Equal(t, "0", facts["faults"])
	var got summary
	require.NoError(t, json.Unmarshal([]byte(w.succeed(t, "stats", "-json")), &got))
	require.Equal(t, uint64(25), got.Events)
	require.Empty(t, got.Destinations)

	empty := t.TempDir()
	require.Contains(t, w.succeed(t, "stats", "-dir", empty), "events\t0\n")
	_, stderr, status := w.inlet("stats", "-dir", filepath.Join(empty, "none"))
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "no such file")
	require.NoDirExists(t, filepath.Join(empty, "none"))
}

// A command whose result cannot be written has failed, whatever it found.
func TestFullOutput(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	t.Cleanup(func() { _ = full.Close() })
	for _, args := range [][]string{
		{"tail"}, {"stats"}, {"stats", "-json"}, {"verify"}, {"letters"}, {"replay"}, {"erase", "-user", "unknown"},
		{"redrive", "-to", "backup=http://127.0.0.1:1", "-user", "unknown"},
	} {
		w := withLetters(t)
		cmd := exec.Command(binary, args...)
		cmd.Env = w.environment()
		cmd.Stdout = full
		var log bytes.Buffer
		cmd.Stderr = &log
		require.Equal(t, statusFailed, exitCode(cmd.Run()), "%v", args)
		require.Contains(t, log.String(), "no space left", "%v", args)
	}
}
