//go:build rig && linux

package rig

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A cgroup is a memory cgroup of its own for one server.
type cgroup struct {
	dir    string
	events string // the file that counts processes killed for want of memory
}

// newCgroup makes a cgroup that may use limit bytes. It skips the test where there is no
// memory controller that this process may use.
func newCgroup(t *testing.T, limit int64) *cgroup {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a memory cgroup needs root")
	}
	name := "inlet-rig-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	c, maximum := &cgroup{dir: filepath.Join("/sys/fs/cgroup/memory", name), events: "memory.oom_control"}, "memory.limit_in_bytes"
	if exists("/sys/fs/cgroup/cgroup.controllers") {
		c, maximum = &cgroup{dir: filepath.Join("/sys/fs/cgroup", name), events: "memory.events"}, "memory.max"
		_ = os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0) // the check below finds out
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Skip("no memory cgroup can be made here: ", err)
	}
	t.Cleanup(func() { c.remove(t) })
	if !exists(filepath.Join(c.dir, maximum)) {
		t.Skip("this machine has no memory controller for new cgroups")
	}
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, maximum), []byte(strconv.FormatInt(limit, 10)), 0))
	return c
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// remove removes the cgroup, whose last process may just have ended.
func (c *cgroup) remove(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return os.Remove(c.dir) == nil }, 30*time.Second, 20*time.Millisecond, "%s", c.dir)
}

// killed returns how many processes the kernel killed for want of memory.
func (c *cgroup) killed(t *testing.T) int64 {
	t.Helper()
	return field(t, filepath.Join(c.dir, c.events), "oom_kill")
}

// command returns a command line that runs args inside the cgroup, before the attackers where
// both want the processor: those of a real attack are other machines.
func (c *cgroup) command(args ...string) []string {
	return append([]string{"/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec nice -n -5 "$@"`, c.dir}, args...)
}

// field returns the number after a name in a file of names and numbers, or 0 if the file has
// gone.
func field(t *testing.T, file, name string) int64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && strings.TrimSuffix(words[0], ":") == name {
			n, err := strconv.ParseInt(words[1], 10, 64)
			require.NoError(t, err)
			return n
		}
	}
	return 0
}
