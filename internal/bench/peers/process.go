//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// The environment of a process that is a server: the name of its peer, and the directory of its
// files.
const (
	nameVariable      = "PEERS_SERVER"
	directoryVariable = "PEERS_DIRECTORY"
)

// serveIfAsked serves until the standard input ends and returns true, if the process was started
// to be a server.
func serveIfAsked() bool {
	name := os.Getenv(nameVariable)
	if name == "" {
		return false
	}
	if err := serve(name, os.Getenv(directoryVariable)); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", name+":", err)
		os.Exit(1)
	}
	return true
}

// serve prints the address, and then answers each line of the standard input with the processor
// time of the process in nanoseconds.
func serve(name, dir string) error {
	all := peers()
	i := slices.IndexFunc(all, func(p peer) bool { return p.name == name })
	if i < 0 {
		return errors.New("no such server")
	}
	stop, err := all[i].start(dir)
	if err != nil {
		return err
	}
	port, err := listening()
	if err != nil {
		return err
	}
	fmt.Println(port)
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
		}
		fmt.Println(used.Utime.Nano() + used.Stime.Nano())
	}
	return stop()
}

// listening returns the port that this process listens on. Not every server says which one it was
// given.
func listening() (port int, err error) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			return 0, err
		}
		if accepts, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || accepts == 0 {
			continue
		}
		address, err := syscall.Getsockname(fd)
		if a, ok := address.(*syscall.SockaddrInet4); err == nil && ok {
			return a.Port, nil
		}
	}
	return 0, errors.New("nothing listens")
}

// A server is a process that a peer runs in.
type server struct {
	port int
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// startServer starts a process with files in a new directory below dir.
func startServer(p peer, dir string) (*server, error) {
	dir, err := os.MkdirTemp(dir, "peer-")
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{dir: filepath.Clean(dir), cmd: exec.Command(program)}
	s.cmd.Env = append(os.Environ(), nameVariable+"="+p.name, directoryVariable+"="+s.dir)
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.port, err = s.number()
	if err != nil {
		return nil, errors.Join(err, s.kill())
	}
	return s, nil
}

func (s *server) number() (int, error) {
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("no line from the server: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// used returns the processor time of the process.
func (s *server) used() (time.Duration, error) {
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		return 0, err
	}
	n, err := s.number()
	return time.Duration(n), err
}

// end ends the process in good order.
func (s *server) end() error { return errors.Join(s.in.Close(), s.cmd.Wait()) }

// kill ends the process with SIGKILL.
func (s *server) kill() error {
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // which says that it was killed
	return err
}

// onProcessor has f run, and the processes that it starts, on one processor. The calling
// goroutine must be locked to its thread.
func onProcessor(n int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one [16]uint64
	one[n/64] = 1 << (n % 64)
	if err := affinity(syscall.SYS_SCHED_GETAFFINITY, &before); err != nil {
		return err
	}
	if err := affinity(syscall.SYS_SCHED_SETAFFINITY, &one); err != nil {
		return err
	}
	return errors.Join(f(), affinity(syscall.SYS_SCHED_SETAFFINITY, &before))
}

// affinity gets or sets the processors of the calling thread.
func affinity(call uintptr, set *[16]uint64) error {
	if _, _, errno := syscall.RawSyscall(call, 0, unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set))); errno != 0 {
		return os.NewSyscallError("sched_affinity", errno)
	}
	return nil
}
