package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long a server may take to start or to stop.
const patience = 2 * time.Minute

// A Server is a PostgreSQL with a database "postgres" and a superuser "inlet" without a password.
type Server struct {
	Dir string // of the socket

	bin      string
	settings []string
	mu       sync.Mutex
	process  *process
}

// Start starts a server with settings such as "fsync=off", until the test ends. It skips the test
// if PostgreSQL is not installed, and fails it if INLET_REQUIRE_CLIENTS is set.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		missing(t, "PostgreSQL")
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	s := &Server{Dir: directory(t), bin: filepath.Dir(found[0]), settings: settings}
	initdb := s.command(filepath.Join(s.bin, "initdb"), "-D", s.Data(), "-U", "inlet", "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	t.Cleanup(s.Kill)
	s.Run(t)
	return s
}

// Standby starts a standby that follows s under a name, until the test ends.
func (s *Server) Standby(t testing.TB, name string) *Server {
	t.Helper()
	b := &Server{Dir: directory(t), bin: s.bin}
	backup := b.command(filepath.Join(s.bin, "pg_basebackup"), "-h", s.Dir, "-p", "5432", "-U", "inlet", "-D", b.Data(),
		"-R", "-c", "fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	b.Set("primary_conninfo=host=" + s.Dir + " port=5432 user=inlet application_name=" + name)
	t.Cleanup(b.Kill)
	b.Run(t)
	return b
}

// Set adds settings, which count from the next Run on, and before those that were there.
func (s *Server) Set(settings ...string) { s.settings = append(s.settings, settings...) }

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("INLET_REQUIRE_CLIENTS") != "" {
		t.Fatal(what + " is not installed")
	}
	t.Skip(what + " is not installed: the packages postgresql and pgbouncer of Debian have it")
}

// directory returns a directory of the user that servers run as.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "inlet-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := Own(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Own makes a file or directory one of the user that servers run as.
func Own(path string) error {
	if c := credential(); c != nil {
		return os.Chown(path, int(c.Uid), int(c.Gid))
	}
	return nil
}

// credential returns the user that servers run as, since they refuse to run as root; nil for the
// user of the tests.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// command returns a command that runs as that user, and dies with the tests.
func (s *Server) command(name string, args ...string) *exec.Cmd { return command(s.Dir, name, args...) }

func command(dir, name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: credential(), Pdeathsig: syscall.SIGKILL}
	c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + dir}
	return c
}

// Data returns the directory with the data of the server.
func (s *Server) Data() string { return filepath.Join(s.Dir, "data") }

// DSN returns the connection string, with further keywords and values such as "user=other".
func (s *Server) DSN(more ...string) string { return dsn(s.Dir, more) }

func dsn(dir string, more []string) string {
	text := "host=" + dir + " port=5432 user=inlet dbname=postgres sslmode=disable"
	for _, m := range more {
		text += " " + m
	}
	return text
}

// Connect returns a connection, until the test ends.
func (s *Server) Connect(t testing.TB, more ...string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.DSN(more...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Run starts a server that was killed, and returns once it accepts connections. After a kill, the
// processes of the old one take a moment to end, so it starts again until it runs.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.run(t, func() error { return ping(s.DSN()) })
}

// RunUntil starts a server that was stopped, and returns once ask reports true. It is for servers
// that do not accept connections.
func (s *Server) RunUntil(t testing.TB, ask func() bool) {
	t.Helper()
	s.run(t, func() error {
		if !ask() {
			return errors.New("not yet")
		}
		return nil
	})
}

func (s *Server) run(t testing.TB, ask func() error) {
	t.Helper()
	args := []string{"-D", s.Data(), "-k", s.Dir, "-c", "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=32MB",
		"-c", "dynamic_shared_memory_type=mmap"} // in the directory, which is removed even after a kill
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	deadline := time.Now().Add(patience)
	for {
		s.mu.Lock()
		s.process = runCommand(t, s.Dir, s.command(filepath.Join(s.bin, "postgres"), args...))
		p := s.process
		s.mu.Unlock()
		err := p.ready(ask, deadline)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(p.log)
			t.Fatalf("PostgreSQL does not start: %v\n%s", err, log)
		}
	}
}

func ping(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server in order, and its connections with it.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

func (s *Server) end(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.end(signal)
	}
}

// Ended reports whether the server has ended, by itself or not.
func (s *Server) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.process.done:
		return true
	default:
		return false
	}
}

// Reload makes the server read its settings again.
func (s *Server) Reload() { s.signal(syscall.SIGHUP) }

// Refuse makes the server refuse connections, and end once those that it has are closed.
func (s *Server) Refuse() { s.signal(syscall.SIGTERM) }

func (s *Server) signal(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.process.cmd.Process.Signal(signal)
}

// A process is a server that runs.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// runCommand starts a command. The thread that starts it lives as long as it does, since the kernel
// ends the command when that thread ends. Then it is given back and not ended: other commands may
// have been started by it before.
func runCommand(t testing.TB, dir string, c *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: c, log: filepath.Join(dir, "log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		defer log.Close()
		err := c.Start()
		started <- err
		if err == nil {
			_ = c.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return p
}

// ready waits until ask succeeds. It fails if the process ends first, and at the deadline.
func (p *process) ready(ask func() error, deadline time.Time) (err error) {
	for time.Now().Before(deadline) {
		if err = ask(); err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}

func (p *process) end(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// A Bouncer is a pgbouncer in transaction mode before a server.
type Bouncer struct{ dir string }

// StartBouncer starts a pgbouncer with few connections to the server, and with settings such as
// "query_timeout = 1", until the test ends. It skips or fails the test as [Start] does.
func StartBouncer(t testing.TB, s *Server, settings ...string) *Bouncer {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path = "/usr/sbin/pgbouncer"; !exists(path) {
			missing(t, "pgbouncer")
		}
	}
	b := &Bouncer{directory(t)}
	config := fmt.Sprintf(`[databases]
postgres = host=%s port=5432 dbname=postgres user=inlet
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
server_reset_query_always = 0
logfile = %s
%s
`, s.Dir, b.dir, filepath.Join(b.dir, "bouncer.log"), strings.Join(settings, "\n"))
	file := filepath.Join(b.dir, "bouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p := runCommand(t, b.dir, command(b.dir, path, "-q", file))
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	if err := p.ready(func() error { return ping(b.DSN()) }, time.Now().Add(patience)); err != nil {
		log, _ := os.ReadFile(p.log)
		t.Fatalf("pgbouncer does not start: %v\n%s", err, log)
	}
	return b
}

// DSN returns the connection string, with further keywords and values.
func (b *Bouncer) DSN(more ...string) string { return dsn(b.dir, more) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
