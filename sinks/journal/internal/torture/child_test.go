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
	deaf     bool // what it says from now on does not count
	ready    bool
	acks     []ack
	failures []failure
	poisoned bool
	takings  []taking          // of all destinations
	reports  map[string]report // the last of each destination
	closed   bool
}

// An ack is a write that was acknowledged, a failure one that was not, and when by
// the child's word: what it says may lie in the pipe for a while.
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

// start runs a child, by way of wrapper if there is one.
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
	c.await(t, 20*time.Second, "ready", func() bool { return c.ready })
	return c
}

// listen hears the child out.
func (c *child) listen(pipe io.Reader) {
	for lines := bufio.NewReaderSize(pipe, 1<<20); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // half a line is no word
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

// cutTime takes the time off the beginning of what a child said.
func cutTime(text string) (at time.Time, rest string) {
	nanos, rest, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseInt(nanos, 10, 64)
	return time.Unix(0, n), rest
}

// parse reads what a child said in JSON.
func parse[T any](text string) (v T) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

// kill ends the child as an operator's kill -9 does, and hears what it had said.
func (c *child) kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // may have ended
	<-c.read
	_ = c.cmd.Wait()
}

// stop tells the child to end as a server does, and waits for that.
func (c *child) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	c.await(t, 30*time.Second, "close", func() bool { return c.closed })
	c.kill()
}

// hush makes what the child says from now on not count. What it said before has
// been heard, or is lost: both are right for an acknowledgement on its way.
func (c *child) hush() {
	c.mu.Lock()
	c.deaf = true
	c.mu.Unlock()
}

// await waits until is true, which is called with the lock held.
func (c *child) await(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return is()
	}, limit, time.Millisecond, "the child never came to: %s\n%s", what, c.stderr())
}

// awaitAcks waits for as many writes more.
func (c *child) awaitAcks(t *testing.T, more int) {
	t.Helper()
	before := c.acked()
	c.await(t, 20*time.Second, "acknowledge more", func() bool { return len(c.acks) >= before+more })
}

func (c *child) acked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acks)
}

// report returns how a destination does.
func (c *child) report(name string) report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reports[name]
}

// awaitReport waits until the child says of a destination what is asked for.
func (c *child) awaitReport(t *testing.T, name, what string, is func(report) bool) {
	t.Helper()
	c.await(t, 20*time.Second, name+": "+what, func() bool { return is(c.reports[name]) })
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
