//go:build torture && linux

package torture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFlushFails has the system calls of a real process fail. strace counts
// by thread, so that more than one call of a number fails.
func TestFlushFails(t *testing.T) {
	needTool(t, "strace")
	tests := map[string]struct {
		inject   string
		poisoned bool
	}{
		"once a thread":     {inject: "error=EIO:when=50"},
		"permanently":       {inject: "error=EIO:when=50+", poisoned: true},
		"for lack of space": {inject: "error=ENOSPC:when=20+20"},
	}
	for form, ahead := range forms {
		for name, test := range tests {
			t.Run(form+" "+name, func(t *testing.T) {
				dir, o := t.TempDir(), newOracle()
				c, trace := traced(t, crashTask(dir, "s", ahead), "inject=fdatasync,fsync:"+test.inject)
				c.await(t, patience, "fail", func() bool { return len(c.failures) > 0 })
				if test.poisoned {
					c.await(t, patience, "be poisoned", func() bool { return c.poisoned })
					requireSilence(t, c)
				} else {
					time.Sleep(1500 * time.Millisecond)
				}
				c.kill()
				acked := o.add(c)
				requireNoSecondFlush(t, trace)
				v := o.requireKept(t, dir)
				t.Logf("%d failed writes; %d acked; %v", len(c.failures), acked, v)
			})
		}
	}
}

// traced runs a child under strace, which notes the flushes of files.
func traced(t *testing.T, do task, inject string) (c *child, trace string) {
	t.Helper()
	trace = filepath.Join(t.TempDir(), "trace")
	do.Writers = 16
	c = start(t, do, 2, "strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", trace,
		"-e", "trace=fsync,fdatasync", "-e", inject)
	return c, trace
}

// requireSilence holds that a poisoned journal acknowledges nothing.
func requireSilence(t *testing.T, c *child) {
	t.Helper()
	time.Sleep(100 * time.Millisecond) // so that earlier reports arrive
	acked := c.acked()
	time.Sleep(1500 * time.Millisecond)
	require.Equal(t, acked, c.acked())
}

var flushed = regexp.MustCompile(`(?:fsync|fdatasync)\(\d+<[^>]*/(\d{20})\.ndjson[^>]*>\) += (-1 EIO)?`)

// requireNoSecondFlush holds that no file was flushed again that failed to be.
func requireNoSecondFlush(t *testing.T, trace string) {
	t.Helper()
	text, err := os.ReadFile(trace)
	require.NoError(t, err)
	failed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		m := flushed.FindStringSubmatch(line)
		if m == nil || strings.Contains(line, ".tmp>") {
			continue
		}
		require.False(t, failed[m[1]], "flushed again: %s", line)
		failed[m[1]] = m[2] != ""
	}
	require.NotEmpty(t, failed)
}

// A slow disk makes groups larger, not the journal stall. The floor is far below
// the goal, for strace stops the process at every flush.
func TestSlowDisk(t *testing.T) {
	needTool(t, "strace")
	for form, ahead := range forms {
		t.Run(form, func(t *testing.T) {
			dir, o := t.TempDir(), newOracle()
			do := crashTask(dir, "slow", ahead)
			do.Writers, do.Batch, do.SegmentBytes = 1024, 1, 64<<20
			trace := filepath.Join(t.TempDir(), "trace")
			c := start(t, do, 2, "strace", "-f", "-qq", "--seccomp-bpf", "-o", trace,
				"-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=5000")
			c.awaitAcks(t, 1024)
			from := c.acked()
			time.Sleep(2 * time.Second)
			rate := (c.acked() - from) / 2
			c.kill()
			o.add(c)
			v := o.requireKept(t, dir)
			require.Greater(t, rate, 2000)
			t.Logf("5 ms a flush: %d events a second; %v", rate, v)
		})
	}
}
