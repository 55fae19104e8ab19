package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// TestMain builds the binaries in a directory that it removes after the tests.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		panic(err)
	}
	binDir = dir
	testkit.Main(m, func() { _ = os.RemoveAll(dir) })
}

// writeKey is the key of every server here. It must never be in the journal.
const writeKey = "InteropKey4711"

// A server is a running "inlet serve" with a journal of its own.
type server struct {
	URL string // where it listens, without a trailing slash
	dir string // of its journal
	cmd *exec.Cmd
	log *testkit.Log // its standard error
	end sync.Once
}

// startServer builds and starts the server and waits until it prints its address. The
// server ends with the test, unless [server.stop] has ended it before.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{dir: filepath.Join(t.TempDir(), "journal"), log: new(testkit.Log)}
	args = append([]string{"serve", "-addr", "127.0.0.1:0", "-dir", s.dir, "-key", writeKey}, args...)
	s.cmd = exec.Command(command(t), args...)
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { s.terminate(t) })
	s.URL = s.address(t, stdout)
	return s
}

var addressPattern = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// address waits for the line with the address, and goes on reading after it so
// that the server never blocks on its output.
func (s *server) address(t *testing.T, stdout io.Reader) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if url := addressPattern.FindString(lines.Text()); url != "" {
				select {
				case found <- url:
				default:
				}
			}
		}
	}()
	select {
	case url := <-found:
		return url
	case <-time.After(20 * time.Second):
		t.Fatalf("the server did not print its address:\n%s", s.log)
		return ""
	}
}

// stop ends the server as an operator does, and returns the events in its journal.
func (s *server) stop(t *testing.T) []line {
	t.Helper()
	s.terminate(t)
	return readJournal(t, s.dir)
}

// terminate sends SIGTERM and requires that the server exits soon and without an error.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	s.end.Do(func() {
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
		kill := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() })
		defer kill.Stop()
		require.NoError(t, s.cmd.Wait(), "the server exited with an error:\n%s", s.log)
		require.NotContains(t, s.log.String(), writeKey, "the server's log contains the write key")
	})
}

// A line is one event of the journal. Its numbers are json.Number: their text.
type line map[string]any

// readJournal returns the events in dir in the order in which they were stored.
func readJournal(t *testing.T, dir string) []line {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.ndjson", "*.ndjson.part"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	slices.Sort(files)
	var lines []line
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(data), writeKey, "the journal contains the write key")
		for text := range strings.Lines(string(data)) {
			lines = append(lines, decode[line](t, text))
		}
	}
	return lines
}

// decode reads one JSON value without rounding its numbers.
func decode[T any](t *testing.T, text string) (value T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&value), "not JSON: %q", text)
	return value
}

// command returns the path of the binary of cmd/inlet, built once for all tests.
func command(t *testing.T) string {
	t.Helper()
	// The cache of test results does not depend on the server's source files. .ci/run sets
	// this variable to a new value each time, so that a cached result of an older server is
	// not used.
	_ = os.Getenv("INLET_RUN")
	path, err := buildCommand()
	require.NoError(t, err)
	return path
}

var binDir string

var buildCommand = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "inlet")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("..", "..", "cmd", "inlet")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return path, build.Run()
})

// nodeDir holds the JavaScript drivers and the packages that they import.
const nodeDir = "testdata/node"

// missing skips a test whose client is not installed. With INLET_REQUIRE_CLIENTS=1, which
// promises that all clients are, it fails the test.
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

// npmPackages returns the packages that the drivers import, with their versions.
func npmPackages(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(nodeDir, "package.json"))
	require.NoError(t, err)
	var manifest struct{ Dependencies map[string]string }
	require.NoError(t, json.Unmarshal(data, &manifest))
	require.NotEmpty(t, manifest.Dependencies)
	return manifest.Dependencies
}
