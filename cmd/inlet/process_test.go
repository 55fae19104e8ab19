//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the path of the command, which is built once. Tests send signals to it; the go command
// would not pass them on.
var binary string

// scratch is the directory of the binary, which is removed after the tests.
var scratch string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "inlet")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	scratch, binary = dir, filepath.Join(dir, "inlet")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// A process is a running server.
type process struct {
	url  string
	key  string
	curl string // the command that sends an event
	tail string // the command that shows the last event
	cmd  *exec.Cmd
	log  *bytes.Buffer // stderr, readable once the process has ended
	// logTo receives stderr in place of log, if it is set.
	logTo io.Writer
	end   sync.Once
	err   error // how it ended
}

// start runs the server on dir and a free port, and reads what it prints.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{log: new(bytes.Buffer)}
	p.cmd = exec.Command(binary, append([]string{"serve", "-addr", "127.0.0.1:0", "-dir", dir}, args...)...)
	p.begin(t)
	return p
}

// begin starts the process and reads what it prints.
func (p *process) begin(t *testing.T) {
	t.Helper()
	p.cmd.Stderr = p.log
	if p.logTo != nil {
		p.cmd.Stderr = p.logTo
	}
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	p.read(t, stdout)
}

// read reads the commands in the greeting.
func (p *process) read(t *testing.T, stdout io.Reader) {
	t.Helper()
	for lines := bufio.NewScanner(stdout); p.tail == "" && lines.Scan(); {
		switch line := strings.TrimSpace(lines.Text()); {
		case strings.HasPrefix(line, "curl "):
			p.curl = line
		case strings.HasPrefix(line, "tail "):
			p.tail = line
		}
	}
	require.NotEmpty(t, p.tail, "the greeting is incomplete")
	p.url = strings.TrimSuffix(p.curl[strings.LastIndex(p.curl, " ")+1:], "/v1/track")
	_, quoted, _ := strings.Cut(p.curl, "-u '")
	p.key, _, _ = strings.Cut(quoted, ":' -d")
}

// stop ends the server as an operator does, and requires that it succeeds.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.wait(), "the server failed:\n%s", p.log)
}

// wait returns how the process ended. It kills a process that hangs, which is an error.
func (p *process) wait() error {
	p.end.Do(func() {
		hung := time.AfterFunc(2*time.Minute, func() { _ = p.cmd.Process.Kill() })
		defer hung.Stop()
		p.err = p.cmd.Wait()
	})
	return p.err
}

// kill ends it as a crash does: immediately, with nothing flushed.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.wait()
}

// post sends body with the key that the server printed.
func (p *process) post(t *testing.T, path, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth(p.key, "")
	return do(t, r)
}

// do returns the status and the body of the response. It does not follow redirects.
func do(t *testing.T, r *http.Request) (int, map[string]any) {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var answer map[string]any
	if len(body) > 0 {
		require.NoError(t, json.Unmarshal(body, &answer), "%q", body)
	}
	return response.StatusCode, answer
}

// paste runs a command in a shell and returns what it prints.
func paste(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).Output()
	require.NoError(t, err, "%s", line)
	return string(out)
}

// stored is what the tests use of a line of the journal.
type stored struct{ Type, Event, MessageID, UserID, SourceID string }

// events returns the events in the files of dir, in the order in which they were stored, and
// requires that every line is complete.
func events(t *testing.T, dir string) []stored {
	t.Helper()
	var all []stored
	for _, file := range files(t, dir, "*.ndjson*") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			var e stored
			require.True(t, strings.HasSuffix(line, "}\n"), "incomplete line in %s: %q", file, line)
			require.NoError(t, json.Unmarshal([]byte(line), &e), "incomplete line in %s: %q", file, line)
			all = append(all, e)
		}
	}
	return all
}

// files returns those in dir that match pattern, in order.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	slices.Sort(found)
	return found
}

// exitCode returns the exit code of a process, given the error of its end.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

// endedBy returns the signal that ended a process, given the error of its end, and -1 for one that
// ended by itself.
func endedBy(err error) syscall.Signal {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.Sys().(syscall.WaitStatus).Signal()
	}
	return -1
}
