package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// segmentEndings are those of the files that hold events, in the order in which a
// file may bear them: being written, set aside after an I/O error, complete.
var segmentEndings = [...]string{".ndjson.part", ".ndjson.suspect", ".ndjson"}

// segments returns the files of a journal, each once, the newest first. That is
// the one being written, which is opened first, before its name may change.
//
// The directory is listed for one ending after the other: a file that is renamed
// meanwhile is found by its old name, its new one or both, and both are the same.
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

// literal makes patterns of files that match only themselves: DuckDB takes every
// name for a pattern.
func literal(files []string) []string {
	escape := strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]")
	patterns := make([]string, len(files))
	for i, file := range files {
		patterns[i] = escape.Replace(file)
	}
	return patterns
}
