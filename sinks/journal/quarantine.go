package journal

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
)

// pruneQuarantine removes the oldest files from quarantine beyond Options.QuarantineBytes,
// except for the newest, and records the size of the others. Their names are in the order of
// the sequence numbers. What cannot be removed, such as a directory, stays.
func (j *Journal) pruneQuarantine() {
	dir := filepath.Join(j.dir, quarantineDir)
	names, err := j.opts.fs.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.opts.Logger.Warn("journal: quarantine unreadable; its size is unknown", "error", err)
	}
	slices.Sort(names)
	sizes := make([]int64, len(names))
	total := int64(0)
	for i, name := range names {
		sizes[i], _, _ = j.opts.fs.Stat(filepath.Join(dir, name)) // 0 if it is unknown
		total += sizes[i]
	}
	removed, freed := 0, int64(0)
	for i := 0; i < len(names)-1 && total-freed > j.opts.QuarantineBytes; i++ {
		if err := j.opts.fs.Remove(filepath.Join(dir, names[i])); err != nil {
			j.opts.Logger.Error("journal: file not removed from quarantine", "file", names[i], "error", err)
			continue
		}
		removed, freed = removed+1, freed+sizes[i]
	}
	j.quarantined.Store(total - freed)
	if removed > 0 {
		j.counters.discarded.add(removed)
		j.opts.Logger.Warn("journal: oldest files removed from quarantine", "files", removed, "bytes", freed)
	}
}
