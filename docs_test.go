package inlet

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README's table of limits has the defaults of the code.
func TestReadmeDefaults(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	o, err := (*Options)(nil).withDefaults()
	require.NoError(t, err)
	l, err := Limits{}.withDefaults()
	require.NoError(t, err)
	p, err := PayloadLimits{}.withDefaults()
	require.NoError(t, err)
	for _, row := range []string{
		fmt.Sprintf("| single event | %s bytes (SegmentStream %s) |", grouped(l.EventBytes), grouped(maxHitBytes)),
		fmt.Sprintf("| batch | %s bytes decompressed, %s events |", grouped(int(l.BatchBytes)), grouped(l.Events)),
		fmt.Sprintf("| import | %d MiB decompressed |", maxImportBytes>>20),
		fmt.Sprintf("a body may grow %d times, once 64 KiB are out |", p.MaxRatio),
		fmt.Sprintf("| nesting, names in an event | %d, %s |", l.Depth, grouped(l.Members)),
		fmt.Sprintf("| `messageId` | %d characters |", l.MessageIDLength),
		fmt.Sprintf("| %.0f s, %.0f s |", p.ReadTimeout.Seconds(), o.WriteTimeout.Seconds()),
		fmt.Sprintf("| %s; %d MiB; then 503 |", grouped(o.MaxInFlight), p.MaxBytesInFlight>>20),
		fmt.Sprintf("| about %d ms, then 503 |", o.MaxQueueTime.Milliseconds()),
	} {
		require.Contains(t, string(readme), row)
	}
}

// The description of the API has the limits of the code.
func TestOpenAPILimits(t *testing.T) {
	t.Parallel()
	l, err := Limits{}.withDefaults()
	require.NoError(t, err)
	p, err := PayloadLimits{}.withDefaults()
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprintf("an event has %s bytes, %d levels and %s names", grouped(l.EventBytes), l.Depth, grouped(l.Members)),
		fmt.Sprintf("a batch %s bytes when decompressed, and %s events", grouped(int(l.BatchBytes)), grouped(l.Events)),
		fmt.Sprintf("At most %s bytes and %s events of at most %s bytes each.", grouped(int(l.BatchBytes)), grouped(l.Events), grouped(l.EventBytes)),
		fmt.Sprintf(`"maxItems": %d`, l.Events),
		fmt.Sprintf("a message id %d characters; a query %d KiB. A body has %.0f seconds to arrive.", l.MessageIDLength, maxQuery>>10, p.ReadTimeout.Seconds()),
		fmt.Sprintf(`"maxLength": %d`, l.MessageIDLength),
		fmt.Sprintf("A batch of at most %d MiB.", maxImportBytes>>20),
		fmt.Sprintf("JSON in UTF-8, at most %s bytes.", grouped(l.EventBytes)),
		fmt.Sprintf("JSON in UTF-8, at most %s bytes.", grouped(maxHitBytes)),
		fmt.Sprintf(`"schema": {"type": "string", "maxLength": %d}`, maxKeyBytes),
	} {
		require.Contains(t, string(openAPI), text)
	}
}

// grouped writes a number with a comma before each three digits.
func grouped(n int) string {
	digits, groups := strconv.Itoa(n), regexp.MustCompile(`(\d)(\d{3})(,|$)`)
	for groups.MatchString(digits) {
		digits = groups.ReplaceAllString(digits, "$1,$2$3")
	}
	return digits
}

// The README and DURABILITY.md have the same sentence about what a 200 means.
func TestReadmePromise(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	durability, err := os.ReadFile("docs/DURABILITY.md")
	require.NoError(t, err)
	promise := regexp.MustCompile(`(?m)^\| .SyncAlways. \(default\) \| \*\*(.+)\*\* \|`).FindSubmatch(durability)
	require.NotNil(t, promise)
	require.Contains(t, string(readme), "| fsync | "+string(promise[1])+" | the journal, by default |")
}

// The README lists each document and each example once.
func TestReadmeLists(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, list, found := strings.Cut(string(readme), "\n## Further reading\n")
	require.True(t, found)
	documents, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	examples, err := filepath.Glob("examples/*/main.go")
	require.NoError(t, err)
	require.NotEmpty(t, examples)
	for _, file := range append(documents, examples...) {
		file = strings.TrimSuffix(filepath.ToSlash(file), "/main.go")
		require.Equal(t, 1, strings.Count(list, "]("+file+")"), file)
	}
}

// The golden files that the pages name exist. Package conventions does the same for tests.
func TestDocsFiles(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	named := 0
	for _, page := range append(pages, "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, file := range goldenPattern.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(file[1], "…") && !strings.Contains(file[1], "NAME") {
				named++
				_, err := os.Stat(file[1])
				require.NoError(t, err, page)
			}
		}
	}
	require.Greater(t, named, 100)
}

// Each row of the tables about odd requests and about answers names something that shows it.
func TestDocsRows(t *testing.T) {
	t.Parallel()
	for page, from := range map[string]string{
		"docs/DIALECTS.md": "\n## Odd requests\n", "docs/SINKS.md": "\n## How answers are understood\n",
	} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		_, section, found := strings.Cut(string(text), from)
		require.True(t, found)
		section, _, _ = strings.Cut(section, "\n## ")
		rows := 0
		for line := range strings.SplitSeq(section, "\n") {
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| request |") || strings.HasPrefix(line, "| answer |") {
				continue
			}
			rows++
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			require.Len(t, cells, 3, line)
			require.Regexp(t, "^`[A-Za-z]", cells[2], line)
		}
		require.Greater(t, rows, 15)
	}
}

var (
	testPattern   = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Za-z0-9_]+)(?:/[^`]*)?`") // the subtest may be named too
	goldenPattern = regexp.MustCompile("`(testdata/[^`]+)`")
)

// traps is how many the survey of the protocols numbers.
const traps = 54

func TestDialectsDoc(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/DIALECTS.md")
	require.NoError(t, err)
	text := string(page)

	t.Run("every trap has a line that says what shows it", func(t *testing.T) {
		t.Parallel()
		for n := 1; n <= traps; n++ {
			_, rest, found := strings.Cut(text, fmt.Sprintf("\n| %d | ", n))
			require.True(t, found, "trap %d", n)
			line, _, _ := strings.Cut(rest, "\n")
			require.Equal(t, 3, strings.Count(line, "|"), line)
			require.True(t, testPattern.MatchString(line) || goldenPattern.MatchString(line), line)
		}
	})

	t.Run("it names every body that the documents print", func(t *testing.T) {
		t.Parallel()
		files, err := filepath.Glob("testdata/metarouter/printed_*.golden")
		require.NoError(t, err)
		require.Len(t, files, 10)
		for _, file := range files {
			require.Contains(t, text, "`"+filepath.ToSlash(file)+"`")
		}
	})
}

// vendorNames are fields, parameters and headers of one vendor alone.
var vendorNames = []string{
	"hitId", "emailHash", "projectId", "event_name", "event_id", "event_timestamp", "tc_s", "consistent_anonymous_id",
	"consent_categories", "page_view", "_metarouter", "appId", "eventName", "eventID", "anonymousID", "userID",
	"X-Event-Metadata", "sourceConfig", "Anonymousid", "Sentat", "Segment.io", "sampleRate",
}

var vendorNamePattern = regexp.MustCompile(`(^|[^\w-])(` + strings.Join(vendorNames, "|") + `)([^\w-]|$)`)

// vendorFiles are the files that may have them.
var vendorFiles = regexp.MustCompile(`^(dialect_\w+|internal/commandersact/\w+)\.go$`)

func TestVendorNames(t *testing.T) {
	t.Parallel()
	found := 0
	for _, dir := range []string{".", "middleware", "sinks", "sinktest", "internal/wire", "internal/timestamp", "internal/commandersact"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			names := vendorNamesIn(t, file)
			if vendorFiles.MatchString(filepath.ToSlash(file)) {
				found += len(names)
				continue
			}
			require.Empty(t, names, "%s knows fields of a vendor", file)
		}
	}
	require.Greater(t, found, 10, "the dialects were to have some")
}

// vendorNamesIn returns the names that the string literals of a file hold.
func vendorNamesIn(t *testing.T, file string) (names []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(tree, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		names = append(names, vendorNamePattern.FindAllString(text, -1)...)
		return true
	})
	return names
}
