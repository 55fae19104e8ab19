//go:build torture && linux

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mutant is the journal with one thing broken.
type mutant struct {
	file, from, to string // the file's name begins at the journal's directory
	rig            string // the test of this package that is to find it; else those of its package
}

// mutants are plausible mistakes. Each from occurs exactly once in its file.
var mutants = map[string]mutant{
	"what cannot be read back is stored": {
		file: "readable.go", from: "known.Find(&e.Properties)); p != nil {", to: "known.Find(&e.Properties)); p != nil && p.Field == \"\" {",
	},
	"what was changed since the handler has read it counts as read": {
		file: "readable.go", from: "marks != nil && marks.At(i, raw) ||", to: "marks != nil ||",
	},
	"the last number is not saved when a file is sealed": {
		file: "store.go", from: "s.last.raise(g.last, g.last)", to: "error(nil)",
	},
	"the last number is not saved when Open seals a file": {
		file: "recovery.go", from: "\tr.saveLast(s.last, s.last)\n\treturn r.rename(name,", to: "\treturn r.rename(name,",
	},
	"the last number is not read": {
		file: "recovery.go", from: "r.raiseLast(r.saved.used)", to: "r.raiseLast(0)",
	},
	"nothing is flushed": {
		file: "store.go", from: "if err := s.active.file.Sync(); err != nil {", to: "if err := error(nil); err != nil {",
	},
	"nothing is flushed, seen by a power cut": {
		file: "store.go", from: "if err := s.active.file.Sync(); err != nil {", to: "if err := error(nil); err != nil {",
		rig: "TestPowerCut",
	},
	"acknowledged before the flush": {
		file: "committer.go",
		from: `	if err := c.store.append(first, c.seq-1, lines); err != nil {
		return err
	}
	if s.flush || c.policy == SyncAlways {
		if err := c.flush(); err != nil {
			return err
		}
	}
`,
		to: `	if s.flush || c.policy == SyncAlways {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if err := c.store.append(first, c.seq-1, lines); err != nil {
		return err
	}
`,
	},
	"a failed flush is retried on the same file": {
		file: "store.go", from: "if err := s.active.file.Sync(); err != nil {",
		to: "if err := s.active.file.Sync(); err != nil && s.active.file.Sync() != nil {",
	},
	"a failed flush is retried, seen by strace": {
		file: "store.go", from: "if err := s.active.file.Sync(); err != nil {",
		to:  "if err := s.active.file.Sync(); err != nil && s.active.file.Sync() != nil {",
		rig: "TestFlushFails",
	},
	"a failed flush does not end the file": {
		file: "store.go", from: "\t\ts.setAside()\n\t\tif isFull(err) {", to: "\t\tif isFull(err) {",
	},
	"a second failed flush does not poison": {
		file: "health.go", from: "now.Sub(h.syncFailed) < poisonWindow", to: "false",
	},
	"a partial write is not cut off": {
		file: "store.go", from: "err := s.active.trim(); err != nil || !full", to: "!full",
	},
	"the directory is not flushed after a new segment": {
		file: "store.go", from: "if err := s.fs.SyncDir(s.dir); err != nil {\n\t\ts.setAside()", to: "if err := error(nil); err != nil {\n\t\ts.setAside()",
	},
	"the directory is not flushed after the seal": {
		file: "store.go", from: "\treturn s.fs.SyncDir(s.dir)\n", to: "\treturn nil\n",
	},
	"a segment is sealed without a flush": {
		file: "store.go", from: "\tif err := s.sync(); err != nil || s.active == nil {\n\t\treturn err", to: "\tif s.active == nil {\n\t\treturn nil",
	},
	"a new segment may be a file that exists": {
		file: "internal/osfs/osfs.go", from: "return openFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL)", to: "return openFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE)",
	},
	"recovery leaves a file active": {
		file: "recovery.go", from: "return r.seal(e, s)\n\t}\n\tr.damaged", to: "return nil\n\t}\n\tr.damaged",
	},
	"recovery drops what follows a damaged line": {
		file: "recovery.go", from: "case s.damagedBefore == 0 && e.ext == extActive:", to: "case e.ext == extActive:",
	},
	"recovery stops at the first damaged line": {
		file: "recovery.go", from: "if errors.Is(err, io.EOF) {\n\t\t\treturn s, nil", to: "if errors.Is(err, io.EOF) || s.damaged > 0 {\n\t\t\treturn s, nil",
	},
	"recovery truncates before it has a copy": {
		file: "recovery.go", from: "if err := r.copyTail(e, s); err != nil {", to: "if err := error(nil); err != nil {",
	},
	"recovery does not flush its copy": {
		file: "recovery.go", from: "errors.Join(err, w.Flush(), f.Sync(), f.Close())", to: "errors.Join(err, w.Flush(), f.Close())",
	},
	"recovery does not flush what it seals": {
		file: "recovery.go", from: "} else if err := r.fs.SyncFile(name); err != nil {", to: "} else if err := error(nil); err != nil {",
	},
	"recovery trusts a suspect file": {
		file: "recovery.go", from: "case s.damaged == 0 && e.ext == extActive:", to: "case s.damaged == 0:",
	},
	"numbers start over": {
		file: "scan.go", from: "return s.last + uint64((s.damagedTail+minLine-1)/minLine)", to: "return 0",
	},
	"numbers of lost lines are reused": {
		file: "scan.go", from: "return s.last + uint64((s.damagedTail+minLine-1)/minLine)", to: "return s.last",
	},
	"an old block is trusted": {
		file: "scan.go", from: "s.good = s.good && s.seq > s.last", to: "s.good = s.good && s.seq > 0",
	},
	"the checksum is not verified": {
		file: "line.go", from: "string(tail[len(crcMember):len(tail)-len(lineEnd)]) != string(want[:]) ||", to: "len(want) != crcDigits ||",
	},
	"the checksum is not verified, seen by flipped bits": {
		file: "line.go", from: "string(tail[len(crcMember):len(tail)-len(lineEnd)]) != string(want[:]) ||", to: "len(want) != crcDigits ||",
		rig: "TestBitFlips",
	},
	"a damaged newline costs two events": {
		file: "scan.go", from: "\tif !s.good {\n\t\ts.repairNewline()\n\t}\n", to: "",
	},
	"a deleted file is not noticed": {
		file: "store.go", from: "if err == nil && size == s.active.length() {", to: "if true || err == nil {",
	},
	"a deleted file is not noticed, seen on a real disk": {
		file: "store.go", from: "if err == nil && size == s.active.length() {", to: "if true || err == nil {",
		rig: "TestActiveFileGone",
	},
	"a full disk is never retried": {
		file: "health.go", from: "case h.failure != nil && time.Now().Before(h.until):", to: "case h.failure != nil:",
	},
	"a full disk is never retried, seen on a real disk": {
		file: "health.go", from: "case h.failure != nil && time.Now().Before(h.until):", to: "case h.failure != nil:",
		rig: "TestDiskFull",
	},
	"the low-water mark is ignored": {
		file: "store.go", from: "free < low", to: "free < 0",
	},
	"the lock is not held": {
		file: "internal/osfs/lock_flock.go", from: "err = ErrLocked", to: "err = nil",
	},
	"writers do not share a flush": {
		file: "queue.go", from: "for n < len(q.requests) && (n == 0 ||", to: "for n < min(1, len(q.requests)) && (n == 0 ||",
	},
	"the committer does not wait for the writers of its last group": {
		file: "queue.go", from: "\tq.awaitExpected(maxBytes, expected, patience)\n", to: "",
	},
	"the committer waits for more writers than there were": {
		file: "queue.go", from: "n > 0 && n < expected && bytes", to: "n > 0 && bytes",
	},
	"the committer does not let writers run": {
		file: "queue.go", from: "\tq.awaitWriters(maxBytes, expected, patience)\n", to: "",
	},
	"a writer that waits does not look at its context": {
		file: "queue.go", from: "r.reminders == 2 {", to: "r.reminders == 0 {",
	},
	"a segment keeps its blank lines": {
		file: "store.go", from: "if g.preallocated <= g.size {", to: "if true || g.preallocated <= g.size {",
	},
	"the end of a segment is cut off only after it is sealed": {
		file: "store.go", from: "\treturn g.file.Sync()\n}\n\n// length", to: "\treturn nil\n}\n\n// length",
	},
	"a lost lock is not noticed": {
		file: "owner.go", from: "err := o.lock.Held()", to: "err := error(nil)",
	},
	"a lost lock is noticed after the acknowledgement": {
		file: "store.go", from: "func (s *store) checkActive() error {\n\tif err := s.owner.verify(); err != nil {", to: "func (s *store) checkActive() error {\n\tif err := error(nil); err != nil {",
	},
	"a lost directory is written to": {
		file: "store.go", from: "if err := s.owner.verify(); err != nil {\n\t\treturn err\n\t}\n\tif err := s.checkRetention()", to: "if err := s.checkRetention()",
	},
	"a cursor is saved to a lost directory": {
		file: "cursor.go", from: "if c.owner != nil {", to: "if c.owner != nil && c.last > maxSeq {",
	},
	"overlapping segments are skipped": {
		file: "overlap.go", from: "case e.first <= top:", to: "case e.first <= top && e.first == 0:",
	},
	"the copy of an overlapping segment is made twice": {
		file: "overlap.go", from: "if newest.first > first && newest.name() != name {", to: "if newest.first > maxSeq {",
	},
	"new numbers may be those of a cursor": {
		file: "journal.go", from: "\tr.raiseLast(last)\n", to: "",
	},
	"a copy with new numbers is not flushed": {
		file: "overlap.go", from: "errors.Join(err, w.Flush(), f.Sync(), f.Close())", to: "errors.Join(err, w.Flush(), f.Close())",
	},
	"a symbolic link is followed": {
		file: "recovery.go", from: "if err := r.setIrregularAside(); err != nil {", to: "if err := error(nil); err != nil {",
	},
	"any number is believed": {
		file: "recovery.go", from: "if s.lines > 0 {\n\t\t\tkept", to: "if s.lines >= 0 {\n\t\t\tkept",
	},
	"numbers that a line cannot hold are used": {
		file: "committer.go", from: "if uint64(s.lines) > maxSeq+1-c.seq {", to: "if s.lines < 0 {",
	},
	"small segments are sealed by age": {
		file: "options.go", from: "if size >= o.MinSegmentBytes {", to: "if size >= 0 {",
	},
	"small segments are not flushed by age": {
		file: "options.go", from: "\treturn o.SegmentAge\n}\n\n// lowWater", to: "\treturn maxSmallAge\n}\n\n// lowWater",
	},
	"a file ahead takes the last free space": {
		file: "ahead.go", from: "free-2*s.opts.SegmentBytes >=", to: "free >=",
	},
}

func allMutants() map[string]mutant {
	all := maps.Clone(mutants)
	maps.Copy(all, deliveryMutants)
	return all
}

func journalDir(t *testing.T) string {
	t.Helper()
	root := strings.TrimSpace(run(t, "go", "list", "-f", "{{.Module.Dir}}", "."))
	return filepath.Join(root, "sinks", "journal")
}

func TestMutantsApply(t *testing.T) {
	dir := journalDir(t)
	for name, m := range allMutants() {
		t.Run(name, func(t *testing.T) { m.apply(t, filepath.Join(dir, m.file)) })
	}
}

// TestMutants takes some seconds for each mutant.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves the mutants out")
	}
	dir := journalDir(t)
	all := allMutants()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			m := all[name]
			if m.rig != "" {
				needRoot(t)
			}
			killers := m.killers(t, dir)
			require.NotEmpty(t, killers, "it lives")
			t.Logf("caught by %s", strings.Join(killers, ", "))
		})
	}
}

// slowTests take most of the time of the package's tests. They run on the mutants that the
// others do not catch.
const slowTests = "^(TestConformance|TestEveryCall|TestDeliverEveryCall|TestTailConcurrent|TestRecoveryInterrupted|TestQueryTools|TestRecoverySpeed|TestGroupProcessors)$"

// killers runs tests on the mutant and returns those that fail. The source tree is not
// changed: the compiler is given the changed file instead of the original.
func (m mutant) killers(t *testing.T, dir string) []string {
	t.Helper()
	name := filepath.Join(dir, m.file)
	overlay := m.overlay(t, name)
	if m.rig != "" {
		return runMutant(t, dir, overlay, "-tags", "torture", "-run", m.rig+"$", "./internal/torture", "-cuts", "6", "-flips", "16")
	}
	if found := runMutant(t, filepath.Dir(name), overlay, "-short", "-skip", slowTests, "."); found != nil {
		return found
	}
	return runMutant(t, filepath.Dir(name), overlay, "-short", "-run", slowTests, ".")
}

// runMutant runs go test in dir, with the mutant that overlay describes.
func runMutant(t *testing.T, dir, overlay string, args ...string) []string {
	t.Helper()
	args = append([]string{"test", "-overlay", overlay, "-vet", "off", "-count", "1", "-failfast", "-timeout", "120s"}, args...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NotContains(t, string(out), "[build failed]", "%s", out)
	if err == nil {
		return nil
	}
	return failed(out)
}

// overlay writes the changed form of a file and the overlay file that makes the compiler
// use it.
func (m mutant) overlay(t *testing.T, name string) string {
	t.Helper()
	temp := t.TempDir()
	changed, overlay := filepath.Join(temp, filepath.Base(name)), filepath.Join(temp, "overlay.json")
	require.NoError(t, os.WriteFile(changed, m.apply(t, name), 0o600))
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{name: changed}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, list, 0o600))
	return overlay
}

// apply returns the changed form of a file.
func (m mutant) apply(t *testing.T, name string) []byte {
	t.Helper()
	source, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(source, []byte(m.from)), "in %s: %s", m.file, m.from)
	return bytes.Replace(source, []byte(m.from), []byte(m.to), 1)
}

var (
	failedTest  = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	runningTest = regexp.MustCompile(`(?m)^\t\t(Test[^\s/]+) \(`) // when time was up
)

// failed returns the tests that failed, or what ended them all.
func failed(out []byte) (names []string) {
	for _, m := range failedTest.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	for _, m := range runningTest.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1])+", which does not end")
	}
	for _, end := range []string{"panic: ", "fatal error: "} {
		if i := bytes.Index(out, []byte(end)); i >= 0 && len(names) == 0 {
			line, _, _ := bytes.Cut(out[i:], []byte("\n"))
			names = append(names, fmt.Sprintf("the end of the tests by %q", line))
		}
	}
	return names
}
