package conventions_test

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	maxRootFiles = 25
	maxFileCycle = 3
)

// requirements is everything that the module may require, each with the reason and
// the packages whose shipped code may import it. Anything else that a sink or an
// observer needs makes it a module of its own.
var requirements = map[string]struct {
	reason string
	in     []string
}{
	"github.com/go-json-experiment/json": {
		reason: "reads JSON without reflection, depth limits and rounding; its API still moves, so one package knows it",
		in:     []string{"internal/wire"},
	},
	"golang.org/x/time": {
		reason: "the token bucket of the rate limits",
		in:     []string{"middleware"},
	},
	"github.com/rs/cors": {
		reason: "the preflight rules of the Fetch standard",
		in:     []string{"middleware"},
	},
	"github.com/klauspost/compress": {
		reason: "zstd, and gzip at the speed that ingestion needs",
		in:     []string{"internal/body"},
	},
	"github.com/stretchr/testify": {
		reason: "assertions; in tests only",
	},
}

// arrows is which packages of this module the shipped code of a package may import:
// everything may import the root, the root imports only packages of internal, and what it
// imports there knows nothing of it. A name on the left means the package and those below
// it; the longest that fits counts. A name on the right means that package alone, or with
// "/..." those below it too. "." is the root package.
var arrows = map[string][]string{
	".": {
		"internal/account", "internal/admission", "internal/body", "internal/canonical", "internal/check",
		"internal/commandersact", "internal/form", "internal/guard", "internal/lanes", "internal/openapi", "internal/order", "internal/origin", "internal/pixel",
		"internal/redact", "internal/refusal", "internal/timestamp", "internal/verified", "internal/wire",
	},
	"internal/account":       {"internal/lanes"},
	"internal/admission":     {"internal/lanes"},
	"internal/backoff":       {},
	"internal/body":          {"internal/account", "internal/guard", "internal/lanes"},
	"internal/canonical":     {},
	"internal/check":         {},
	"internal/commandersact": {"internal/timestamp", "internal/wire"},
	"internal/form":          {},
	"internal/guard":         {},
	"internal/itemerrors":    {"."},
	"internal/jsoncases":     {},
	"internal/lanes":         {},
	"internal/metrics":       {".", "authcache", "internal/check", "internal/guard", "middleware", "plan", "sinks", "sinks/journal"},
	"internal/openapi":       {},
	"internal/order":         {"internal/lanes"},
	"internal/origin":        {"internal/check"},
	"internal/pixel":         {"internal/form", "internal/wire"},
	"internal/redact":        {},
	"internal/refusal":       {"internal/canonical", "internal/wire"},
	"internal/schema":        {"internal/wire"},
	"internal/sinkkit":       {"."},
	"internal/tables":        {".", "internal/canonical", "internal/wire"},
	"internal/timestamp":     {},
	"internal/verified":      {},
	"internal/watchfile":     {},
	"internal/wire":          {},

	"enrichers":  {".", "internal/canonical", "internal/check", "internal/wire"},
	"authcache":  {".", "internal/check", "internal/guard"},
	"keyfile":    {".", "internal/check", "internal/origin", "internal/watchfile", "internal/wire"},
	"plan":       {".", "internal/canonical", "internal/check", "internal/itemerrors", "internal/refusal", "internal/schema", "internal/watchfile", "internal/wire", "sinks"},
	"inspector":  {".", "internal/check", "internal/redact", "middleware", "plan", "sinks", "sinks/journal"},
	"middleware": {".", "enrichers", "internal/admission", "internal/check", "internal/guard", "internal/lanes", "internal/order", "internal/origin", "internal/redact"},

	"sinks":                             {".", "internal/backoff", "internal/canonical", "internal/check", "internal/guard", "internal/itemerrors", "internal/refusal"},
	"sinks/httpsink":                    {".", "sinks", "internal/backoff", "internal/check", "internal/guard", "internal/sinkkit"},
	"sinks/journal":                     {".", "sinks", "sinks/journal/internal/...", "internal/backoff", "internal/canonical", "internal/check", "internal/guard", "internal/verified", "internal/wire"},
	"sinks/journal/internal/osfs":       {},
	"sinks/journal/internal/osfs/memfs": {"sinks/journal/internal/osfs"},
	"sinks/journal/internal":            {".", "sinks", "sinks/journal", "sinks/journal/internal/..."},
	"sinktest":                          {".", "internal/canonical", "internal/guard", "internal/itemerrors"},
	"sinktest/torture":                  {".", "internal/sinkkit", "sinks/journal"},
	"inlettest":                         {".", "internal/check", "middleware", "sinks"},
	"examples":                          {".", "authcache", "enrichers", "inlettest", "keyfile", "middleware", "plan", "sinks/..."},
	"examples/standalone":               {"internal/server"},
	"cmd/inlet":                         {".", "internal/server", "middleware", "plan", "sinks/..."},
	"internal/server":                   {".", "inspector", "keyfile", "middleware", "plan", "sinks/..."},
	"internal/testkit":                  {},
	"internal/testkit/testsink":         {"."},
	"internal/conventions":              {},
	"internal/blocks":                   {},
	"internal/rig":                      {},
	"internal/bench":                    {".", "authcache", "enrichers", "middleware", "sinks/...", "internal/jsoncases", "internal/testkit/..."},
}

func TestLayout(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		requireNone(t, fileCount(tr, maxRootFiles))
	})
	t.Run("cycles", func(t *testing.T) {
		t.Parallel()
		requireNone(t, fileCycles(tr, maxFileCycle))
	})
	t.Run("imports", func(t *testing.T) {
		t.Parallel()
		requireNone(t, wrongImports(tr, arrows))
	})
	t.Run("requirements", func(t *testing.T) {
		t.Parallel()
		requireNone(t, unknownRequirements(t))
	})
}

// fileCount finds a root package with more than most shipped files.
func fileCount(tr *tree, most int) []finding {
	files := tr.pkgs["."].shipped
	if len(files) <= most {
		return nil
	}
	return []finding{{text: fmt.Sprintf("the root package has %d shipped files, at most %d are allowed: %s",
		len(files), most, strings.Join(slices.Sorted(maps.Keys(files)), " "))}}
}

// fileCycles finds the sets of more than most files of the root package that all depend
// on each other, with the names that each of them needs from the others.
func fileCycles(tr *tree, most int) (findings []finding) {
	edges := fileEdges(tr.fset, tr.pkgs["."])
	for _, cycle := range components(edges) {
		if len(cycle) <= most {
			continue
		}
		findings = append(findings, finding{text: fmt.Sprintf("%d files depend on each other, at most %d may: %s",
			len(cycle), most, strings.Join(cycle, " "))})
		for _, from := range cycle {
			for _, to := range cycle {
				if names := edges[from][to]; len(names) > 0 {
					findings = append(findings, finding{text: fmt.Sprintf("\t%s -> %s: %s",
						from, to, strings.Join(slices.Sorted(maps.Keys(names)), " "))})
				}
			}
		}
	}
	return findings
}

// A fileGraph has, for each file and each other file that it depends on, the names of
// package level, methods and fields that the one uses and the other defines.
type fileGraph map[string]map[string]map[string]bool

func fileEdges(fset *token.FileSet, p *pkg) fileGraph {
	edges := fileGraph{}
	for name := range p.shipped {
		edges[name] = map[string]map[string]bool{}
	}
	for ident, used := range p.info.Uses {
		used = origin(used)
		if used.Pkg() != p.types || !outlivesFunctions(used) {
			continue
		}
		from, to := baseName(fset, ident.Pos()), baseName(fset, used.Pos())
		if from == to {
			continue
		}
		if edges[from][to] == nil {
			edges[from][to] = map[string]bool{}
		}
		edges[from][to][used.Name()] = true
	}
	return edges
}

// origin returns the method or field of a generic type that obj is an instance of.
func origin(obj types.Object) types.Object {
	switch obj := obj.(type) {
	case *types.Func:
		return obj.Origin()
	case *types.Var:
		return obj.Origin()
	}
	return obj
}

// outlivesFunctions reports whether obj is a name of package level, a method or a field.
func outlivesFunctions(obj types.Object) bool {
	if obj.Parent() == obj.Pkg().Scope() {
		return true
	}
	switch obj := obj.(type) {
	case *types.Func:
		return obj.Signature().Recv() != nil
	case *types.Var:
		return obj.IsField()
	}
	return false
}

func baseName(fset *token.FileSet, pos token.Pos) string {
	return filepath.Base(fset.Position(pos).Filename)
}

// components returns the strongly connected components of the graph, the largest first,
// each sorted, by Tarjan's algorithm.
func components(graph fileGraph) (found [][]string) {
	var stack []string
	index, low, onStack := map[string]int{}, map[string]int{}, map[string]bool{}
	var visit func(file string)
	visit = func(file string) {
		index[file] = len(index) + 1
		low[file] = index[file]
		stack, onStack[file] = append(stack, file), true
		for _, next := range slices.Sorted(maps.Keys(graph[file])) {
			if index[next] == 0 {
				visit(next)
				low[file] = min(low[file], low[next])
			} else if onStack[next] {
				low[file] = min(low[file], index[next])
			}
		}
		if low[file] != index[file] {
			return
		}
		at := slices.Index(stack, file)
		component := slices.Sorted(slices.Values(stack[at:]))
		for _, member := range component {
			onStack[member] = false
		}
		stack = stack[:at]
		found = append(found, component)
	}
	for _, file := range slices.Sorted(maps.Keys(graph)) {
		if index[file] == 0 {
			visit(file)
		}
	}
	slices.SortStableFunc(found, func(a, b []string) int { return cmp.Compare(len(b), len(a)) })
	return found
}

// wrongImports finds imports that no arrow and no requirement allows.
func wrongImports(tr *tree, arrows map[string][]string) (findings []finding) {
	for _, p := range tr.packages() {
		for _, name := range p.imports {
			if !mayImport(tr, arrows, p.path, name) {
				findings = append(findings, finding{text: fmt.Sprintf("%s may not import %s", p.path, tr.short(name))})
			}
		}
		for _, name := range p.testImports {
			if !testMayImport(tr, name) {
				findings = append(findings, finding{text: fmt.Sprintf("the tests of %s may not import %s", p.path, name)})
			}
		}
		if _, ok := arrows[longest(maps.Keys(arrows), p.path)]; !ok {
			findings = append(findings, finding{text: fmt.Sprintf("%s has no row in the table of arrows", p.path)})
		}
	}
	return findings
}

// mayImport reports whether the shipped code of the package from may import name.
func mayImport(tr *tree, arrows map[string][]string, from, name string) bool {
	if isStandard(name) {
		return true
	}
	if !within(tr.module, name) {
		required := requirements[longest(maps.Keys(requirements), name)]
		return slices.ContainsFunc(required.in, func(in string) bool { return from == in })
	}
	allowed, to := arrows[longest(maps.Keys(arrows), from)], tr.short(name)
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		parent, below := strings.CutSuffix(pattern, "/...")
		return to == parent || below && within(parent, to)
	})
}

// testMayImport reports whether tests may import name.
func testMayImport(tr *tree, name string) bool {
	return isStandard(name) || within(tr.module, name) || longest(maps.Keys(requirements), name) != ""
}

// isStandard reports whether name is in the standard library: no dot before the first
// slash.
func isStandard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// longest returns the longest of the names that name is within, or "". The root package
// means itself alone.
func longest(names iter.Seq[string], name string) (best string) {
	for n := range names {
		if within(n, name) && len(n) > len(best) {
			best = n
		}
	}
	return best
}

// unknownRequirements finds modules in go.mod that the table of requirements lacks, and
// rows of the table without a reason or without a module.
func unknownRequirements(t *testing.T) (findings []finding) {
	t.Helper()
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	d, err := goJSON("mod", "edit", "-json")
	require.NoError(t, err)
	require.NoError(t, d.Decode(&mod))
	require.NotEmpty(t, mod.Require)
	direct := map[string]bool{}
	for _, m := range mod.Require {
		direct[m.Path] = !m.Indirect
		if _, ok := requirements[m.Path]; !ok && !m.Indirect {
			findings = append(findings, finding{file: "go.mod", text: "requires " + m.Path + ", which is not in the table of requirements"})
		}
	}
	for name, r := range requirements {
		if !direct[name] || r.reason == "" {
			findings = append(findings, finding{file: "go.mod", text: "does not require " + name + ", or its row has no reason"})
		}
	}
	return sorted(findings)
}
