package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// A server is a PostgreSQL that lasts as long as this program. It listens on a socket in a
// directory that only its user can open.
type server struct {
	dsn   string
	alive io.Closer // its watcher stops the server when this is closed, or this program has died
	cmd   *exec.Cmd
}

// watch starts a server, and stops it at the end of its input. Ctrl-C is for the program.
const watch = `trap "" INT
"$0" -D "$1" -l "$1/log" -w -t 120 start >&2 || exit 1
echo ready
read -r _
"$0" -D "$1" -w -m fast stop >&2`

// startServer starts a server in a directory.
func startServer(dir string) (*server, error) {
	bin, err := installed()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		all := append(append([]string{}, as...), append([]string{name}, args...)...)
		cmd := exec.Command(all[0], all[1:]...)
		cmd.Dir = dir
		return cmd
	}
	initdb := command(filepath.Join(bin, "initdb"), "-D", data, "-U", "inlet", "-A", "trust", "-E", "UTF8", "--locale=C")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := configure(data, dir); err != nil {
		return nil, err
	}
	s := &server{
		dsn: "host=" + dir + " port=5432 user=inlet dbname=postgres sslmode=disable",
		cmd: command("sh", "-c", watch, filepath.Join(bin, "pg_ctl"), data),
	}
	return s, s.start()
}

// start returns once the server accepts connections, or has failed to start.
func (s *server) start() error {
	var complaints bytes.Buffer
	s.cmd.Stderr = &complaints
	alive, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.alive = alive
	said, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if line, _ := bufio.NewReader(said).ReadString('\n'); line != "ready\n" {
		s.stop()
		return fmt.Errorf("PostgreSQL does not start:\n%s", complaints.String())
	}
	return nil
}

// stop stops the server, and waits for its end.
func (s *server) stop() {
	_ = s.alive.Close()
	_ = s.cmd.Wait()
}

// installed returns the directory of PostgreSQL's programs: the newest of Debian's, which are in no
// path, or that of the path.
func installed() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	newest, dir := 0, ""
	for _, file := range found {
		bin := filepath.Dir(file)
		if n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin))); n > newest {
			newest, dir = n, bin
		}
	}
	if dir != "" {
		return dir, nil
	}
	if file, err := exec.LookPath("pg_ctl"); err == nil {
		return filepath.Dir(file), nil
	}
	return "", errors.New("PostgreSQL is not installed here, which is the package postgresql of Debian: " +
		"install it, or name a database with -dsn")
}

// unprivileged returns what a command begins with so that it does not run as root, which
// PostgreSQL refuses, and gives that user the directory.
func unprivileged(dir string) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
		return nil, err
	}
	return []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups"}, nil
}

// configure lets the server listen on a socket in a directory only.
func configure(data, dir string) error {
	file, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "listen_addresses = ''\nport = 5432\nunix_socket_directories = '%s'\n", strings.ReplaceAll(dir, "'", "''"))
	return errors.Join(err, file.Close())
}
