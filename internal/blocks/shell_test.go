//go:build unix

package blocks

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/inlet-go/inlet"

// commands is the commands that documents may have without a row in the table of blocks, each with
// what it names.
var commands = []struct {
	form  *regexp.Regexp
	names func(t *testing.T, parts []string)
}{
	{regexp.MustCompile(`^go get ` + module + `(@\w+)?$`), func(*testing.T, []string) {}},
	{regexp.MustCompile(`^go install ` + module + `/(\S+)@latest$`), func(t *testing.T, p []string) { requireProgram(t, p[1]) }},
	{regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*go run \./(\S+)(.*)$`), func(t *testing.T, p []string) {
		requireProgram(t, p[1])
		requireFlags(t, p[1], p[2])
	}},
	{regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*inlet (\w+)( .*)?$`), func(t *testing.T, p []string) {
		requireProgram(t, "cmd/inlet")
		require.Contains(t, packageSources(t, "cmd/inlet"), `"`+p[1]+`"`, "inlet has no command %s", p[1])
		requireFlags(t, "cmd/inlet", p[2])
	}},
	{regexp.MustCompile(`^go run \.(.*)$`), func(*testing.T, []string) {}}, // of the example that the document belongs to
	{regexp.MustCompile(`^go test work$`), func(*testing.T, []string) {}},
	{regexp.MustCompile(`^go test(( .*?)?) (\.\S*)( .*)?$`), func(t *testing.T, p []string) { requireTests(t, p[3], p[1]+p[4]) }},
	{regexp.MustCompile(`^go test -c -o bench\.test \./(internal/bench)$`), func(t *testing.T, p []string) { requirePackage(t, p[1]) }},
	{regexp.MustCompile(`^cd (internal/bench) && chrt -r 1 (?:taskset -c 1 )?\.\./\.\./bench\.test (.*)$`), func(t *testing.T, p []string) {
		requireTests(t, p[1], p[2])
	}},
	{regexp.MustCompile(`^go build -tags heavy -o peers\.bin \./(internal/bench/peers)$`), func(t *testing.T, p []string) {
		requireProgram(t, p[1])
		requireTests(t, p[1], "-tags heavy")
	}},
	{regexp.MustCompile(`^chrt -r 1 \./peers\.bin$`), func(*testing.T, []string) {}},
	{regexp.MustCompile(`^go doc (?:-all )?(\S+)$`), func(t *testing.T, p []string) { requirePackage(t, p[1]) }},
	{regexp.MustCompile(`^bash \.ci/run ?(\S*)$`), func(t *testing.T, p []string) { requireStep(t, p[1]) }},
	{regexp.MustCompile(`^npm install --prefix (\S+)$`), func(t *testing.T, p []string) { requireFile(t, p[1]+"/package.json") }},
	{regexp.MustCompile(`^cd (\S+)$`), func(t *testing.T, p []string) { requireFile(t, p[1]) }},
}

var command = regexp.MustCompile(`^(go (get|install|run|test|doc) \S|bash \.ci/run|npm install )`)

// isCommand reports whether a span of code in a text is one of the commands.
func isCommand(span string) bool { return command.MatchString(span) && !strings.HasSuffix(span, "…") }

// requireCommands checks each line of a block.
func requireCommands(t *testing.T, b block) {
	t.Helper()
	for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" {
			requireCommand(t, line)
		}
	}
}

// requireCommand requires that what a command names exists.
func requireCommand(t *testing.T, line string) {
	t.Helper()
	for _, c := range commands {
		if parts := c.form.FindStringSubmatch(line); parts != nil {
			c.names(t, parts)
			return
		}
	}
	require.Fail(t, "no command that the test knows", "%s: add a row for the block, or a form of command", line)
}

func requireFile(t *testing.T, file string) {
	t.Helper()
	_, err := os.Stat(filepath.Join(repository, filepath.FromSlash(file)))
	require.NoError(t, err)
}

// packageSources returns the text of all Go files of a package, or with "..." those below it too.
func packageSources(t *testing.T, dir string) string {
	t.Helper()
	files, err := sources()
	require.NoError(t, err)
	dir, below := strings.CutSuffix(path.Clean(dir), "/...")
	var text strings.Builder
	for name, source := range files {
		if path.Dir(name) == dir || below && strings.HasPrefix(name, dir+"/") || dir == "..." {
			text.WriteString(source)
		}
	}
	return text.String()
}

func requirePackage(t *testing.T, dir string) {
	t.Helper()
	require.NotEmpty(t, packageSources(t, dir), "there is no package %s", dir)
}

func requireProgram(t *testing.T, dir string) {
	t.Helper()
	require.Contains(t, packageSources(t, dir), "\nfunc main() {", "%s is no program", dir)
}

var (
	aFlag    = regexp.MustCompile(` -([a-z][\w.-]*)`)
	selected = regexp.MustCompile(`-(?:test\.)?(run|bench|fuzz)[ =]'?([^' ]+)'?`)
	tags     = regexp.MustCompile(`-tags[ =](\w+)`)
)

// requireFlags requires that the program in dir has the flags.
func requireFlags(t *testing.T, dir, args string) {
	t.Helper()
	source := packageSources(t, dir+"/...")
	for _, f := range aFlag.FindAllStringSubmatch(args, -1) {
		if f[1] != "h" {
			require.Contains(t, source, `"`+f[1]+`"`, "%s has no flag -%s", dir, f[1])
		}
	}
}

// ofGoTest are flags of go test itself.
var ofGoTest = map[string]bool{
	"run": true, "bench": true, "fuzz": true, "fuzztime": true, "fuzzminimizetime": true, "v": true, "count": true, "tags": true,
	"timeout": true, "short": true, "race": true, "benchtime": true, "benchmem": true, "cpu": true, "c": true, "o": true,
}

// requireTests requires that a package has the tests, build tags and flags of a command.
func requireTests(t *testing.T, dir, args string) {
	t.Helper()
	source := packageSources(t, dir)
	require.NotEmpty(t, source, "there is no package %s", dir)
	for _, s := range selected.FindAllStringSubmatch(args, -1) {
		kind := map[string]string{"run": "(Test|Example)", "bench": "Benchmark", "fuzz": "Fuzz"}[s[1]]
		if pattern, _, _ := strings.Cut(s[2], "/"); pattern != "^$" {
			requireSelects(t, source, kind, pattern)
		}
	}
	for _, tag := range tags.FindAllStringSubmatch(args, -1) {
		require.Regexp(t, `(?m)^//go:build .*\b`+tag[1]+`\b`, source)
	}
	for _, f := range aFlag.FindAllStringSubmatch(" "+args, -1) {
		if name := strings.TrimPrefix(f[1], "test."); !ofGoTest[name] {
			require.Contains(t, source, `"`+f[1]+`"`, "%s has no flag -%s", dir, f[1])
		}
	}
}

// requireSelects requires that each alternative of a pattern selects a function of a kind.
func requireSelects(t *testing.T, source, kind, pattern string) {
	t.Helper()
	functions := regexp.MustCompile(`(?m)^func (`+kind+`\w*)\(`).FindAllStringSubmatch(source, -1)
	for _, alternative := range alternatives(pattern) {
		form, err := regexp.Compile(alternative)
		require.NoError(t, err, pattern)
		selects := func(f []string) bool { return form.MatchString(f[1]) }
		require.True(t, slices.ContainsFunc(functions, selects), "nothing is selected by %s", alternative)
	}
}

var group = regexp.MustCompile(`\(([^()]*\|[^()]*)\)`)

// alternatives returns the patterns that a pattern with "|" stands for.
func alternatives(pattern string) (all []string) {
	at := group.FindStringSubmatchIndex(pattern)
	if at == nil {
		return strings.Split(pattern, "|")
	}
	for inside := range strings.SplitSeq(pattern[at[2]:at[3]], "|") {
		all = append(all, alternatives(pattern[:at[0]]+inside+pattern[at[1]:])...)
	}
	return all
}

func TestAlternatives(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		"TestA": {"TestA"}, "TestA|TestB$": {"TestA", "TestB$"}, "TestA(B)?|TestC": {"TestA(B)?", "TestC"},
		"^Test(A|B(C|D))$": {"^TestA$", "^TestBC$", "^TestA$", "^TestBD$"}, // one twice does no harm
	} {
		require.ElementsMatch(t, want, alternatives(pattern), pattern)
	}
}

func requireStep(t *testing.T, step string) {
	t.Helper()
	if step != "" && step != "full" && step != "help" && step != "STEP" {
		require.Contains(t, readFile(t, ".ci/run"), "\n    "+step+") echo ", "there is no step %s", step)
	}
}
