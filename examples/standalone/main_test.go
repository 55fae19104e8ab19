//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// The binary is run: the go command would not pass signals on.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "standalone")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func TestMain(m *testing.M) { testkit.Main(m) }

// The options and the end of the server are tested with cmd/inlet.
func TestStandalone(t *testing.T) {
	t.Parallel()
	binary := build(t)
	t.Run("what the greeting says works", func(t *testing.T) { requireGreeting(t, binary) })
	for _, args := range [][]string{{"-key", "a b"}, {"-unknown"}} {
		t.Run("a wrong flag", func(t *testing.T) {
			out, err := exec.Command(binary, args...).CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			require.True(t, ok, "%s", out)
			require.Equal(t, 2, exit.ExitCode(), "%s", out)
		})
	}
}

func requireGreeting(t *testing.T, binary string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		require.NotEqual(t, "1", os.Getenv("INLET_REQUIRE_CLIENTS"), "INLET_REQUIRE_CLIENTS=1, but curl is not installed")
		t.Skip("curl is not installed")
	}
	dir := t.TempDir()
	server := exec.Command(binary, "-addr", "127.0.0.1:0", "-dir", dir, "-key", "a", "-key", "b")
	log := new(bytes.Buffer)
	server.Stderr = log
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill() })
	curl, tail := commandsIn(t, stdout)

	answer, err := exec.Command("sh", "-c", curl).Output()
	require.NoError(t, err)
	require.JSONEq(t, `{"success":true}`, string(answer))
	stored, err := exec.Command("sh", "-c", tail).Output()
	require.NoError(t, err)
	require.Contains(t, string(stored), `"event":"Signed Up"`)

	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.Wait(), "%s", log)
	sealed, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	require.NoError(t, err)
	require.Len(t, sealed, 1)
}

// commandsIn returns the commands in the greeting.
func commandsIn(t *testing.T, greeting io.Reader) (curl, tail string) {
	t.Helper()
	for lines := bufio.NewScanner(greeting); tail == "" && lines.Scan(); {
		switch line := strings.TrimSpace(lines.Text()); {
		case strings.HasPrefix(line, "curl "):
			curl = line
		case strings.HasPrefix(line, "tail "):
			tail = line
		}
	}
	require.NotEmpty(t, tail, "the greeting is incomplete")
	return curl, tail
}
