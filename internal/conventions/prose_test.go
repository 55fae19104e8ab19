package conventions_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

const (
	maxColumns = 100
	tabColumns = 4
)

// A retiredWord is a word or phrase that a reader has to translate, with what is written
// instead. Each is one that has a better word in every context, so that there is nothing
// to weigh; words that are right in one sense and wrong in another are left to review.
type retiredWord struct {
	pattern string // ignores upper and lower case, and a space is any white space
	except  string // longer phrases that contain the pattern and are right
	instead string
	// commentsOnly leaves strings alone: there it is a name, or data of a client.
	commentsOnly bool
}

var retiredWords = []retiredWord{
	{pattern: `for good`, instead: "permanently"},
	{pattern: `mend(s|ed|ing|er|able)?`, instead: "repair, fix"},
	{pattern: `dear(er|est|ly)?`, instead: "expensive"},
	{pattern: `whoever`, instead: "a caller that …, or the passive"},
	{pattern: `vouch(es|ed|ing)?`, instead: "authenticate, confirm"},
	{pattern: `nobody`, except: `http\.NoBody`, instead: "no caller, no client, or the passive"},
	{
		pattern: `at a time`, instead: "concurrently, in flight",
		except: `(one|an?|single)( [\w-]+){0,3} at a time|at a time (when|that|of)`,
	},
	{pattern: `for ever`, instead: "forever"},
	{pattern: `look-ups?`, instead: "lookup"},
	{pattern: `but for`, instead: "except"},
	{pattern: `to be had`, instead: "available"},
	{pattern: `told`, except: `told (apart|from)`, instead: "notified, returned, sent, reported", commentsOnly: true},
	{pattern: `besides?`, instead: "next to, in addition to, as well as"},
	{pattern: `in small letters`, instead: "in lower case"},
	{pattern: `for what (that|it) is worth`, instead: "(leave it out)"},
	{pattern: `now and then`, instead: "periodically, occasionally"},
	{pattern: `hasten(s|ed|ing)?`, instead: "flush, speed up"},
	{pattern: `letterbox(es)?`, instead: "dead-letter journal"},
	{pattern: `half of a surrogate( pair)?`, instead: "unpaired surrogate"},
	{pattern: `the collector`, instead: "the garbage collector", commentsOnly: true},
	{pattern: `whom`, instead: "that, which, who"},
	{pattern: `(after|of|for|with) so (many|long)`, instead: "a number of, a time"},
	{pattern: `to no end`, instead: "without benefit"},
	{
		pattern: `(stands?|stood) (in|at|on|under|above|below|between|behind|before|after|twice|there|left|right|first|last)`,
		instead: "is, appears, is set, is written", commentsOnly: true,
	},
	{
		pattern: `(is|are|was|were) no (valid |plain )?(JSON|objects?|arrays?|lists?|strings?|numbers?|URLs?|enrichers?|integers?)`,
		except:  `there (is|are|was|were) no`, instead: "is not a",
	},
}

// A keptWord is a retired word that is right where it is. The text is some of the words
// around it.
type keptWord struct{ file, text, reason string }

// keptWords is all of them. A row that nothing matches is a finding too.
var keptWords []keptWord

func TestProse(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs(repositoryDir)
	require.NoError(t, err)
	docs, err := proseFiles(dir)
	require.NoError(t, err)
	require.NotEmpty(t, docs)
	t.Run("words", func(t *testing.T) {
		t.Parallel()
		if testkit.Race {
			t.Skip("has no concurrency, and takes 20 times as long under the race detector")
		}
		requireNone(t, findRetired(docs, keptWords))
	})
	t.Run("columns", func(t *testing.T) {
		t.Parallel()
		requireNone(t, findLong(docs))
	})
}

// A document is a Go or Markdown file of the repository.
type document struct {
	name     string // below the repository
	src      []byte
	passages []passage
}

// A passage is a group of comments or a string of a Go file, or a paragraph of a Markdown
// file, without the comment markers.
type passage struct {
	line    int
	text    string
	comment bool
}

// proseFiles reads the Go and Markdown files in dir, those of nested modules too. It
// leaves out what tests feed to the code, and this package, which has the words.
func proseFiles(dir string) (docs []document, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		switch ext := filepath.Ext(name); {
		case err != nil:
			return err
		case d.IsDir() && name != dir && (isHidden(d.Name()) || d.Name() == "testdata" || filepath.ToSlash(rel) == "internal/conventions"):
			return filepath.SkipDir
		case !d.IsDir() && (ext == ".go" || ext == ".md"):
			doc, err := readDocument(name, filepath.ToSlash(rel))
			docs = append(docs, doc)
			return err
		}
		return nil
	})
	return docs, err
}

func readDocument(file, rel string) (document, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return document{}, err
	}
	doc := document{name: rel, src: src}
	if filepath.Ext(rel) == ".md" {
		line := 1
		for _, text := range strings.SplitAfter(string(src), "\n\n") {
			doc.passages = append(doc.passages, passage{line: line, text: text, comment: true})
			line += strings.Count(text, "\n")
		}
		return doc, nil
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return document{}, err
	}
	for _, group := range parsed.Comments {
		var text strings.Builder
		for _, c := range group.List {
			text.WriteString(strings.TrimPrefix(c.Text, "//") + "\n")
		}
		doc.passages = append(doc.passages, passage{line: fset.Position(group.Pos()).Line, text: text.String(), comment: true})
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			doc.passages = append(doc.passages, passage{line: fset.Position(lit.Pos()).Line, text: lit.Value})
		}
		return true
	})
	slices.SortStableFunc(doc.passages, func(a, b passage) int { return cmp.Compare(a.line, b.line) })
	return doc, nil
}

// findRetired finds retired words in comments, strings and Markdown.
func findRetired(docs []document, kept []keptWord) (findings []finding) {
	used := make([]bool, len(kept))
	docs = withAnyRetired(docs)
	for _, word := range retiredWords {
		pattern, except := phrase(word.pattern), phrase(word.except)
		for _, doc := range docs {
			for _, p := range doc.passages {
				if word.commentsOnly && !p.comment {
					continue
				}
				right := except.FindAllStringIndex(p.text, -1)
				for _, at := range pattern.FindAllStringIndex(p.text, -1) {
					if slices.ContainsFunc(right, func(r []int) bool { return r[0] <= at[0] && at[0] < r[1] }) {
						continue
					}
					around := context(p.text, at)
					if i := slices.IndexFunc(kept, func(row keptWord) bool { return row.file == doc.name && strings.Contains(around, row.text) }); i >= 0 {
						used[i] = true
						continue
					}
					findings = append(findings, finding{
						file: doc.name, line: p.line + strings.Count(p.text[:at[0]], "\n"),
						text: fmt.Sprintf("%q: write %q instead: … %s …", strings.Join(strings.Fields(p.text[at[0]:at[1]]), " "), word.instead, around),
					})
				}
			}
		}
	}
	for i, row := range kept {
		if !used[i] || row.reason == "" {
			findings = append(findings, finding{file: row.file, text: fmt.Sprintf("nothing here says %q, or its row in keptWords has no reason", row.text)})
		}
	}
	return sorted(findings)
}

// withAnyRetired returns the documents with only those passages that contain a retired word:
// one search for all of them is faster than one for each.
func withAnyRetired(docs []document) (few []document) {
	var patterns []string
	for _, word := range retiredWords {
		patterns = append(patterns, word.pattern)
	}
	anyOf := phrase(strings.Join(patterns, "|"))
	for _, doc := range docs {
		doc.passages = slices.DeleteFunc(slices.Clone(doc.passages), func(p passage) bool { return !anyOf.MatchString(p.text) })
		few = append(few, doc)
	}
	return few
}

// phrase compiles a pattern that matches whole words; an empty one matches nothing.
func phrase(pattern string) *regexp.Regexp {
	if pattern == "" {
		return regexp.MustCompile(`[^\s\S]`)
	}
	return regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(pattern, " ", `\s+`) + `)\b`)
}

// context returns the words around a match.
func context(text string, at []int) string {
	from, to := max(0, at[0]-40), min(len(text), at[1]+40)
	return strings.Join(strings.Fields(strings.ToValidUTF8(text[from:to], "")), " ")
}

// findLong finds lines of comments and of Markdown that are too long to read side by side
// with something else.
func findLong(docs []document) (findings []finding) {
	for _, doc := range docs {
		isLong := longMarkdown()
		if filepath.Ext(doc.name) == ".go" {
			isLong = longComment()
		}
		n := 0
		for line := range bytes.Lines(doc.src) {
			n++
			text := strings.TrimRight(string(line), "\r\n")
			if isLong(text) {
				findings = append(findings, finding{file: doc.name, line: n, text: fmt.Sprintf("%d columns, at most %d: %s", columns(text), maxColumns, text)})
			}
		}
	}
	return sorted(findings)
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
}

var (
	onlyLink = regexp.MustCompile(`^\s*([-*>]|//|\[[^\]]*\]:)?\s*(\[[^\]]*\]\(\S+\)|<?https?://\S+)[.,;]?$`)
	goOutput = regexp.MustCompile(`(?i)^\s*//\s*(unordered )?output:`)
)

// longMarkdown returns a function that is given the lines of a file one after another and
// reports those that are too long. A table's row, code and a link cannot be wrapped.
func longMarkdown() func(line string) bool {
	fence := ""
	return func(line string) bool {
		text := strings.TrimSpace(line)
		mark := text[:len(text)-len(strings.TrimLeft(text, "`~"))]
		switch {
		case fence == "" && len(mark) >= 3:
			fence = mark
			return false
		case fence != "":
			if strings.HasPrefix(text, fence) {
				fence = ""
			}
			return false
		}
		return columns(line) > maxColumns && !strings.HasPrefix(text, "|") && !onlyLink.MatchString(line)
	}
}

// longComment is longMarkdown for a Go file. It counts lines that are nothing but a comment,
// and leaves out directives and the output of examples, which has the form of the code's.
func longComment() func(line string) bool {
	output := false
	return func(line string) bool {
		text := strings.TrimSpace(line)
		if !strings.HasPrefix(text, "//") {
			output = false
			return false
		}
		output = output || goOutput.MatchString(text)
		directive := len(text) > 2 && text[2] != ' ' && text[2] != '\t'
		return columns(line) > maxColumns && !output && !directive && !onlyLink.MatchString(text)
	}
}
