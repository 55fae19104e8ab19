//go:build unix

package blocks

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runProgram runs the first program of the README as a reader does, on another port: it sends the
// curl command below, compares the answer with that of the README, and then runs the last
// command.
func runProgram(t *testing.T, program block) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	need(t, "curl")
	blocks, _ := blocksOf(program.doc, readFile(t, program.doc))
	i := slices.Index(blocks, program)
	curl, answer, tail := blocks[i+1], blocks[i+2], blocks[i+3]
	require.Equal(t, []string{"sh", "json", "sh"}, []string{curl.lang, answer.lang, tail.lang})
	const address = "127.0.0.1:8080"
	require.Contains(t, program.text, `"`+address+`"`)
	require.Contains(t, curl.text, "http://"+address+"/")
	for range 20 { // another process may take the port meanwhile
		port := freeAddress(t)
		p := startProgram(t, strings.ReplaceAll(program.text, address, port))
		if !p.accepts(t, port) {
			continue
		}
		command := strings.Replace(strings.ReplaceAll(curl.text, address, port), "curl ", "curl -sS -m 60 ", 1)
		require.JSONEq(t, answer.text, shell(t, p.dir, command), "%s", &p.log)
		require.Contains(t, shell(t, p.dir, tail.text), `"event":"Signed Up"`)
		return
	}
	require.Fail(t, "no port is free")
}

// freeAddress returns an address that is not in use.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// A running is a program that runs in a directory of its own.
type running struct {
	dir   string
	ended chan struct{}
	log   bytes.Buffer // readable when it has ended
}

// startProgram builds a program and runs it until the end of the test.
func startProgram(t *testing.T, source string) *running {
	t.Helper()
	p := &running{dir: t.TempDir(), ended: make(chan struct{})}
	file, binary := filepath.Join(p.dir, "main.go"), filepath.Join(p.dir, "program")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	build := exec.Command("go", "build", "-ldflags=-w", "-o", binary, file)
	build.Dir = repository // whose go.mod names what the program imports
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command(binary)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &p.log, &p.log
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// accepts waits until the program accepts connections, and reports false if another program has the
// address.
func (p *running) accepts(t *testing.T, address string) bool {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for range 6000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			require.NoError(t, conn.Close())
			select {
			case <-p.ended: // so that it was another program
			case <-again.C:
				return true
			}
		}
		select {
		case <-p.ended:
			require.Contains(t, p.log.String(), "address already in use")
			return false
		case <-again.C:
		}
	}
	require.Fail(t, "the program does not listen")
	return false
}
