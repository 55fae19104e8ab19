package middleware

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/order"
)

// Every place that shows the order of the layers shows that of the table.
func TestOrder(t *testing.T) {
	t.Parallel()
	var all, usual []string
	for _, row := range order.Layers() {
		all = append(all, row.Name)
		if !row.Rare {
			usual = append(usual, row.Name)
		}
	}

	t.Run("the package documentation gives the reasons", func(t *testing.T) {
		t.Parallel()
		doc := strings.Join(strings.Fields(strings.ReplaceAll(read(t, "doc.go"), "//", " ")), " ")
		for _, row := range order.Layers() {
			require.Contains(t, doc, "- "+row.Name+" "+row.Why)
		}
	})
	for _, tt := range []struct {
		file string
		text func(*testing.T, string) string
		want []string
	}{
		{"doc.go", layersLine, all},
		{"../doc.go", layersLine, usual},
		{"../docs/DESIGN.md", layersBlock, usual},
		{"../docs/OPERATIONS.md", layersBlock, usual},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, named(tt.text(t, tt.file)))
		})
	}
	t.Run("OPERATIONS.md has every rule", func(t *testing.T) {
		t.Parallel()
		page := read(t, "../docs/OPERATIONS.md")
		for _, rule := range order.Rules() {
			if rule.Spoils != "" {
				require.Contains(t, page, fmt.Sprintf("\n| %v | %v | %s |\n", rule.Outer, rule.Inner, rule.Spoils))
			}
		}
		for _, row := range order.Layers() {
			if row.Twice != "" {
				require.Contains(t, page, fmt.Sprintf("\n| %s | %s |\n", row.Name, row.Twice))
			}
		}
	})
	t.Run("../README.md", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, layersBlock(t, "../README.md"), "middleware.Standard(", "which is in order, as TestRightWiring shows")
	})
	examples, err := filepath.Glob("../examples/*/*.go")
	require.NoError(t, err)
	for _, file := range append(examples, "example_test.go") {
		if !strings.Contains(read(t, file), "middleware.Chain(") {
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			requireChains(t, file, read(t, file))
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// layersLine returns the paragraph of a file's comment that begins with "layers:".
func layersLine(t *testing.T, file string) string {
	t.Helper()
	var paragraph []string
	for line := range strings.Lines(read(t, file)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "//"))
		if len(paragraph) > 0 && line == "" {
			return strings.Join(paragraph, " ")
		}
		if len(paragraph) > 0 || strings.HasPrefix(line, "layers:") {
			paragraph = append(paragraph, line)
		}
	}
	require.Fail(t, "no line begins with layers:", file)
	return ""
}

// layersBlock returns the part of a document between the marks. Of a table it returns the first
// column.
func layersBlock(t *testing.T, file string) string {
	t.Helper()
	_, block, begun := strings.Cut(read(t, file), "<!-- layers -->\n")
	block, _, ended := strings.Cut(block, "<!-- /layers -->")
	require.True(t, begun && ended, "%s has no marks around the layers", file)
	var text strings.Builder
	for line := range strings.Lines(block) {
		if cells := strings.Split(line, "|"); cells[0] == "" && len(cells) > 2 {
			line = cells[1] + "\n"
		}
		text.WriteString(line)
	}
	return text.String()
}

// named returns the layers that a text names, in the order in which each is named first. It
// ignores case and everything that is not a letter: "request id" names RequestID, and "limit by
// IP" names RateLimit by IP.
func named(text string) []string {
	letters := func(text string) string {
		return strings.Map(func(r rune) rune {
			if !unicode.IsLetter(r) {
				return -1
			}
			return unicode.ToLower(r)
		}, text)
	}
	text = letters(text)
	at := map[string]int{}
	var layers []string
	for _, row := range order.Layers() {
		if at[row.Name] = strings.Index(text, strings.TrimPrefix(letters(row.Name), "rate")); at[row.Name] >= 0 {
			layers = append(layers, row.Name)
		}
	}
	slices.SortStableFunc(layers, func(a, b string) int { return at[a] - at[b] })
	return layers
}

// requireChains requires that Go code has chains, and that each of their layers is inside those
// that must be outside of it.
func requireChains(t *testing.T, name, code string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, code, 0)
	require.NoError(t, err)
	chains := 0
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || function(call) != "Chain" {
			return true
		}
		chains++
		var layers []string
		for _, arg := range call.Args {
			layers = append(layers, layerOf(t, arg))
		}
		for _, rule := range order.Rules() {
			outer, inner := rule.Outer.String(), rule.Inner.String()
			if i, j := slices.Index(layers, outer), slices.Index(layers, inner); j >= 0 {
				require.Less(t, i, j, "%s must be outside of %s", outer, inner)
			}
		}
		return true
	})
	require.NotZero(t, chains, "no call of middleware.Chain")
}

// function returns the function of this package that is called, if it is one.
func function(call *ast.CallExpr) string {
	if f, ok := call.Fun.(*ast.SelectorExpr); ok {
		if pkg, ok := f.X.(*ast.Ident); ok && pkg.Name == "middleware" {
			return f.Sel.Name
		}
	}
	return ""
}

// layerOf returns the name in the table of the layer that an expression makes, if it is one.
func layerOf(t *testing.T, e ast.Expr) string {
	t.Helper()
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	name := function(call)
	if name != "RateLimit" {
		return name
	}
	var code strings.Builder
	require.NoError(t, format.Node(&code, token.NewFileSet(), call))
	if strings.Contains(code.String(), "middleware.BySource") {
		return name + " by source"
	}
	return name + " by IP"
}
