package journal

import (
	"cmp"
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

// maxFirst is the highest number that a name or a cursor alone is believed to have; above, there
// must be an event with it. A line has room for twice as many ([maxSeq]), so a name without
// events never uses them up: at a million events a second, what is left lasts a hundred years.
const maxFirst uint64 = 5e15

// An entry is the name of a segment.
type entry struct {
	first uint64
	ext   string
}

func (e entry) name() string {
	var digits [nameDigits]byte
	for i, n := nameDigits-1, e.first; i >= 0; i, n = i-1, n/10 {
		digits[i] = byte('0' + n%10)
	}
	return string(digits[:]) + e.ext
}

func (e entry) path(dir string) string { return filepath.Join(dir, e.name()) }

// parseName parses the name of a segment. It returns false for other files, also for those
// whose number cannot be ours.
func parseName(name string) (entry, bool) {
	ext, ok := segmentExt(name)
	if !ok {
		return entry{}, false
	}
	first, err := strconv.ParseUint(name[:nameDigits], 10, 64)
	return entry{first, ext}, err == nil && first <= maxSeq
}

// segmentExt returns the extension of a name that has the form of a segment's, whatever its
// number is.
func segmentExt(name string) (ext string, ok bool) {
	if len(name) <= nameDigits || strings.Trim(name[:nameDigits], "0123456789") != "" {
		return "", false
	}
	ext = name[nameDigits:]
	return ext, ext == extSealed || ext == extActive || ext == extSuspect
}

// compareEntries orders segments by their events.
func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.ext, b.ext))
}

// listSegments returns the segments in dir in the order of their events.
func listSegments(fsys osfs.FS, dir string) ([]entry, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	return parseNames(names), nil
}

// parseNames returns the segments among names in the order of their events.
func parseNames(names []string) []entry {
	segments := make([]entry, 0, len(names))
	for _, name := range names {
		if e, ok := parseName(name); ok {
			segments = append(segments, e)
		}
	}
	slices.SortFunc(segments, compareEntries)
	return segments
}
