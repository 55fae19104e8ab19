package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Golden runs a parallel subtest for every file that matches pattern, which is that of
// [filepath.Glob]; at least one must. A subtest is named for its file, without the
// extension. It fails unless run, which is given the path and the content of the file,
// returns that content. With the environment variable UPDATE_GOLDEN set, it writes what
// run returns to the file instead.
func Golden(t *testing.T, pattern string, run func(t *testing.T, file, content string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("files that match %s: %d, error %v", pattern, len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, filepath.Ext(name)), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := run(t, file, string(content))
			if os.Getenv("UPDATE_GOLDEN") == "" {
				compare(t, file, string(content), got)
				return
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// compare reports the first line in which two texts differ.
func compare(t *testing.T, file, want, got string) {
	t.Helper()
	if got == want {
		return
	}
	wanted, line := strings.Split(want, "\n"), 1
	for text := range strings.SplitSeq(got, "\n") {
		if line > len(wanted) || wanted[line-1] != text {
			break
		}
		line++
	}
	t.Errorf("%s differs from line %d on\nwant:\n%s\ngot:\n%s", file, line, fromLine(want, line), fromLine(got, line))
}

func fromLine(text string, line int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[min(line-1, len(lines)):], "\n")
}
