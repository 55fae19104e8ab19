//go:build unix

package blocks

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// follow starts a command in dir that prints what is written from now on, writes until it prints
// something, and returns that.
func follow(t *testing.T, dir, script string, write func(n int)) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end all that the shell starts
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
	}()
	again := time.NewTicker(50 * time.Millisecond) // it may not have begun to look
	defer again.Stop()
	for n := range 2000 {
		write(n)
		select {
		case text := <-line:
			return text
		case <-again.C:
		}
	}
	require.Fail(t, "nothing was printed", script)
	return ""
}
