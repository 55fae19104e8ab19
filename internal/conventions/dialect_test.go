package conventions_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// publicDialect is the file of a built-in dialect that could be one of a host: it shows that the
// public API is enough for that.
const publicDialect = "dialect_segmentstream.go"

func TestPublicDialect(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	names, findings := namesOfHost(tr, publicDialect)
	require.Greater(t, names, 50, "%s is not found, or uses little of the API", publicDialect)
	requireNone(t, findings)

	_, findings = namesOfHost(tr, "dialect_segment.go")
	require.NotEmpty(t, findings, "the test finds nothing in a file that uses what is not exported")
}

// namesOfHost returns how many names of the root package a file of it uses that another file
// declares, and finds those that a package of a host could not use.
func namesOfHost(tr *tree, name string) (names int, findings []finding) {
	root := tr.pkgs["."]
	fileOf := func(pos token.Pos) string { return filepath.Base(tr.fset.Position(pos).Filename) }
	for _, file := range root.shipped {
		if fileOf(file.Pos()) != name {
			continue
		}
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil && strings.Contains(path, "/internal/") {
				findings = append(findings, tr.at(spec.Pos(), "a dialect of a host cannot import %s", path))
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			ident, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			obj := root.info.Uses[ident]
			if obj == nil || obj.Pkg() != root.types || fileOf(obj.Pos()) == name || isLocal(obj) {
				return true
			}
			names++
			if !obj.Exported() {
				findings = append(findings, tr.at(ident.Pos(), "a dialect of a host cannot use %s", obj.Name()))
			}
			return true
		})
	}
	return names, sorted(findings)
}

// isLocal reports whether an object is one that every file may name: a package or a label.
func isLocal(obj types.Object) bool {
	switch obj.(type) {
	case *types.PkgName, *types.Label:
		return true
	}
	return false
}
