package conventions_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/inlet-go/inlet"

var repositoryDir = filepath.Join("..", "..")

// A tree is the packages of one module, type-checked, and its other files.
type tree struct {
	dir    string // of the module
	module string
	fset   *token.FileSet
	pkgs   map[string]*pkg
}

// A pkg is one package of a tree, as it is on the machine that runs the tests.
type pkg struct {
	path        string // below the module; "." is the root package
	name        string
	shipped     map[string]*ast.File // by base name
	tests       map[string]*ast.File // parsed only
	imports     []string             // of the shipped files
	testImports []string
	types       *types.Package
	info        *types.Info
}

// A finding is one breach of a rule.
type finding struct {
	file string // below the module, "" if the finding is not about one file
	line int
	text string
}

func (f finding) String() string {
	switch {
	case f.file == "":
		return f.text
	case f.line == 0:
		return f.file + ": " + f.text
	}
	return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.text)
}

// at returns a finding about what is at pos.
func (tr *tree) at(pos token.Pos, format string, args ...any) finding {
	p := tr.fset.Position(pos)
	return finding{file: tr.rel(p.Filename), line: p.Line, text: fmt.Sprintf(format, args...)}
}

func (tr *tree) rel(file string) string {
	rel, err := filepath.Rel(tr.dir, file)
	if err != nil {
		return file
	}
	return filepath.ToSlash(rel)
}

// sorted returns findings in the order of files and lines.
func sorted(findings []finding) []finding {
	return slices.SortedFunc(slices.Values(findings), func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.text, b.text))
	})
}

// packages returns the packages in the order of their paths.
func (tr *tree) packages() []*pkg {
	return slices.SortedFunc(maps.Values(tr.pkgs), func(a, b *pkg) int { return cmp.Compare(a.path, b.path) })
}

// public returns the packages that other modules can import.
func (tr *tree) public() []*pkg {
	return slices.DeleteFunc(tr.packages(), func(p *pkg) bool {
		return p.name == "main" || strings.Contains("/"+p.path+"/", "/internal/") || within("examples", p.path)
	})
}

// files returns the files of a package in the order of their names.
func sortedFiles(files map[string]*ast.File) []*ast.File {
	sorted := make([]*ast.File, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sorted = append(sorted, files[name])
	}
	return sorted
}

// repository returns the module that these tests belong to.
var repository = sync.OnceValues(func() (*tree, error) { return load(repositoryDir, modulePath) })

func repositoryTree(t *testing.T) *tree {
	t.Helper()
	tr, err := repository()
	require.NoError(t, err)
	return tr
}

// load reads the packages of the module in dir.
func load(dir, module string) (*tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	tr := &tree{dir: dir, module: module, fset: token.NewFileSet(), pkgs: map[string]*pkg{}}
	l := &loader{tree: tr, outside: importer.ForCompiler(tr.fset, "gc", openExport)}
	for sub, err := range tr.walk() {
		if err != nil {
			return nil, err
		}
		if _, err := l.load(sub); err != nil && !isNoGo(err) {
			return nil, err
		}
	}
	return tr, nil
}

func isNoGo(err error) bool {
	_, ok := errors.AsType[*build.NoGoError](err)
	return ok
}

// walk yields the folders of the module that can hold packages.
func (tr *tree) walk() func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		err := filepath.WalkDir(tr.dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if name != tr.dir && (isHidden(d.Name()) || d.Name() == "testdata" || isModule(name)) {
				return filepath.SkipDir
			}
			if !yield(tr.rel(name), nil) {
				return filepath.SkipAll
			}
			return nil
		})
		if err != nil {
			yield("", err)
		}
	}
}

func isHidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "node_modules"
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// A loader type-checks the packages of a tree from source, so that they share their
// objects, and takes everything else from the export data of the go command.
type loader struct {
	tree    *tree
	outside types.Importer
}

// Import implements [types.Importer].
func (l *loader) Import(name string) (*types.Package, error) {
	if !within(l.tree.module, name) {
		return l.outside.Import(name)
	}
	p, err := l.load(l.tree.short(name))
	if err != nil {
		return nil, err
	}
	return p.types, nil
}

func (l *loader) load(sub string) (*pkg, error) {
	if p := l.tree.pkgs[sub]; p != nil {
		return p, nil
	}
	dir := filepath.Join(l.tree.dir, filepath.FromSlash(sub))
	listed, err := build.Default.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	p := &pkg{path: sub, name: listed.Name, imports: listed.Imports, testImports: slices.Concat(listed.TestImports, listed.XTestImports)}
	if p.shipped, err = l.parse(dir, listed.GoFiles); err != nil {
		return nil, err
	}
	if p.tests, err = l.parse(dir, slices.Concat(listed.TestGoFiles, listed.XTestGoFiles)); err != nil {
		return nil, err
	}
	p.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Defs:  map[*ast.Ident]types.Object{},
		Uses:  map[*ast.Ident]types.Object{},
	}
	conf := types.Config{Importer: l, Sizes: types.SizesFor("gc", build.Default.GOARCH)}
	p.types, err = conf.Check(path.Join(l.tree.module, sub), l.tree.fset, sortedFiles(p.shipped), p.info)
	if err != nil {
		return nil, err
	}
	l.tree.pkgs[sub] = p
	return p, nil
}

func (l *loader) parse(dir string, names []string) (map[string]*ast.File, error) {
	files := map[string]*ast.File{}
	for _, name := range names {
		file, err := parser.ParseFile(l.tree.fset, filepath.Join(dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files[name] = file
	}
	return files, nil
}

// exports returns the file of export data of each package that the repository uses.
var exports = sync.OnceValues(func() (map[string]string, error) {
	d, err := goJSON("list", "-e", "-export", "-deps", "-json=ImportPath,Export", "./...")
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for d.More() {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		files[p.ImportPath] = p.Export
	}
	return files, nil
})

func openExport(name string) (io.ReadCloser, error) {
	files, err := exports()
	if err != nil {
		return nil, err
	}
	if files[name] == "" {
		return nil, fmt.Errorf("no export data for %s: the repository does not use it", name)
	}
	return os.Open(files[name])
}

// goJSON runs the go command at the top of the repository and returns what it prints.
func goJSON(args ...string) (*json.Decoder, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = repositoryDir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	return json.NewDecoder(bytes.NewReader(out)), nil
}

// short returns the path of a package without the module's own, "." for the root.
func (tr *tree) short(name string) string {
	if name == tr.module {
		return "."
	}
	return strings.TrimPrefix(name, tr.module+"/")
}

// within reports whether name is parent or below it.
func within(parent, name string) bool {
	return name == parent || strings.HasPrefix(name, parent+"/")
}
