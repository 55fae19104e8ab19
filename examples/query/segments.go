package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// segmentEndings are the endings of the files with events, in the order in which a file may have
// them: being written, set aside after an I/O error, complete.
var segmentEndings = [...]string{".ndjson.part", ".ndjson.suspect", ".ndjson"}

// segments returns the files of a journal, each once, the newest first. The newest is the one
// that is being written to, so it is opened first, before its name changes.
//
// The directory is listed once per ending: a file that is renamed meanwhile is found under its
// old name, its new one or both, and counts once.
func segments(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, ending := range segmentEndings {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if number, ok := strings.CutSuffix(e.Name(), ending); ok {
				found[number] = filepath.Join(dir, e.Name())
			}
		}
	}
	files := slices.Sorted(maps.Values(found))
	slices.Reverse(files)
	return files, nil
}

// literal returns patterns that match only the given files: DuckDB treats every name as a
// pattern.
func literal(files []string) []string {
	escape := strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]")
	patterns := make([]string, len(files))
	for i, file := range files {
		patterns[i] = escape.Replace(file)
	}
	return patterns
}
