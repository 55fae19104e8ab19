package journal

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// Extensions of the names of segments, after 20 digits: the first sequence number that the
// file may hold.
const (
	extSealed  = ".ndjson"
	extActive  = ".ndjson.part"
	extSuspect = ".ndjson.suspect"

	extTemporary  = ".tmp" // of files without value after a crash
	nameDigits    = 20
	lockName      = "LOCK"
	quarantineDir = "quarantine"
)

// An entry is the name of a segment.
type entry struct {
	first uint64
	ext   string
}

func (e entry) name() string { return fmt.Sprintf("%0*d%s", nameDigits, e.first, e.ext) }

func (e entry) path(dir string) string { return filepath.Join(dir, e.name()) }

// parseName parses the name of a segment. It returns false for other files.
func parseName(name string) (entry, bool) {
	digits, ext, _ := strings.Cut(name, ".")
	first, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(digits) != nameDigits {
		return entry{}, false
	}
	e := entry{first, "." + ext}
	return e, e.ext == extSealed || e.ext == extActive || e.ext == extSuspect
}

// listSegments returns the segments in dir in the order of their events.
func listSegments(fsys osfs.FS, dir string) ([]entry, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var segments []entry
	for _, name := range names {
		if e, ok := parseName(name); ok {
			segments = append(segments, e)
		}
	}
	slices.SortFunc(segments, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.ext, b.ext))
	})
	return segments, nil
}
