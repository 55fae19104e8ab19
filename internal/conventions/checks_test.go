package conventions_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write api/*.txt and the want.txt of the fixtures anew")

// requireNone fails the test with all findings, one a line.
func requireNone(t *testing.T, findings []finding) {
	t.Helper()
	if len(findings) > 0 {
		t.Errorf("%d findings:\n%s", len(findings), lines(findings))
	}
}

func lines(findings []finding) string {
	var text strings.Builder
	for _, f := range findings {
		text.WriteString(f.String() + "\n")
	}
	return text.String()
}

// fixtures is every check as it runs over the small module of its name in testdata, which
// breaks the rule in every way that the check knows, and keeps it in ways that look alike.
var fixtures = map[string]func(t *testing.T, tr *tree) []finding{
	"api": func(_ *testing.T, tr *tree) (findings []finding) {
		for _, line := range api(tr.pkgs["."]) {
			findings = append(findings, finding{text: line})
		}
		return findings
	},
	"prose": func(t *testing.T, tr *tree) []finding {
		docs, err := proseFiles(tr.dir)
		require.NoError(t, err)
		return slices.Concat(findRetired(docs, []keptWord{
			{file: "prose.go", text: "name of a song", reason: "the song is called that"},
			{file: "prose.go", text: "no such text", reason: "shows that a row without use is found"},
			{file: "prose.md", text: "without a reason"},
		}), findLong(docs))
	},
	"clients": func(_ *testing.T, tr *tree) []finding { return goNamesForClients(tr) },
	"logs":    func(_ *testing.T, tr *tree) []finding { return badLogs(tr) },
	"docs":    func(_ *testing.T, tr *tree) []finding { return undocumented(tr) },
	"options": func(_ *testing.T, tr *tree) []finding {
		return slices.Concat(silentOnNil(tr), withoutDefaults(tr), ownOptionErrors(tr), withoutLogger(tr))
	},
	"documents": func(t *testing.T, tr *tree) []finding {
		docs := markdownFiles(t, tr.dir)
		known, err := testNames(tr.dir)
		require.NoError(t, err)
		return slices.Concat(unknownTests(docs, known), unknownIdentifiers(tr, docs),
			wrongFileTable(tr.pkgs["."], docs[0], "## Files"), wrongImportTable(tr, docs[0], "## Packages"))
	},
	"names":    func(_ *testing.T, tr *tree) []finding { return ambiguousMethods(tr) },
	"examples": func(_ *testing.T, tr *tree) []finding { return withoutExample(tr) },
	"globals":  func(_ *testing.T, tr *tree) []finding { return globalState(tr) },
	"files":    func(_ *testing.T, tr *tree) []finding { return fileCount(tr, 2) },
	"cycles":   func(_ *testing.T, tr *tree) []finding { return fileCycles(tr, 2) },
	"imports": func(_ *testing.T, tr *tree) []finding {
		return wrongImports(tr, map[string][]string{".": {"internal/a"}, "internal/a": {}, "sinks": {"."}})
	},
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	dirs, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, dir := range dirs {
		require.Contains(t, fixtures, dir.Name())
	}
	for name, check := range fixtures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("testdata", name)
			tr, err := load(dir, "example.com/fixture")
			require.NoError(t, err)
			got := lines(check(t, tr))
			require.NotEmpty(t, got)
			requireGolden(t, filepath.Join(dir, "want.txt"), got)
		})
	}
}

// requireGolden compares got with a file, or with -update writes it there.
func requireGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	missing, added := difference(string(want), got)
	for _, line := range missing {
		t.Errorf("%s: missing: %s", file, line)
	}
	for _, line := range added {
		t.Errorf("%s: new: %s", file, line)
	}
	if len(missing)+len(added) > 0 {
		t.Error("if that is wanted, run: go test ./internal/conventions -update")
	}
}

// difference returns the lines that only want has, and those that only got has.
func difference(want, got string) (missing, added []string) {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range w {
		if !slices.Contains(g, line) {
			missing = append(missing, line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			added = append(added, line)
		}
	}
	return missing, added
}
