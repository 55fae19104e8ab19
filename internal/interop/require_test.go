package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// nodeDir holds the JavaScript drivers and the packages that they import.
const nodeDir = "testdata/node"

// missing ends a test whose client is not on this machine. Where
// INLET_REQUIRE_CLIENTS=1 promises that all of them are, it fails the test.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("INLET_REQUIRE_CLIENTS") == "1" {
		t.Fatalf("INLET_REQUIRE_CLIENTS=1, but "+format, args...)
	}
	t.Skipf(format, args...)
}

// requireNode returns the path of node, which can import the npm packages.
func requireNode(t *testing.T) string {
	t.Helper()
	node := requireProgram(t, "node")
	for pkg := range npmPackages(t) {
		if _, err := os.Stat(filepath.Join(nodeDir, "node_modules", pkg)); err != nil {
			missing(t, "%s is not installed: run npm install in internal/interop/%s", pkg, nodeDir)
		}
	}
	return node
}

func requireProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "%s is not installed: %v", name, err)
	}
	return path
}

// npmPackages is the packages that the drivers import, with their versions.
func npmPackages(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(nodeDir, "package.json"))
	require.NoError(t, err)
	var manifest struct{ Dependencies map[string]string }
	require.NoError(t, json.Unmarshal(data, &manifest))
	require.NotEmpty(t, manifest.Dependencies)
	return manifest.Dependencies
}
