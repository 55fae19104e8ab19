package redislimit

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// patience is how long a server may take to start.
const patience = 2 * time.Minute

// A server is a Redis of the test's own, on a socket in a temporary directory.
type server struct {
	dir     string
	process *exec.Cmd
}

// start starts a server until the test ends. It skips the test if Redis is not installed, and
// fails it if INLET_REQUIRE_CLIENTS is set.
func start(t testing.TB, more ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("INLET_REQUIRE_CLIENTS") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed: the package redis-server of Debian has it")
	}
	dir, err := os.MkdirTemp("", "inlet-redis") // short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{dir: dir}
	s.run(t, more...)
	t.Cleanup(s.kill)
	return s
}

func (s *server) socket() string { return filepath.Join(s.dir, "redis.sock") }

func (s *server) url() string { return "unix://" + s.socket() }

// run starts the process and waits until it answers.
func (s *server) run(t testing.TB, more ...string) {
	t.Helper()
	args := append([]string{"--port", "0", "--unixsocket", s.socket(), "--save", "", "--appendonly", "no", "--dir", s.dir}, more...)
	s.process = exec.Command("redis-server", args...)
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, s.process.Start())
	require.Eventually(t, func() bool {
		co, err := rueidis.ParseURL(s.url())
		require.NoError(t, err)
		co.ForceSingleClient, co.DisableCache, co.Password = true, true, password(more)
		c, err := rueidis.NewClient(co)
		if c != nil {
			defer c.Close()
		}
		return err == nil && c.Do(t.Context(), c.B().Ping().Build()).Error() == nil
	}, patience, 5*time.Millisecond)
}

func password(args []string) string {
	for i, a := range args {
		if a == "--requirepass" {
			return args[i+1]
		}
	}
	return ""
}

// kill ends the process without a chance to do anything.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// signal stops the process or continues it.
func (s *server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, s.process.Process.Signal(sig))
}
