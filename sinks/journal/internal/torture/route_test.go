//go:build torture && linux

package torture

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"os"
	"strings"

	"github.com/inlet-go/inlet/sinks/journal"
)

// A route is a journal with its destinations, seen from outside: an oracle that
// knows what was acknowledged, and looks for it after each run of a child. It
// keeps a second name for each segment, so that those which retention removes can
// still be read.
type route struct {
	*oracle
	task
	acked   int // events
	runs    int // of children
	letters int
	archive *archive
	repeats map[string]*repeats // by destination
}

// newRoute makes a route in dir, with destinations in directories next to it.
func newRoute(t *testing.T, dir string, do task) *route {
	t.Helper()
	do.Dir = filepath.Join(dir, "journal")
	x := &route{oracle: newOracle(), archive: newArchive(t, do.Dir), repeats: map[string]*repeats{}}
	for i := range do.Destinations {
		d := &do.Destinations[i]
		d.Dir = cmp.Or(d.Dir, filepath.Join(dir, d.Name))
		x.repeats[d.Name] = new(repeats)
	}
	x.task = do
	return x
}

// start runs a child.
func (x *route) start(t *testing.T, procs int) *child {
	t.Helper()
	do := x.task
	do.Prefix = fmt.Sprintf("r%d", x.runs)
	x.runs++
	x.archive.watch()
	return start(t, do, procs)
}

// hear records what a child reported before it ended.
func (x *route) hear(c *child) {
	x.archive.rest()
	x.acked += x.add(c)
}

// look is called after a child has ended. It records what the child reported, and requires
// for each destination that every acknowledged event is either there or still in the
// journal, and that no more events were repeated than promised.
func (x *route) look(t *testing.T, c *child) {
	t.Helper()
	x.hear(c)
	waiting := idsOf(x.linesIn(t, x.Dir))
	for _, d := range x.Destinations {
		got := x.taken(t, d)
		lost := missing(union(waiting, idsOf(got), idsOf(x.lettersOf(t, d))), x.must)
		require.Zero(t, lost, "%s lacks what is no longer in the journal", d.Name)
		x.repeats[d.Name].count(t, d, got)
		x.repeats[d.Name].allow(d, c)
	}
}

// taken returns the lines that d has, in the order in which it got them.
func (x *route) taken(t *testing.T, d destination) []line { return x.linesIn(t, d.Dir) }

// lettersOf returns what d refused.
func (x *route) lettersOf(t *testing.T, d destination) []line {
	return x.linesIn(t, filepath.Join(x.Dir, "dead", d.Name))
}

func (x *route) linesIn(t *testing.T, dir string) []line {
	t.Helper()
	return readLines(t, segmentFiles(t, dir))
}

// requireDelivered opens the journal once more, delivers all that is left to
// destinations with which nothing is wrong, and holds that each has everything
// that was acknowledged, in the order of the journal.
func (x *route) requireDelivered(t *testing.T) {
	t.Helper()
	x.requireNothingLost(t)
	for _, d := range x.Destinations {
		x.repeats[d.Name].count(t, d, x.taken(t, d))
	}
}

// requireNothingLost is requireDelivered however much came again.
func (x *route) requireNothingLost(t *testing.T) {
	t.Helper()
	x.drain(t)
	x.letters = 0
	for _, d := range x.Destinations {
		got := x.taken(t, d)
		require.Zero(t, x.lacks(t, d, got), "%s lacks what was acknowledged", d.Name)
		x.requireOrder(t, d, got)
		x.requireReadable(t, d, got)
		x.letters += len(x.lettersOf(t, d))
	}
}

// lacks returns how many of the acknowledged events d has neither taken nor
// refused.
func (x *route) lacks(t *testing.T, d destination, got []line) int {
	t.Helper()
	return missing(union(idsOf(got), idsOf(x.lettersOf(t, d))), x.must)
}

// requireReadable holds that a journal reads in d what a plain reader does.
func (x *route) requireReadable(t *testing.T, d destination, got []line) {
	t.Helper()
	j, err := journal.Open(d.Dir, &journal.Options{LowWater: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close(context.Background())) }()
	n := 0
	for r, err := range j.Events(context.Background(), 0) {
		require.NoError(t, err)
		require.Equal(t, got[n].id, r.Event.MessageID)
		n++
	}
	require.Len(t, got, n)
}

// drain delivers what is left.
func (x *route) drain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	j, err := journal.Open(x.Dir, &journal.Options{LowWater: -1})
	require.NoError(t, err, "the journal opens, whatever happened")
	defer func() { require.NoError(t, j.Close(ctx)) }()
	for _, d := range x.Destinations {
		store, err := journal.Open(d.Dir, &journal.Options{LowWater: -1})
		require.NoError(t, err)
		delivery, err := j.Deliver(d.Name, store, d.deliverOptions())
		require.NoError(t, err)
		require.NoError(t, delivery.Drain(ctx))
		require.NoError(t, delivery.Stop(ctx))
		require.NoError(t, store.Close(ctx))
	}
}

// requireOrder holds that d got events for the first time in the order of the
// journal. If it fails single events, those come after others of their batch, and
// what it refused once it may take when it gets it again.
func (x *route) requireOrder(t *testing.T, d destination, got []line) {
	t.Helper()
	place, slack := x.archive.places(t), 0
	if d.Flaky.Event+d.Flaky.Refuse > 0 {
		slack = maxEvents
	}
	seen, furthest := idsOf(x.lettersOf(t, d)), -1
	for _, l := range got {
		at, known := place[l.id]
		require.True(t, known, "%s has %s, which the journal never had", d.Name, l.id)
		if !seen[l.id] {
			require.Greater(t, at, furthest-slack-1, "%s got %s too late", d.Name, l.id)
			furthest = max(furthest, at)
		}
		seen[l.id] = true
	}
}

func (x *route) String() string {
	return fmt.Sprintf("%d events acked, 0 lost, %d dead letters, %d segments removed", x.acked, x.letters, x.archive.gone())
}

// again returns the most events that a destination got again after a restart.
func (x *route) again() (events int) {
	for _, r := range x.repeats {
		events = max(events, r.worst)
	}
	return events
}

// An archive gives every sealed segment of a journal a second name, so that it can
// be read after it was removed.
type archive struct {
	journal, dir string
	stop, done   chan struct{} // of the goroutine that watches, nil without one
}

func newArchive(t *testing.T, journal string) *archive {
	a := &archive{journal: journal, dir: journal + ".archive"}
	require.NoError(t, os.MkdirAll(a.dir, 0o700))
	t.Cleanup(a.rest)
	return a
}

// watch looks for segments every few milliseconds, far more often than they can
// be filled, delivered and removed.
func (a *archive) watch() {
	a.stop, a.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(a.done)
		for {
			a.sweep()
			select {
			case <-a.stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
		}
	}()
}

// rest ends the watch, with a last look.
func (a *archive) rest() {
	if a.stop == nil {
		return
	}
	close(a.stop)
	<-a.done
	a.stop = nil
	a.sweep()
}

// sweep fails in silence while the disk is away; whatever it misses is found
// missing later.
func (a *archive) sweep() {
	names, _ := filepath.Glob(filepath.Join(a.journal, "*.ndjson"))
	for _, name := range names {
		_ = os.Link(name, filepath.Join(a.dir, filepath.Base(name)))
	}
}

// files returns all segments there ever were, in the order of their events.
func (a *archive) files(t *testing.T) []string {
	t.Helper()
	a.sweep()
	names := segmentFiles(t, a.dir)
	for _, name := range segmentFiles(t, a.journal) {
		if !strings.HasSuffix(name, ".ndjson") {
			names = append(names, name) // the active one
		}
	}
	return names
}

// places returns the position of each event in the order of the journal.
func (a *archive) places(t *testing.T) map[string]int {
	t.Helper()
	place := map[string]int{}
	for i, l := range readLines(t, a.files(t)) {
		place[l.id] = i
	}
	return place
}

// gone returns how many segments were removed.
func (a *archive) gone() (n int) {
	names, _ := filepath.Glob(filepath.Join(a.dir, "*.ndjson"))
	for _, name := range names {
		if !exists(filepath.Join(a.journal, filepath.Base(name))) {
			n++
		}
	}
	return n
}
