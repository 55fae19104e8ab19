//go:build torture && linux

package torture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

// places returns where in the order of the journal each event stands.
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
