//go:build torture && linux

package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A child is a running process that writes, seen from outside.
type child struct {
	cmd  *exec.Cmd
	log  *os.File // what it wrote to its standard error
	read chan struct{}

	mu       sync.Mutex
	deaf     bool // what it reports from now on does not count
	ready    bool
	acks     []ack
	failures []failure
	poisoned bool
	takings  []taking          // of all destinations
	reports  map[string]report // the last of each destination
	closed   bool
}

// An ack is a write that was acknowledged, and a failure is one that was not, with the time
// by the child's clock: its output may be in the pipe for a while.
type (
	ack struct {
		prefix string
		n      int
		at     time.Time
	}
	failure struct {
		text string
		at   time.Time
	}
)

// start runs a child, under wrapper if there is one.
func start(t *testing.T, do task, procs int, wrapper ...string) *child {
	t.Helper()
	config, err := json.Marshal(do)
	require.NoError(t, err)
	args := append(wrapper, os.Args[0])
	c := &child{cmd: exec.Command(args[0], args[1:]...), read: make(chan struct{}), reports: map[string]report{}}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(config), "GOMAXPROCS="+strconv.Itoa(procs))
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a wrapper and what it runs
	c.log, err = os.CreateTemp(t.TempDir(), "stderr")
	require.NoError(t, err)
	c.cmd.Stderr = c.log
	pipe, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	go func() { defer close(c.read); c.listen(pipe) }()
	t.Cleanup(c.kill)
	c.await(t, patience, "ready", func() bool { return c.ready })
	return c
}

// listen reads the child's output to its end.
func (c *child) listen(pipe io.Reader) {
	for lines := bufio.NewReaderSize(pipe, 1<<20); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // ignores an incomplete line
		}
		c.hear(strings.TrimSuffix(line, "\n"))
	}
}

func (c *child) hear(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	if c.deaf && word != "t" { // what is taken is no promise, and may be known later
		return
	}
	switch word {
	case "ready":
		c.ready = true
	case "a":
		at, what := cutTime(rest)
		prefix, count, _ := strings.Cut(what, " ")
		n, _ := strconv.Atoi(count)
		c.acks = append(c.acks, ack{prefix, n, at})
	case "e":
		at, text := cutTime(rest)
		c.failures = append(c.failures, failure{text, at})
	case "p":
		c.poisoned = true
	case "t":
		c.takings = append(c.takings, parse[taking](rest))
	case "r":
		r := parse[report](rest)
		c.reports[r.Name] = r
	case "closed":
		c.closed = true
	}
}

// cutTime cuts the time off the beginning of a child's output.
func cutTime(text string) (at time.Time, rest string) {
	nanos, rest, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseInt(nanos, 10, 64)
	return time.Unix(0, n), rest
}

// parse parses JSON from a child.
func parse[T any](text string) (v T) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

// kill ends the child as kill -9 does, and reads the rest of its output.
func (c *child) kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // may have ended
	<-c.read
	_ = c.cmd.Wait()
}

// stop ends the child by SIGTERM, as a server is stopped, and waits for that.
func (c *child) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	c.await(t, 30*time.Second, "close", func() bool { return c.closed })
	c.kill()
}

// hush ignores the child's output from now on. Earlier output was read or is lost; either is
// right for an acknowledgement in flight.
func (c *child) hush() {
	c.mu.Lock()
	c.deaf = true
	c.mu.Unlock()
}

// await waits until is returns true, which is called with the lock held.
func (c *child) await(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return is()
	}, limit, time.Millisecond, "the child never came to: %s\n%s", what, c.stderr())
}

// patience is how long a child may take for anything, on the busiest machine.
const patience = time.Minute

// awaitAcks waits for a number of further acknowledged writes.
func (c *child) awaitAcks(t *testing.T, more int) {
	t.Helper()
	before := c.acked()
	c.await(t, patience, "acknowledge more", func() bool { return len(c.acks) >= before+more })
}

func (c *child) acked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acks)
}

// report returns the last report of a destination.
func (c *child) report(name string) report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reports[name]
}

// awaitReport waits until the report of a destination satisfies is.
func (c *child) awaitReport(t *testing.T, name, what string, is func(report) bool) {
	t.Helper()
	c.await(t, patience, name+": "+what, func() bool { return is(c.reports[name]) })
}

// logged reports whether the child has logged that text.
func (c *child) logged(t *testing.T, text string) bool {
	t.Helper()
	all, err := os.ReadFile(c.log.Name())
	require.NoError(t, err)
	return bytes.Contains(all, []byte(text))
}

// stderr returns the end of what the child logged.
func (c *child) stderr() string {
	text, _ := os.ReadFile(c.log.Name())
	return string(text[max(0, len(text)-2000):])
}
