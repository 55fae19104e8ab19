package interop

import (
	"bufio"
	"bytes"
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
)

// writeKey is the key of every server here; the journal must never hold it.
const writeKey = "InteropKey4711"

// A server is a running binary of examples/standalone with a journal of its own.
type server struct {
	URL string // where it listens, without a trailing slash
	dir string // of its journal
	cmd *exec.Cmd
	log *syncBuffer // its standard error
	end sync.Once
}

// startServer builds and starts the server and waits until it says where it
// listens. It is ended with the test, if [server.stop] has not ended it before.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{dir: filepath.Join(t.TempDir(), "journal"), log: new(syncBuffer)}
	args = append([]string{"-addr", "127.0.0.1:0", "-dir", s.dir, "-key", writeKey}, args...)
	s.cmd = exec.Command(standalone(t), args...)
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
		t.Fatalf("the server did not say where it listens:\n%s", s.log)
		return ""
	}
}

// stop ends the server as an operator does and returns what its journal holds.
func (s *server) stop(t *testing.T) []line {
	t.Helper()
	s.terminate(t)
	return readJournal(t, s.dir)
}

// terminate sends SIGTERM and requires that the server ends well and soon.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	s.end.Do(func() {
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
		kill := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() })
		defer kill.Stop()
		require.NoError(t, s.cmd.Wait(), "the server did not end well:\n%s", s.log)
		require.NotContains(t, s.log.String(), writeKey, "the server's log holds the write key")
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
		require.NotContains(t, string(data), writeKey, "the journal holds the write key")
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

// standalone returns the path of the server's binary, built once for all tests.
func standalone(t *testing.T) string {
	t.Helper()
	// The cache of test results does not look at the server's own files. .ci/run
	// sets this to something new each time, so that no old result is taken for one
	// of the server as it is.
	_ = os.Getenv("INLET_RUN")
	path, err := buildStandalone()
	require.NoError(t, err)
	return path
}

var binDir string

var buildStandalone = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "standalone")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("..", "..", "examples", "standalone")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return path, build.Run()
})

func TestMain(m *testing.M) {
	os.Exit(runWithBinDir(m))
}

func runWithBinDir(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binDir = dir
	return m.Run()
}

// A syncBuffer may be written by the server's output while a test reads it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
