//go:build torture && linux

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"maps"
	"slices"

	"github.com/inlet-go/inlet/sinks/journal"
)

// An oracle knows what must be in a directory: what children reported as acknowledged. It is
// outside of the processes that write.
type oracle struct {
	must map[string]bool
}

func newOracle() *oracle { return &oracle{must: map[string]bool{}} }

// add adds what c has acknowledged so far, and returns the number of events.
func (o *oracle) add(c *child) (events int) {
	return o.addIf(c, func(ack) bool { return true })
}

// addIf is add for some of the acknowledgements.
func (o *oracle) addIf(c *child, counts func(ack) bool) (events int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.acks {
		for i := range a.n {
			if counts(a) {
				o.must[fmt.Sprintf("%s-%d", a.prefix, i)] = true
				events++
			}
		}
	}
	return events
}

// A verdict compares what was found with what must be there.
type verdict struct {
	acked, lost int
	extra       int // stored, though not acknowledged
	hidden      int // not found by a reader that knows nothing of the journal
	strange     int // found by that reader alone, which knows no checksum
	damaged     uint64
	opened      time.Duration // what Open took
}

func (v verdict) String() string {
	return fmt.Sprintf("%d acked, %d lost, %d stored without an ack, %d damaged lines, opened in %v",
		v.acked, v.lost, v.extra, v.damaged, v.opened.Round(100*time.Microsecond))
}

// judge opens the journal in dir, as a restart does, and compares it with what
// must be there. It counts losses, and fails the test on any other fault.
func (o *oracle) judge(t *testing.T, dir string) verdict {
	t.Helper()
	start := time.Now()
	j, err := journal.Open(dir, &journal.Options{LowWater: -1})
	require.NoError(t, err, "the journal opens, whatever happened")
	v := verdict{acked: len(o.must), opened: time.Since(start), damaged: j.Stats().Damaged}
	defer func() { require.NoError(t, j.Close(context.Background())) }()
	found := o.read(t, j)
	v.lost = missing(found, o.must)
	v.extra = len(found) - (v.acked - v.lost)
	plain := readFiles(t, dir)
	v.hidden = missing(plain, found)
	v.strange = missing(found, plain)
	return v
}

// missing counts the ids that are not in have.
func missing(have, ids map[string]bool) (n int) {
	for id := range ids {
		if !have[id] {
			n++
		}
	}
	return n
}

// requireKept opens the journal in dir and requires that nothing is lost, to the journal or
// to another reader of its files.
func (o *oracle) requireKept(t *testing.T, dir string) verdict {
	t.Helper()
	v := o.judge(t, dir)
	require.Zero(t, v.lost+v.hidden+v.strange, "%+v", v)
	return v
}

// read returns the ids that the journal yields, each once and undamaged.
func (o *oracle) read(t *testing.T, j *journal.Journal) map[string]bool {
	t.Helper()
	found, last := map[string]bool{}, uint64(0)
	for r, err := range j.Events(context.Background(), 0) {
		require.NoError(t, err)
		id := r.Event.MessageID
		if found[id] || r.Seq <= last || !bytes.Contains(r.Event.Properties, sumOf(id)) {
			require.FailNow(t, "an event is there twice, out of order or changed", "%s %d %d", id, last, r.Seq)
		}
		found[id], last = true, r.Seq
	}
	return found
}

func sumOf(id string) []byte { return fmt.Appendf(nil, `"sum":"%016x"`, sum(id)) }

// readFiles reads the sealed files of dir as any reader of JSON lines would,
// independently of the journal.
func readFiles(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	names, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	require.NoError(t, err)
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range bytes.Lines(content) {
			if id, ok := readLine(line); ok {
				found[id] = true
			}
		}
	}
	return found
}

// readLine returns the id of an undamaged event.
func readLine(line []byte) (id string, ok bool) {
	_, rest, ok := strings.Cut(string(line), `"messageId":"`)
	id, _, _ = strings.Cut(rest, `"`)
	return id, ok && json.Valid(line) && bytes.Contains(line, sumOf(id)) && bytes.HasSuffix(line, []byte("\"}\n"))
}

// A line is an event as a plain reader finds it.
type line struct {
	id   string
	size int
}

// readLines returns the good lines of files, in order.
func readLines(t *testing.T, names []string) (lines []line) {
	t.Helper()
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for l := range bytes.Lines(content) {
			if id, ok := readLine(l); ok {
				lines = append(lines, line{id, len(l)})
			}
		}
	}
	return lines
}

func idsOf(lines []line) map[string]bool {
	found := map[string]bool{}
	for _, l := range lines {
		found[l.id] = true
	}
	return found
}

func union(sets ...map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}

// segmentFiles returns the segments in dir, in the order of their events.
func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	require.NoError(t, err)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".tmp") })
}

// What a destination may get again after a crash, by the contract: what it accepted in the
// last second and 4 MiB, and the batch in flight.
const (
	saveEvery = time.Second
	saveBytes = 4 << 20
	maxLine   = 1 << 10
)

// repeats are the events that a destination has got again.
type repeats struct {
	had   int    // lines at the last count
	owed  amount // what it may get again
	worst int    // events after one restart
}

type amount struct{ events, bytes int }

// count requires that no more was redelivered since the last count than was allowed. What was
// not redelivered yet may still be: after a child that was killed immediately, the next one
// begins at the same position.
func (r *repeats) count(t *testing.T, d destination, got []line) {
	t.Helper()
	seen, again := map[string]bool{}, amount{}
	for i, l := range got {
		if i >= r.had && seen[l.id] {
			again.events++
			again.bytes += l.size
		}
		seen[l.id] = true
	}
	require.LessOrEqual(t, again.events, r.owed.events, "%s got again more than it took in the last second", d.Name)
	require.LessOrEqual(t, again.bytes, r.owed.bytes, "%s got again more bytes than are promised", d.Name)
	r.had, r.worst = len(got), max(r.worst, again.events)
	r.owed.events -= again.events
	r.owed.bytes -= again.bytes
}

// allow adds what the end of c may lead to.
func (r *repeats) allow(d destination, c *child) {
	const slack = 500 * time.Millisecond // of a batch that is being written
	var mine []taking
	for _, a := range c.takings {
		if a.Name == d.Name {
			mine = append(mine, a)
		}
	}
	for _, a := range mine {
		if mine[len(mine)-1].At.Sub(a.At) <= saveEvery+slack {
			r.owed.events += a.N
		}
	}
	r.owed.events += maxEvents
	r.owed.bytes += saveBytes + maxBytes + maxLine
}
