//go:build torture && linux

package torture

import (
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// accidents are what an operator or logrotate may do to the file that is being
// written.
var accidents = map[string]struct {
	do    func(name string) error
	spare bool // the lines are still there, in a file of another name
}{
	"deleted":   {do: os.Remove},
	"truncated": {do: func(name string) error { return os.Truncate(name, 0) }},
	"renamed":   {do: func(name string) error { return os.Rename(name, name+".1") }, spare: true},
}

func TestTheLiveFileIsTakenAway(t *testing.T) {
	for form, ahead := range forms {
		for accident, a := range accidents {
			t.Run(form+" "+accident, func(t *testing.T) { takeAway(t, ahead, a.do, a.spare) })
		}
	}
}

// takeAway does that to the live file. What is acknowledged after it was noticed
// must stay; no more than a group may be acknowledged before.
func takeAway(t *testing.T, ahead bool, accident func(string) error, spare bool) {
	dir := t.TempDir()
	do := crashTask(dir, "l", ahead)
	do.Writers, do.Batch, do.SegmentBytes = 8, 1, 64<<20
	c := start(t, do, 2)
	if ahead {
		c.await(t, 20*time.Second, "write into a file that was filled ahead", func() bool {
			return activeLength(t, dir) == do.SegmentBytes
		})
	}
	c.awaitAcks(t, 2000)
	name := activeFile(t, dir)
	require.NoError(t, accident(name))
	at := time.Now()
	c.await(t, 10*time.Second, "notice", func() bool { return len(c.failures) > 0 })
	c.awaitAcks(t, 2000)
	c.kill()
	noticed := c.failures[0]
	require.Contains(t, noticed.text, "deleted, moved or truncated")

	blind := newOracle().addIf(c, func(a ack) bool { return a.at.After(at) && a.at.Before(noticed.at) })
	require.LessOrEqual(t, blind, 2*do.Writers, "acknowledged before it was noticed")
	after, all := newOracle(), newOracle()
	after.addIf(c, sinceThen(noticed.at))
	v := after.requireKept(t, dir)
	if all.add(c); spare {
		requireAll(t, all, dir, name)
	}
	t.Logf("noticed after %v, %d acknowledged meanwhile; after it: %v", noticed.at.Sub(at).Round(10*time.Microsecond), blind, v)
}

// activeLength returns the length of the active file, or 0 while there is none.
func activeLength(t *testing.T, dir string) int64 {
	t.Helper()
	name, found := findActive(t, dir)
	if !found {
		return 0
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0 // sealed meanwhile
	}
	return info.Size()
}

// sinceThen says of each acknowledgement, in order, whether it is of a write that
// began after a time. The first that a writer reports after it need not be: one
// writer may say that it has failed before another says that its write of the
// group before was acknowledged.
func sinceThen(at time.Time) func(ack) bool {
	reported := map[string]bool{}
	return func(a ack) bool {
		if !a.at.After(at) {
			return false
		}
		writer := a.prefix[:strings.LastIndexByte(a.prefix, '-')]
		again := reported[writer]
		reported[writer] = true
		return again
	}
}

// requireAll holds that whatever was acknowledged is in the journal's files or in
// the one that was renamed.
func requireAll(t *testing.T, o *oracle, dir, renamed string) {
	t.Helper()
	content, err := os.ReadFile(renamed + ".1")
	require.NoError(t, err)
	found := ids(content)
	maps.Copy(found, readFiles(t, dir))
	require.Zero(t, missing(found, o.must))
}
