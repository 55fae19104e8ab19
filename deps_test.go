package inlet_test

import (
	"bytes"
	"encoding/json"
	"iter"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/inlet-go/inlet"

// modules is everything that the module may require, each with the reason and
// the packages whose shipped code may import it. Anything else that a sink or an
// observer needs makes it a module of its own.
var modules = map[string]struct {
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

// arrows is which packages of this module the shipped code of a package may
// import. A name stands for the package and those below it; the longest that
// fits counts. "." is the root package.
var arrows = map[string][]string{
	".": {
		"internal/admission", "internal/body", "internal/canonical", "internal/check", "internal/commandersact",
		"internal/guard", "internal/pixel", "internal/timestamp", "internal/wire",
	},
	"internal/admission":     {},
	"internal/backoff":       {},
	"internal/body":          {},
	"internal/canonical":     {},
	"internal/check":         {},
	"internal/commandersact": {"internal/timestamp", "internal/wire"},
	"internal/guard":         {},
	"internal/itemerrors":    {"."},
	"internal/pixel":         {"internal/wire"},
	"internal/testkit":       {"."},
	"internal/timestamp":     {},
	"internal/wire":          {},
	"authcache":              {".", "internal/check"},
	"enrichers":              {".", "internal/canonical", "internal/check", "internal/wire"},
	"middleware":             {".", "enrichers", "internal/check"},
	"sinks":                  {".", "internal/backoff", "internal/canonical", "internal/check", "internal/guard", "internal/itemerrors"},
	"sinks/journal":          {".", "sinks", "internal/backoff", "internal/canonical", "internal/check", "internal/guard", "internal/itemerrors"},
	"sinktest":               {".", "internal/itemerrors"},
	"inspector":              {"."},
	"examples":               {".", "authcache", "enrichers", "middleware", "sinks", "inspector"},
	"internal":               {".", "authcache", "enrichers", "internal", "middleware", "sinks", "sinktest", "inspector"},
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	require.NoError(t, goJSON(t, "mod", "edit", "-json").Decode(&mod))
	require.NotEmpty(t, mod.Require)
	for _, m := range mod.Require {
		if !m.Indirect {
			require.Contains(t, modules, m.Path, "go.mod requires a module that it may not")
		}
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	for pkg := range listPackages(t) {
		t.Run(pkg.ImportPath, func(t *testing.T) {
			t.Parallel()
			name := shortName(pkg.ImportPath)
			for _, path := range pkg.Imports {
				require.True(t, mayImport(name, path), "%s may not import %s", name, path)
			}
			for _, path := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
				require.True(t, testMayImport(path), "the tests of %s may not import %s", name, path)
			}
		})
	}
}

type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listPackages yields the packages of this module.
func listPackages(t *testing.T) iter.Seq[listedPackage] {
	t.Helper()
	d := goJSON(t, "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	return func(yield func(listedPackage) bool) {
		for d.More() {
			var pkg listedPackage
			require.NoError(t, d.Decode(&pkg))
			if !yield(pkg) {
				return
			}
		}
	}
}

// goJSON runs the go command and returns what it prints.
func goJSON(t *testing.T, args ...string) *json.Decoder {
	t.Helper()
	cmd := exec.Command("go", args...)
	out, err := cmd.Output()
	require.NoError(t, err, "%s", cmd)
	return json.NewDecoder(bytes.NewReader(out))
}

// mayImport reports whether the shipped code of the package called name may
// import path.
func mayImport(name, path string) bool {
	if isStandard(path) {
		return true
	}
	allowed := arrows[longest(maps.Keys(arrows), name)]
	if !within(modulePath, path) {
		allowed = modules[longest(maps.Keys(modules), path)].in
		path = modulePath + "/" + name
	}
	to := shortName(path)
	return slices.ContainsFunc(allowed, func(from string) bool { return within(from, to) })
}

// testMayImport reports whether tests may import path.
func testMayImport(path string) bool {
	return isStandard(path) || within(modulePath, path) || longest(maps.Keys(modules), path) != ""
}

// isStandard reports whether path is in the standard library: no dot before the
// first slash.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// shortName is a path of this module without the module's own, "." for the root.
func shortName(path string) string {
	if path == modulePath {
		return "."
	}
	return strings.TrimPrefix(path, modulePath+"/")
}

// longest returns the longest of the names that path is within, or "".
func longest(names iter.Seq[string], path string) (best string) {
	for name := range names {
		if within(name, path) && len(name) > len(best) {
			best = name
		}
	}
	return best
}

// within reports whether path is parent or below it.
func within(parent, path string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}
