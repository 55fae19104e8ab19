package conventions_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxRootAPI is how many identifiers the root package may export.
const maxRootAPI = 363

// TestAPI compares the exported identifiers of every package that other modules can import
// with api/NAME.txt, so that a change of the public API shows in a diff and is not made by
// accident. Such a change belongs into CHANGELOG.md too.
func TestAPI(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	dir := filepath.Join(repositoryDir, "api")
	known := map[string]bool{}
	for _, p := range tr.public() {
		file := apiFile(p)
		require.False(t, known[file], "two packages are called %s", p.name)
		known[file] = true
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			requireGolden(t, filepath.Join(dir, file), strings.Join(api(p), "\n")+"\n")
		})
	}
	t.Run("count", func(t *testing.T) {
		t.Parallel()
		lines := api(tr.pkgs["."])
		t.Logf("the root package exports %d identifiers: %v", len(lines), apiKinds(lines))
		require.LessOrEqual(t, len(lines), maxRootAPI, "exported identifiers of the root package: %v", apiKinds(lines))
	})
	t.Run("no stale file", func(t *testing.T) {
		t.Parallel()
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, entry := range entries {
			require.True(t, known[entry.Name()], "api/%s is of no package", entry.Name())
		}
	})
	t.Run("changelog", func(t *testing.T) {
		t.Parallel()
		page, err := os.ReadFile(filepath.Join(repositoryDir, "CHANGELOG.md"))
		require.NoError(t, err)
		require.True(t, hasUnreleased(page), "CHANGELOG.md has no heading \"## [Unreleased]\" with entries below it")
	})
}

func TestUnreleased(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, page string
		want       bool
	}{
		{"entries", "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- a\n\n## [1.0.0]\n", true},
		{"last section", "## Unreleased\n- a\n", true},
		{"missing", "# Changelog\n\n## [1.0.0]\n\n- a\n", false},
		{"empty", "## [Unreleased]\n\n### Changed\n\n## [1.0.0]\n\n- a\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, hasUnreleased([]byte(tt.page)))
		})
	}
}

// hasUnreleased reports whether a changelog has a section of what is not released yet, with
// at least one entry.
func hasUnreleased(page []byte) bool {
	inside := false
	for line := range bytes.Lines(page) {
		switch {
		case bytes.HasPrefix(line, []byte("## ")):
			inside = bytes.Contains(line, []byte("Unreleased"))
		case inside && bytes.HasPrefix(line, []byte("- ")):
			return true
		}
	}
	return false
}

// apiFile returns the name of the golden file of p.
func apiFile(p *pkg) string { return p.name + ".txt" }

// api returns a line for each exported identifier of p, sorted: constants, variables,
// functions, types, and of exported types the methods, fields and methods of interfaces.
func api(p *pkg) (lines []string) {
	w := apiWriter{pkg: p.types}
	scope := p.types.Scope()
	for _, name := range scope.Names() {
		if ast.IsExported(name) {
			w.object(scope.Lookup(name))
		}
	}
	slices.Sort(w.lines)
	return w.lines
}

// apiKinds counts the lines of api by the kind of their identifiers.
func apiKinds(lines []string) map[string]int {
	kinds := map[string]int{}
	for _, line := range lines {
		kind, _, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "type ") && strings.Contains(line, " struct, "):
			kind = "field"
		case strings.HasPrefix(line, "type ") && strings.Contains(line, " interface, "):
			kind = "interface method"
		}
		kinds[kind]++
	}
	return kinds
}

type apiWriter struct {
	pkg   *types.Package
	lines []string
}

func (w *apiWriter) add(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

// typ writes a type, with other packages by their names and without the names of
// parameters, which are no part of the API.
func (w *apiWriter) typ(t types.Type) string {
	return types.TypeString(unnamed(t), func(other *types.Package) string {
		if other == w.pkg {
			return ""
		}
		return other.Name()
	})
}

// signature writes what follows the name of a function: type parameters, parameters and
// results.
func (w *apiWriter) signature(sig *types.Signature) string {
	var params []string
	for param := range sig.TypeParams().TypeParams() {
		params = append(params, param.String()+" "+w.typ(param.Constraint()))
	}
	text := strings.TrimPrefix(w.typ(sig), "func")
	if len(params) == 0 {
		return text
	}
	return "[" + strings.Join(params, ", ") + "]" + text
}

func (w *apiWriter) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		w.add("const %s %s = %s", obj.Name(), w.typ(obj.Type()), obj.Val().ExactString())
	case *types.Var:
		w.add("var %s %s", obj.Name(), w.typ(obj.Type()))
	case *types.Func:
		w.add("func %s%s", obj.Name(), w.signature(obj.Signature()))
	case *types.TypeName:
		w.typeName(obj)
	}
}

func (w *apiWriter) typeName(obj *types.TypeName) {
	if obj.IsAlias() {
		w.add("type %s = %s", obj.Name(), w.typ(types.Unalias(obj.Type())))
		return
	}
	named := obj.Type().(*types.Named)
	name := w.typ(named)
	switch under := named.Underlying().(type) {
	case *types.Struct:
		w.add("type %s struct", name)
		for field := range under.Fields() {
			if field.Embedded() && field.Exported() {
				w.add("type %s struct, embedded %s", name, w.typ(field.Type()))
			} else if field.Exported() {
				w.add("type %s struct, %s %s", name, field.Name(), w.typ(field.Type()))
			}
		}
	case *types.Interface:
		w.iface(name, under)
	default:
		w.add("type %s %s", name, w.typ(under))
	}
	for method := range named.Methods() {
		if method.Exported() {
			sig := method.Signature()
			w.add("method (%s) %s%s", w.typ(sig.Recv().Type()), method.Name(), w.signature(sig))
		}
	}
}

func (w *apiWriter) iface(name string, under *types.Interface) {
	var members []string
	for embedded := range under.EmbeddedTypes() {
		members = append(members, w.typ(embedded))
	}
	hidden := false
	for method := range under.ExplicitMethods() {
		if !method.Exported() {
			hidden = true
			continue
		}
		members = append(members, method.Name())
		w.add("type %s interface, %s%s", name, method.Name(), w.signature(method.Signature()))
	}
	slices.Sort(members)
	if hidden {
		members = append(members, "unexported methods")
	}
	w.add("type %s interface { %s }", name, strings.Join(members, ", "))
}

// unnamed returns t with the names of parameters and results left out.
func unnamed(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Signature:
		return types.NewSignatureType(nil, nil, nil, unnamedTuple(t.Params()), unnamedTuple(t.Results()), t.Variadic())
	case *types.Pointer:
		return types.NewPointer(unnamed(t.Elem()))
	case *types.Slice:
		return types.NewSlice(unnamed(t.Elem()))
	case *types.Map:
		return types.NewMap(unnamed(t.Key()), unnamed(t.Elem()))
	}
	return t
}

func unnamedTuple(tuple *types.Tuple) *types.Tuple {
	var vars []*types.Var
	for v := range tuple.Variables() {
		vars = append(vars, types.NewParam(v.Pos(), v.Pkg(), "", unnamed(v.Type())))
	}
	return types.NewTuple(vars...)
}
