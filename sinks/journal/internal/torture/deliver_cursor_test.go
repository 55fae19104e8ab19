//go:build torture && linux

package torture

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cursorDamages are what may have become of the file of a cursor between two
// runs, given its content and that of an older copy.
var cursorDamages = []struct {
	kind string
	do   func(name string, content, older []byte) error
}{
	{"noise", func(name string, content, _ []byte) error { return os.WriteFile(name, noise(len(content)), 0o600) }},
	{"empty", func(name string, _, _ []byte) error { return os.Truncate(name, 0) }},
	{"cut", func(name string, content, _ []byte) error { return os.Truncate(name, int64(len(content)/2)) }},
	{"older", func(name string, _, older []byte) error { return os.WriteFile(name, older, 0o600) }},
	{"another number", func(name string, content, _ []byte) error {
		content[len(`{"seq":"000000`)]++
		return os.WriteFile(name, content, 0o600)
	}},
	{"deleted", func(name string, _, _ []byte) error { return os.Remove(name) }},
}

// A cursor is a hint: whatever becomes of it, a destination gets events again, and
// none is lost, although it is behind and segments are removed all the time.
func TestCursorsThatAreDamaged(t *testing.T) {
	x := newRoute(t, t.TempDir(), calmTask(destination{Name: "store", Slow: 60 * time.Millisecond}))
	x.SegmentBytes, x.RetainBytes = 32<<10, 256<<10
	cursor := filepath.Join(x.Dir, "cursors", "store")
	var older []byte
	for _, damage := range cursorDamages {
		c := x.start(t, 2)
		c.awaitAcks(t, 400)
		c.awaitReport(t, "store", "be behind", func(r report) bool { return r.Behind > 2*maxEvents && r.Delivered > 2*maxEvents })
		c.kill()
		x.hear(c)
		before := len(x.taken(t, x.Destinations[0]))
		content, err := os.ReadFile(cursor)
		require.NoError(t, err)
		if older == nil {
			older = bytes.Clone(content)
		}
		require.NoError(t, damage.do(cursor, content, older))
		x.requireNothingLost(t)
		t.Logf("%s: %d events again", damage.kind, len(x.taken(t, x.Destinations[0]))-before)
	}
	require.NotZero(t, x.archive.gone())
	t.Log(x)
}
