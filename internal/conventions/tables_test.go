package conventions_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// The tables of the documents that are made from the code, between two marks.
func TestTables(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	for name, table := range map[string]struct {
		doc  string
		rows []string
	}{
		"codes":           {"docs/OPERATIONS.md", codeRows(t, constants(tr.pkgs["."], "errors.go"))},
		"migration codes": {"docs/MIGRATION.md", migrationRows(t, constants(tr.pkgs["internal/commandersact"], "report.go"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Greater(t, len(table.rows), 10)
			requireBlock(t, filepath.Join(repositoryDir, table.doc), name, strings.Join(table.rows, "\n"))
		})
	}
}

// The table of codes in the description of the API is that of OPERATIONS.md.
func TestOpenAPICodes(t *testing.T) {
	t.Parallel()
	rows := codeRows(t, constants(repositoryTree(t).pkgs["."], "errors.go"))
	file := filepath.Join(repositoryDir, "openapi.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var document struct {
		Components struct {
			Schemas struct{ Code struct{ Description string } }
		}
	}
	require.NoError(t, json.Unmarshal(text, &document))
	have := document.Components.Schemas.Code.Description
	about, _, ok := strings.Cut(have, "| code |")
	require.True(t, ok)
	want := about + strings.Join(rows, "\n")
	if *update && have != want {
		text := strings.Replace(string(text), inJSON(t, have), inJSON(t, want), 1)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	require.Equal(t, want, have, "openapi.json; run: go test ./internal/conventions -update")
}

// inJSON returns a text as it is written in the description.
func inJSON(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(text))
	return strings.TrimSpace(b.String())
}

// The steps of a request are those that serve calls, in three places.
func TestSteps(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	steps := append(callsOf(t, tr.pkgs["."].shipped["handler.go"], "serve", "c"), "answer")
	require.Greater(t, len(steps), 5)

	design := block(t, filepath.Join(repositoryDir, "docs", "DESIGN.md"), "steps")
	var named []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \|`).FindAllStringSubmatch(design, -1)[1:] {
		named = append(named, row[1])
	}
	require.Equal(t, steps, named, "docs/DESIGN.md")

	named = nil
	doc := tr.pkgs["."].shipped["doc.go"].Doc.Text()
	for _, row := range regexp.MustCompile(`(?m)^\s+\d+ (\w+) `).FindAllStringSubmatch(doc, -1) {
		named = append(named, row[1])
	}
	require.Equal(t, steps, named, "doc.go")
}

// callsOf returns the names of the methods that a function calls on a variable, in order.
func callsOf(t *testing.T, file *ast.File, function, variable string) (names []string) {
	t.Helper()
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == variable {
						names = append(names, sel.Sel.Name)
					}
				}
			}
			return true
		})
	}
	return names
}

// A codeConstant is a string constant of the type Code, with its comment.
type codeConstant struct{ name, value, comment string }

func constants(p *pkg, file string) (all []codeConstant) {
	for _, decl := range p.shipped[file].Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Code" {
				continue
			}
			value, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			all = append(all, codeConstant{v.Names[0].Name, value, strings.Join(strings.Fields(v.Doc.Text()), " ")})
		}
	}
	return all
}

// codeRows has a row for each code: "CodeX: when. SDKs …. Fix: how."
func codeRows(t *testing.T, codes []codeConstant) []string {
	t.Helper()
	rows := []string{"| code | status | retry | when, and what to do |", "|---|--:|---|---|"}
	for _, c := range codes {
		text, ok := strings.CutPrefix(c.comment, c.name+": ")
		require.True(t, ok, "the comment of %s does not begin with %q", c.name, c.name+": ")
		when, fix, ok := strings.Cut(text, " Fix: ")
		require.True(t, ok, "the comment of %s has no %q", c.name, "Fix: ")
		retry := "no"
		if code := inlet.Code(c.value); code.Retryable() {
			retry = "yes"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %d | %s | %s%s %s |",
			c.value, inlet.Code(c.value).Status(), retry, strings.ToUpper(when[:1]), when[1:], fix))
	}
	return rows
}

// migrationRows has a row for each code: "CodeX means that …. The sender should …."
func migrationRows(t *testing.T, codes []codeConstant) []string {
	t.Helper()
	rows := []string{"| code | meaning |", "|---|---|"}
	for _, c := range codes {
		text, ok := strings.CutPrefix(c.comment, c.name+" means that ")
		require.True(t, ok, "the comment of %s does not begin with %q", c.name, c.name+" means that")
		rows = append(rows, fmt.Sprintf("| `%s` | %s%s |", c.value, strings.ToUpper(text[:1]), text[1:]))
	}
	return rows
}

// block returns what a document has between the marks of a name.
func block(t *testing.T, doc, name string) string {
	t.Helper()
	text, err := os.ReadFile(doc)
	require.NoError(t, err)
	_, rest, begins := strings.Cut(string(text), "<!-- "+name+" -->\n")
	inside, _, ends := strings.Cut(rest, "\n<!-- /"+name+" -->")
	require.True(t, begins && ends, "%s has no block %q", doc, name)
	return inside
}

// requireBlock compares a block of a document, or with -update writes it.
func requireBlock(t *testing.T, doc, name, want string) {
	t.Helper()
	have := block(t, doc, name)
	if *update && have != want {
		text, err := os.ReadFile(doc)
		require.NoError(t, err)
		marked := "<!-- " + name + " -->\n"
		require.NoError(t, os.WriteFile(doc, []byte(strings.Replace(string(text), marked+have, marked+want, 1)), 0o644))
		return
	}
	if have != want {
		missing, added := difference(want, have)
		t.Errorf("%s: missing:\n%s\nto go:\n%s\nrun: go test ./internal/conventions -update",
			doc, strings.Join(missing, "\n"), strings.Join(slices.Compact(added), "\n"))
	}
}
