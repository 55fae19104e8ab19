package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"time"
)

// A report is what a process of the fleet says about itself.
type report struct {
	Ready       bool   // a node has opened everything
	Front, Back uint64 // events that a node has stored in the stream, and in its journal
	Down        bool   // the stream was down for the node, and does not have everything yet
	Behind      uint64 // events in the node's journal that the stream may lack

	Messages uint64 // that a broker has of the stream
	Leader   bool   // the broker leads the stream
}

// reportUntilStop prints reports on stdout, until stdin ends: the program that has started this
// process wants it to stop, or has died. Ctrl-C is for that program.
func reportUntilStop(now func() report) {
	signal.Ignore(os.Interrupt)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for out := json.NewEncoder(os.Stdout); ; {
		_ = out.Encode(now())
		select {
		case <-tick.C:
		case <-stopped:
			return
		}
	}
}

// A process is a node or a broker, which can be killed and started again.
type process struct {
	name string
	args []string // of this program
	log  string   // file of its stderr

	mu      sync.Mutex
	cmd     *exec.Cmd
	stdin   io.Closer
	ended   chan struct{} // closed when it has ended
	last    *report       // nil until it has reported
	expects bool          // its end is expected
	err     error         // of an end that was not expected
}

func newProcess(dir, name string, args ...string) *process {
	return &process{name: name, args: args, log: filepath.Join(dir, name+".log")}
}

// start starts the process.
func (p *process) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, p.args...)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.stdin, p.ended, p.last, p.expects = cmd, stdin, ended, nil, false
	p.mu.Unlock()
	go p.follow(cmd, stdout, ended)
	return nil
}

// follow reads the reports of the process until it ends.
func (p *process) follow(cmd *exec.Cmd, stdout io.Reader, ended chan struct{}) {
	defer close(ended)
	for in := json.NewDecoder(stdout); ; {
		r := new(report)
		if in.Decode(r) != nil {
			break
		}
		p.mu.Lock()
		p.last = r
		p.mu.Unlock()
	}
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = nil
	if !p.expects {
		p.err = errors.Join(p.err, fmt.Errorf("%s has ended by itself: %v", p.name, err))
	}
}

// kill kills the process, if it runs, and waits until it is gone.
func (p *process) kill() {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.expects = true
	p.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		<-ended
	}
}

// stop has the process stop properly, and fails if it does not.
func (p *process) stop(ctx context.Context) error {
	p.mu.Lock()
	p.expects = true
	p.mu.Unlock()
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("%s does not stop: %w", p.name, ctx.Err())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s has stopped with status %d", p.name, code)
	}
	return nil
}

// now returns the last report, or nil.
func (p *process) now() *report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// fault returns why the process has ended, if that was not expected.
func (p *process) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
