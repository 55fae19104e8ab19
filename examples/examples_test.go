//go:build unix

// Package examples has the test that every example passes: it runs as its first comment says,
// prints what a user needs to send an event, explains its flags, and stops on SIGINT.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
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

// An example is what the test cannot know from the program and its first comment.
type example struct {
	// args returns flags in addition to those of the first comment and to -addr.
	args func(t *testing.T) []string
	// prepare is the other commands of the first comment. They are not run.
	prepare []string
	// prints is what a program without an API prints before it ends by itself. Programs that
	// have one print a curl command, and end on SIGINT.
	prints string
	// needs is a program without which the example cannot be built.
	needs string
	// heavy is set if the example has dependencies that take long to compile. It is left out
	// then, and a test of its own module runs this one with -example, when they are compiled.
	heavy bool
	// curls is how many curl commands a program with an API prints, 1 if it is not set.
	curls int
	// stored is files, as patterns below the directory that the example ran in, which have the
	// event of the first curl command after the end.
	stored string
	// unused has a client keep a connection open that it does not use, as browsers do, until the
	// program has ended.
	unused bool
	// absent is text of that event which must not be there.
	absent string
}

// All examples. A new one needs a row, which may be empty.
var all = map[string]example{
	"browser": {
		args:    func(t *testing.T) []string { return []string{"-files", bundle(t)} },
		prepare: []string{"npm install --prefix examples/browser"},
		stored:  "inlet-data/*.ndjson",
	},
	"cluster": {
		args: func(*testing.T) []string {
			return []string{"-for", "1s", "-kill", "0"}
		},
		heavy:  true,
		prints: "\n0 lost, 0 twice",
	},
	"customsink": {stored: "events.csv"},
	"fanout": {
		args:   func(*testing.T) []string { return []string{"-warehouse", "127.0.0.1:0"} },
		stored: "fanout-data/warehouse/*.ndjson",
		unused: true,
	},
	"observed": {
		args:  func(*testing.T) []string { return []string{"-operators", "127.0.0.1:0"} },
		heavy: true, stored: "observed-data/events/*.ndjson",
	},
	"encrypt":       {curls: 2, stored: "encrypt-data/*.ndjson", absent: "ada@shop.example"},
	"mount":         {stored: "inlet-data/*.ndjson"},
	"mounts":        {heavy: true, stored: "inlet-data/*.ndjson"},
	"plan":          {prints: "6. By the new plan, 10 of the events in quarantine are stored, and 0 stay."},
	"ownmiddleware": {stored: "inlet-data/*.ndjson", absent: "ada@shop.example"},
	"postgres":      {heavy: true, prints: "From typed tables (tables.sql):"},
	"query":         {heavy: true, needs: "g++", prints: "3000 events are acknowledged, and the journal is closed:"},
	"shadow":        {stored: "shadow-data/*.ndjson"},
	"shop":          {heavy: true, stored: "shop-data/events/*.ndjson"},
	"sqlkeys":       {heavy: true, stored: "sqlkeys-data/events/*.ndjson"},
	"standalone":    {stored: "inlet-data/*.ndjson"},
}

// bundle returns a directory with the file that npm would install.
func bundle(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.js"), []byte("// a bundle"), 0o600))
	return dir
}

var only = flag.String("example", "", "`name` of the only example to test, also if it is heavy")

func TestExamples(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds every example")
	}
	files, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, filepath.Dir(file))
	}
	require.ElementsMatch(t, names, slices.Collect(maps.Keys(all)), "each example has a row in the table of this test")
	for name, e := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch {
			case *only != "" && *only != name:
				t.Skip("another one was asked for")
			case *only == "" && e.heavy:
				requireTested(t, name)
				t.Skip("the tests of its module run this one")
			}
			if e.needs != "" {
				need(t, e.needs)
			}
			binary := build(t, name)
			t.Run("usage", func(t *testing.T) { requireUsage(t, binary, e.prints == "") })
			for _, c := range commands(t, name, e.prepare) {
				t.Run(c.line, func(t *testing.T) { e.run(t, binary, c) })
			}
		})
	}
}

// requireTested requires that the tests of a heavy example run those here.
func requireTested(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(name, "run_test.go"))
	require.NoError(t, err)
	require.Contains(t, string(text), `testkit.Example(t, "`+name+`")`)
}

// need skips the test without a program, unless all programs have to be there.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		require.NotEqual(t, "1", os.Getenv("INLET_REQUIRE_CLIENTS"), "INLET_REQUIRE_CLIENTS=1, but there is no %s", program)
		t.Skip("there is no " + program)
	}
}

// build returns the path of the program. The module of the example may be one of its own.
func build(t *testing.T, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-ldflags=-w", "-o", binary, ".")
	cmd.Dir = name
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// requireUsage requires that -h explains the flags, and that a wrong command line is refused.
func requireUsage(t *testing.T, binary string, serves bool) {
	t.Helper()
	for args, code := range map[string]int{"-h": 0, "-unknown": 2, "unexpected": 2} {
		ctx, cancel := context.WithTimeout(t.Context(), patience) // of one that serves nevertheless
		cmd := exec.CommandContext(ctx, binary, args)
		cmd.Dir = t.TempDir()
		out, _ := cmd.CombinedOutput()
		cancel()
		require.Equal(t, code, cmd.ProcessState.ExitCode(), "%s:\n%s", args, out)
		require.Regexp(t, `(?m)^Usage of .*`+regexp.QuoteMeta(filepath.Base(binary)), string(out), args)
		if serves {
			require.Regexp(t, `(?m)^ +-addr `, string(out), args)
		}
		left, err := os.ReadDir(cmd.Dir)
		require.NoError(t, err)
		require.Empty(t, left, "%s wrote files", args)
	}
}

// A command is one of the first comment of an example.
type command struct {
	line      string
	env, args []string
}

var goRun = regexp.MustCompile(`^((?:[A-Z_]+=\S+ )*)go run \./examples/(\w+)((?: \S+)*)$`)

// commands returns the commands of the first comment of an example that run it.
func commands(t *testing.T, name string, others []string) (found []command) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(name, "main.go"), nil, parser.ParseComments|parser.PackageClauseOnly)
	require.NoError(t, err)
	for line := range strings.Lines(file.Doc.Text()) {
		line, indented := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		if !indented || slices.Contains(others, line) {
			continue
		}
		parts := goRun.FindStringSubmatch(line)
		require.NotNil(t, parts, "the first comment has a command that the test does not know: %s", line)
		require.Equal(t, name, parts[2])
		found = append(found, command{line, strings.Fields(parts[1]), strings.Fields(parts[3])})
	}
	require.NotEmpty(t, found, "the first comment does not say how to run the example")
	return found
}

// run runs a command in an empty directory, as from the root of the repository.
func (e example) run(t *testing.T, binary string, c command) {
	args := c.args
	if e.args != nil {
		args = slices.Concat(args, e.args(t))
	}
	if e.prints == "" {
		args = append(slices.Clone(args), "-addr", "127.0.0.1:0")
	}
	p := start(t, binary, c.env, args)
	if e.prints != "" {
		require.NoError(t, p.wait(), "%s", p.output())
		require.Contains(t, p.output(), e.prints)
		return
	}
	first := p.curl(t)
	status, answer := request(t, p.cmd.Dir, key.ReplaceAllString(first, ""))
	require.Equal(t, "401", status, "without the key: %s", answer)
	for i, curl := 1, first; ; i, curl = i+1, p.curl(t) {
		status, answer = request(t, p.cmd.Dir, curl)
		require.Equal(t, "200", status, "%s\n%s\n%s", curl, answer, p.output())
		require.JSONEq(t, `{"success":true}`, answer)
		if i >= e.curls {
			break
		}
	}
	if e.unused {
		conn, err := net.Dial("tcp", host.FindStringSubmatch(first)[1])
		require.NoError(t, err)
		defer conn.Close()
	}
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, p.wait(), "%s", p.output())
	e.requireStored(t, p.cmd.Dir, first)
}

var (
	key  = regexp.MustCompile(` (?:-u|-H) (?:'[^']*'|\S+)`)
	host = regexp.MustCompile(` http://([^/ ]+)/`)
	user = regexp.MustCompile(`"(?:userId|id)":"([\w-]+)"`)
)

// requireStored requires that the event of the curl command is in the files.
func (e example) requireStored(t *testing.T, dir, curl string) {
	t.Helper()
	id := user.FindStringSubmatch(curl)
	require.NotNil(t, id, "the event of the curl command names a user")
	files, err := filepath.Glob(filepath.Join(dir, e.stored))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var text []byte
	for _, file := range files {
		more, err := os.ReadFile(file)
		require.NoError(t, err)
		text = append(text, more...)
	}
	require.Contains(t, string(text), id[1])
	if e.absent != "" {
		require.Contains(t, curl, e.absent)
		require.NotContains(t, string(text), e.absent)
	}
}

// A process is a running example.
type process struct {
	cmd   *exec.Cmd
	lines chan string // the curl commands that it prints
	read  chan struct{}
	hung  *time.Timer

	mu   sync.Mutex
	text bytes.Buffer
}

// patience is how long a program may take, which on a loaded machine can be long.
const patience = 3 * time.Minute

func start(t *testing.T, binary string, env, args []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), lines: make(chan string, 10), read: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = t.TempDir(), append(os.Environ(), env...), p
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.hung = time.AfterFunc(patience, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) }) // prints the goroutines
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.wait()
	})
	go p.follow(stdout)
	return p
}

// follow reads what the program prints, so that it never waits for its reader.
func (p *process) follow(stdout io.Reader) {
	defer close(p.read)
	defer close(p.lines)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		_, _ = p.Write(append(lines.Bytes(), '\n'))
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "curl ") {
			p.lines <- line
		}
	}
}

// Write keeps what the program prints and logs.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// curl returns the next command that the program prints.
func (p *process) curl(t *testing.T) string {
	t.Helper()
	line, ok := <-p.lines
	require.True(t, ok, "no curl command was printed:\n%s", p.output())
	require.Regexp(t, key, line, "the curl command has no key")
	return line
}

// wait returns how the program ended.
func (p *process) wait() error {
	<-p.read
	defer p.hung.Stop()
	return p.cmd.Wait()
}

// request runs a curl command in a shell, in the directory of the program, and returns the status
// and the body of the response.
func request(t *testing.T, dir, curl string) (status, body string) {
	t.Helper()
	need(t, "curl")
	cmd := exec.Command("sh", "-c", strings.Replace(curl, "curl ", `curl -sS -m 60 -w '\n%{http_code}' `, 1))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", curl, out)
	end := strings.LastIndexByte(string(out), '\n')
	return string(out[end+1:]), strings.TrimSpace(string(out[:end]))
}
