package conventions_test

import (
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What documents name exists: tests, identifiers of the public API, and the files and
// imports that docs/DESIGN.md lists.
func TestDocuments(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	docs := markdownFiles(t, repositoryDir)
	t.Run("tests", func(t *testing.T) {
		t.Parallel()
		known, err := testNames(repositoryDir)
		require.NoError(t, err)
		requireNone(t, unknownTests(docs, known))
	})
	t.Run("identifiers", func(t *testing.T) {
		t.Parallel()
		requireNone(t, unknownIdentifiers(tr, slices.DeleteFunc(slices.Clone(docs), func(d document) bool {
			return d.name == "CHANGELOG.md" // which names what there was
		})))
	})
	design := slices.IndexFunc(docs, func(d document) bool { return d.name == "docs/DESIGN.md" })
	require.GreaterOrEqual(t, design, 0)
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		requireNone(t, wrongFileTable(tr.pkgs["."], docs[design], "## Files of the root"))
		requireNone(t, wrongFileTable(tr.pkgs["sinks/journal"], docs[design], "## The journal"))
	})
	t.Run("imports", func(t *testing.T) {
		t.Parallel()
		requireNone(t, wrongImportTable(tr, docs[design], "## Packages and arrows"))
	})
}

// markdownFiles reads the documents in dir and in its docs.
func markdownFiles(t *testing.T, dir string) (docs []document) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		for _, file := range files {
			rel, err := filepath.Rel(dir, file)
			require.NoError(t, err)
			doc, err := readDocument(file, filepath.ToSlash(rel))
			require.NoError(t, err)
			docs = append(docs, doc)
		}
	}
	require.NotEmpty(t, docs)
	return docs
}

var testDecl = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example|Benchmark)\w+)\(`)

// testNames is the names of the tests of all modules, whatever their build tags.
func testNames(dir string) (map[string]bool, error) {
	known := map[string]bool{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != dir && (isHidden(d.Name()) || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		src, err := os.ReadFile(name)
		for _, decl := range testDecl.FindAllSubmatch(src, -1) {
			known[string(decl[1])] = true
		}
		return err
	})
	return known, err
}

var (
	testInText   = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Z]\\w*)")
	testTwice    = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Z]\\w*)`,\\s+`((?:Test|Fuzz|Example)[A-Z]\\w*)`")
	testSelected = regexp.MustCompile(`-(?:test\.)?(?:run|bench) '?((?:Test|Fuzz|Benchmark)\w+)`)
)

// unknownTests finds tests that documents name and that do not exist, and tests that are
// named twice in a row.
func unknownTests(docs []document, known map[string]bool) (findings []finding) {
	for _, doc := range docs {
		for _, p := range doc.passages {
			for _, name := range slices.Concat(testInText.FindAllStringSubmatch(p.text, -1), testSelected.FindAllStringSubmatch(p.text, -1)) {
				if !known[name[1]] {
					findings = append(findings, finding{file: doc.name, line: p.line, text: "there is no " + name[1]})
				}
			}
			for _, names := range testTwice.FindAllStringSubmatch(p.text, -1) {
				if names[1] == names[2] {
					findings = append(findings, finding{file: doc.name, line: p.line, text: names[1] + " is named twice"})
				}
			}
		}
	}
	return sorted(findings)
}

var (
	codeInText    = regexp.MustCompile("```[^`]*```|`[^`\n]+`")
	qualifiedName = regexp.MustCompile(`(^|[^\w./-])([A-Za-z]\w*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
)

// unknownIdentifiers finds code in documents that names what the public packages do not
// have: pkg.Name, pkg.Type.Member, and Type.Member, which some package must have. Names of
// other packages and of variables are left out.
func unknownIdentifiers(tr *tree, docs []document) (findings []finding) {
	public := map[string][]*types.Scope{}
	var all []*types.Scope
	for _, p := range tr.public() {
		public[p.name] = append(public[p.name], p.types.Scope())
		all = append(all, p.types.Scope())
	}
	for _, doc := range docs {
		for _, code := range codeInText.FindAllStringIndex(string(doc.src), -1) {
			for _, name := range qualifiedName.FindAllStringSubmatch(string(doc.src[code[0]:code[1]]), -1) {
				scopes, typ, member := all, name[2], name[3]
				if !ast.IsExported(name[2]) {
					if scopes, typ, member = public[name[2]], name[3], name[4]; scopes == nil {
						continue
					}
				}
				if !slices.ContainsFunc(scopes, func(s *types.Scope) bool { return has(s, typ, member) }) {
					findings = append(findings, finding{
						file: doc.name, line: 1 + strings.Count(string(doc.src[:code[0]]), "\n"),
						text: "the public API has no " + strings.TrimSuffix(strings.Join(name[2:], "."), "."),
					})
				}
			}
		}
	}
	return sorted(findings)
}

// has reports whether a package has an exported name and, unless member is "", a field or
// method of it.
func has(scope *types.Scope, name, member string) bool {
	obj := scope.Lookup(name)
	if obj == nil || member == "" {
		return obj != nil
	}
	found, _, _ := types.LookupFieldOrMethod(obj.Type(), true, obj.Pkg(), member)
	return found != nil
}

// section returns the part of a document below a heading, up to the next of its level.
func section(doc document, heading string) string {
	_, rest, _ := strings.Cut(string(doc.src), "\n"+heading+"\n")
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

var (
	tableRow  = regexp.MustCompile(`(?m)^\| (.*) \|$`)
	quoted    = regexp.MustCompile("`([^`]+)`")
	bracedEnd = regexp.MustCompile(`^(.*/)\{(.+)\}$`)
)

// firstColumn returns the quoted names in the first column of the tables in text, and what
// the last column has for each.
func firstColumn(text string) map[string]string {
	rows := map[string]string{}
	for _, row := range tableRow.FindAllStringSubmatch(text, -1) {
		cells := strings.Split(row[1], " | ")
		for _, name := range quoted.FindAllStringSubmatch(cells[0], -1) {
			rows[name[1]] = cells[len(cells)-1]
		}
	}
	return rows
}

// wrongFileTable finds shipped files of p without a row in a table, and rows without a file.
func wrongFileTable(p *pkg, doc document, heading string) (findings []finding) {
	rows := firstColumn(section(doc, heading))
	for name := range p.shipped {
		if _, ok := rows[name]; !ok && !(name == "doc.go" && p.path != ".") {
			findings = append(findings, finding{file: doc.name, text: fmt.Sprintf("%q does not list %s", heading, name)})
		}
	}
	for name := range rows {
		if strings.HasSuffix(name, ".go") && p.shipped[name] == nil {
			findings = append(findings, finding{file: doc.name, text: fmt.Sprintf("%q lists %s, which does not exist", heading, name)})
		}
	}
	return sorted(findings)
}

// wrongImportTable finds packages that the table of packages does not list, and rows whose
// imports are not those of the package. A row of several packages is not compared.
func wrongImportTable(tr *tree, doc document, heading string) (findings []finding) {
	text := section(doc, heading)
	rows := firstColumn(text)
	for _, p := range tr.packages() {
		name := p.path
		if name == "." {
			name = "inlet"
		}
		row, ok := rows[name]
		switch {
		case within("examples", p.path), strings.HasSuffix(p.path, "/memfs"):
		case !ok:
			findings = append(findings, finding{file: doc.name, text: fmt.Sprintf("%q does not list %s", heading, name)})
		case strings.Contains(row, "; "):
		default:
			have, want := slices.Sorted(maps.Keys(importsInRow(row))), slices.Sorted(maps.Keys(shortImports(tr, p)))
			if !slices.Equal(have, want) {
				findings = append(findings, finding{file: doc.name, text: fmt.Sprintf("%s imports %v, and its row has %v", name, want, have)})
			}
		}
	}
	return sorted(findings)
}

// importsInRow returns the packages that a cell names, `x/{a,b}` as two.
func importsInRow(cell string) map[string]bool {
	names := map[string]bool{}
	if strings.Contains(cell, "root") {
		names["root"] = true
	}
	for _, name := range quoted.FindAllStringSubmatch(cell, -1) {
		braced := bracedEnd.FindStringSubmatch(name[1])
		if braced == nil {
			names[name[1]] = true
			continue
		}
		for _, last := range strings.Split(braced[2], ",") {
			names[braced[1]+last] = true
		}
	}
	return names
}

// shortImports returns what the shipped files of p import outside of the standard library:
// packages of the module below its root, others as owner/name.
func shortImports(tr *tree, p *pkg) map[string]bool {
	names := map[string]bool{}
	for _, name := range p.imports {
		switch {
		case isStandard(name):
		case name == tr.module:
			names["root"] = true
		case within(tr.module, name):
			names[tr.short(name)] = true
		default:
			parent, last := path.Split(longest(maps.Keys(requirements), name))
			names[path.Base(parent)+"/"+last] = true
		}
	}
	return names
}
