//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestLetters(t *testing.T) {
	t.Parallel()
	w := withLetters(t)
	p := startWith(t, w.dir, nil)
	status, _ := p.post(t, "/v1/track", `{"event":"No user"}`)
	require.Equal(t, 400, status)

	rows := cells(w.succeed(t, "letters")) // while the server runs
	require.Len(t, rows, 3)
	require.Equal(t, []string{"backup", "1"}, rows[0][:2])
	require.Equal(t, []string{"track", "source-1", "user-2", "Order Completed", "-"}, rows[0][5:10])
	require.Contains(t, rows[0][10], "not_in_catalogue")
	require.Equal(t, []string{"rejects/", "1"}, rows[2][:2])
	require.Equal(t, []string{"no_user_anon_id"}, rows[2][3:4])
	require.Len(t, cells(w.succeed(t, "letters", "-destination", "backup", "-n", "1")), 1)
	require.Len(t, cells(w.succeed(t, "letters", "-rejects")), 1)
	require.Len(t, cells(w.succeed(t, "letters", "-user", "user-2")), 1)
	require.Empty(t, w.succeed(t, "letters", "-destination", "other"))
	require.Contains(t, w.succeed(t, "letters", "-destination", "backup", "-seq", "2", "-json"), `"messageId":"m24"`)
	p.stop(t)

	t.Run("redrive", func(t *testing.T) {
		to := "backup=" + w.received.URL() // which accepts them
		_, stderr, status := w.inlet("redrive", "-to", "other="+w.received.URL())
		require.Equal(t, statusUsage, status)
		require.Contains(t, stderr, "INLET_KEY_OTHER")
		require.Equal(t, "accepted\t0\nrefused\t0\n", w.succeed(t, "redrive", "-to", to, "-user", "unknown"))
		require.Equal(t, "accepted\t1\nrefused\t0\n", w.succeed(t, "redrive", "-to", to, "-user", "user-2"))
		require.Equal(t, "accepted\t1\nrefused\t0\n", w.succeed(t, "redrive", "-to", to))
		require.Equal(t, "accepted\t0\nrefused\t0\n", w.succeed(t, "redrive", "-to", to))
		require.Len(t, w.received.Events(), 2)
		require.Equal(t, 2, strings.Count(w.succeed(t, "letters"), "\tredriven\t"))
	})
}

func TestRedriveFailures(t *testing.T) {
	t.Parallel()
	w := withLetters(t)
	to := "backup=" + w.receiver
	t.Run("refused again", func(t *testing.T) {
		stdout, stderr, status := w.inlet("redrive", "-to", to, "-user", "user-2")
		require.Equal(t, statusFailed, status, stderr)
		require.Equal(t, "accepted\t0\nrefused\t1\n", stdout)
	})
	t.Run("down", func(t *testing.T) {
		_, stderr, status := w.inlet("redrive", "-to", "backup=http://127.0.0.1:1", "-timeout", "300ms")
		require.Equal(t, statusFailed, status)
		require.Contains(t, stderr, "deadline exceeded")
	})
	t.Run("no time", func(t *testing.T) {
		_, stderr, status := w.inlet("redrive", "-to", to, "-timeout", "-1s")
		require.Equal(t, statusUsage, status)
		require.Contains(t, stderr, "-timeout must be positive")
	})
	t.Run("without letters", func(t *testing.T) {
		_, stderr, status := w.inlet("redrive", "-to", to, "-dir", t.TempDir())
		require.Equal(t, statusFailed, status)
		require.Contains(t, stderr, `destination "backup" has no dead letters`)
	})
	t.Run("while a server runs", func(t *testing.T) {
		j := w.open(t)
		defer func() { _ = j.Close(context.Background()) }()
		_, stderr, status := w.inlet("redrive", "-to", to)
		require.Equal(t, statusFailed, status)
		require.Contains(t, stderr, "in use by another journal: stop the server first")
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	j := w.open(t) // as a server does
	defer func() { _ = j.Close(context.Background()) }()
	t.Run("as JSON", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			args        []string
			first, last int
		}{
			{nil, 1, 24},
			{[]string{"-from", "3", "-until", "9"}, 3, 8},
			{[]string{"-from", "2026-05-01T02:00:00Z", "-until", "2026-05-01T08:00:00Z"}, 3, 8},
			{[]string{"-from", "7", "-until", "7"}, 1, 0},
			{[]string{"-rate", "1000000", "-until", "4"}, 1, 3},
		} {
			var want strings.Builder
			for n := tt.first; n <= tt.last; n++ {
				want.WriteString(string(w.events[n-1].AppendJSON(nil)) + "\n")
			}
			require.Equal(t, want.String(), w.succeed(t, append([]string{"replay"}, tt.args...)...), "%v", tt.args)
		}
	})
	t.Run("an end before the beginning", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"-from", "9", "-until", "3"}, {"-from", "1h", "-until", "24h"}} {
			stdout, stderr, status := w.inlet(append([]string{"replay"}, args...)...)
			require.Equal(t, statusUsage, status)
			require.Empty(t, stdout)
			require.Contains(t, stderr, "-until is before -from")
		}
	})
	t.Run("to a server", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "accepted\t8\nrefused\t0\n", w.succeed(t, "replay", "-to", "backup="+w.receiver, "-user", "user-1"))
		require.Len(t, w.received.Events(), 8)
	})
	t.Run("what is refused is said", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		accepted := w.refuse(t)
		stdout, stderr, status := w.inlet("replay", "-to", "backup="+w.receiver)
		require.Equal(t, statusFailed, status)
		require.Equal(t, "accepted\t22\nrefused\t2\n", stdout)
		require.Contains(t, stderr, "event 5 refused: ")
		require.Contains(t, stderr, "event 24 refused: ")
		require.Len(t, accepted.Events(), 22)
	})
	t.Run("a server that is down is tried again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.received.FailNext(errors.New("down"))
		stdout, stderr, status := w.inlet("replay", "-to", "backup="+w.receiver)
		require.Equal(t, statusOK, status)
		require.Equal(t, "accepted\t24\nrefused\t0\n", stdout)
		require.Contains(t, stderr, "trying again")
	})
	t.Run("interrupted, it says how to go on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		cmd := exec.Command(binary, "replay", "-to", "backup="+w.receiver, "-rate", "0.001", "-from", "3")
		cmd.Env = w.environment()
		log := new(testkit.Log)
		cmd.Stderr = log
		require.NoError(t, cmd.Start())
		w.received.Wait(t, 1)
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		require.Equal(t, statusFailed, exitCode(cmd.Wait()))
		require.Regexp(t, `stopped; go on with -from [34]\b`, log.String())
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := withLetters(t)
	require.Equal(t, "events\t24\nfaults\t0\ngaps\t0\n", w.succeed(t, "verify"))
	segments := files(t, w.dir, "*.ndjson")
	require.Len(t, segments, 3)

	data, err := os.ReadFile(segments[1])
	require.NoError(t, err)
	lines := strings.SplitAfter(string(data), "\n")
	damaged := strings.Replace(lines[2], "user-", "USER-", 1)
	require.NoError(t, os.WriteFile(segments[1], []byte(lines[0]+lines[1]+damaged+strings.Join(lines[3:], "")), 0o600))
	require.NoError(t, os.Remove(segments[0]))
	stdout, _, status := w.inlet("verify")
	require.Equal(t, statusFailed, status)
	require.Equal(t, fmt.Sprintf("fault\t%s\t%d\t%d\tdamaged: the checksum is wrong\ngap\t%s\t11\t11\nevents\t15\nfaults\t1\ngaps\t1\n",
		filepath.Base(segments[1]), len(lines[0]+lines[1]), len(damaged), filepath.Base(segments[1])), stdout)

	require.NoError(t, os.Remove(segments[1]))
	w.write(t, []*inlet.Event{w.events[0]}, 1)
	require.NoError(t, os.Rename(files(t, w.dir, "*25.ndjson")[0], filepath.Join(w.dir, "00000000000000000024.ndjson")))
	_, _, status = w.inlet("verify")
	require.Equal(t, statusOK, status)

	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "cursors", "backup"), []byte("x"), 0o600))
	stdout, _, status = w.inlet("verify")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stdout, "fault\tcursors/backup\t0\t0\tdamaged cursor file\n")
	_, _, status = w.inlet("verify", "-dir", filepath.Join(w.dir, "none"))
	require.Equal(t, statusFailed, status)
}

// A gap alone fails if that is asked for.
func TestVerifyGaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, os.Remove(files(t, w.dir, "*.ndjson")[1]))
	require.Contains(t, w.succeed(t, "verify"), "gap\t00000000000000000017.ndjson\t9\t16\n")
	stdout, _, status := w.inlet("verify", "-gaps")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stdout, "faults\t0\ngaps\t1\n")
}

// A very low rate is not taken for none.
func TestDue(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]time.Duration{2: 500 * time.Millisecond, 1e-3: 1000 * time.Second, 1e-12: 1e18, 1e-300: 1e18} {
		r := &replayer{rate: rate}
		require.Zero(t, r.due())
		r.sent = 1
		if want < 1e18 {
			require.Equal(t, want, r.due())
		} else {
			require.Greater(t, r.due(), want)
		}
	}
}
