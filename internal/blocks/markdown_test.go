//go:build unix

package blocks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var repository = filepath.Join("..", "..")

// A block is a block of code of a document.
type block struct {
	doc  string // below the top of the repository
	line int    // of its first line
	lang string // "" if it has none, or is only indented
	text string // ends in a newline
}

// name returns what the table of blocks calls it.
func (b block) name() string {
	first, _, _ := strings.Cut(b.text, "\n")
	return b.doc + ": " + strings.TrimSpace(first)
}

// documents returns the names of the documents: those for users and for contributors. The
// change log has no blocks.
func documents(t *testing.T) (docs []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			doc, err := filepath.Rel(repository, file)
			require.NoError(t, err)
			docs = append(docs, filepath.ToSlash(doc))
		}
	}
	return docs
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(file)))
	require.NoError(t, err)
	return string(text)
}

var (
	fence    = regexp.MustCompile("^( *)```(.*)$")
	indented = regexp.MustCompile(`^ {4,}\S`)
	span     = regexp.MustCompile("`([^`]+)`")
)

// blocksOf returns the blocks of a document, and the commands in its text: spans of code.
func blocksOf(doc, markdown string) (blocks []block, spans []string) {
	var text strings.Builder // outside of blocks
	lines, blank := strings.Split(markdown, "\n"), true
	for i := 0; i < len(lines); i++ {
		opens := fence.FindStringSubmatch(lines[i])
		if opens == nil {
			if blank && indented.MatchString(lines[i]) {
				blocks = append(blocks, block{doc: doc, line: i + 1, text: strings.TrimSpace(lines[i]) + "\n"})
			}
			blank = lines[i] == ""
			text.WriteString(lines[i] + "\n")
			continue
		}
		b := block{doc: doc, line: i + 2, lang: opens[2]}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			b.text += strings.TrimPrefix(lines[i], opens[1]) + "\n"
		}
		blocks = append(blocks, b)
	}
	for _, s := range span.FindAllStringSubmatch(text.String(), -1) {
		spans = append(spans, strings.Join(strings.Fields(s[1]), " "))
	}
	return blocks, spans
}

func TestBlocksOf(t *testing.T) {
	t.Parallel()
	blocks, spans := blocksOf("a.md", "A `go run\n./x`.\n\n```go\na\n\n\tb\n```\n- c:\n\n  ```sh\n  d\n    e\n  ```\n\n    f\n    g\n\n- h\n    i\n")
	require.Equal(t, []block{
		{"a.md", 5, "go", "a\n\n\tb\n"}, {"a.md", 12, "sh", "d\n  e\n"}, {"a.md", 16, "", "f\n"},
	}, blocks)
	require.Equal(t, []string{"go run ./x"}, spans)
	require.Equal(t, "a.md: a", blocks[0].name())
}
