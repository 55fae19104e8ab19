package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// serverVariable names, in the environment of a process that a benchmark
// starts, the server that it shall be.
const serverVariable = "INLET_BENCH_SERVER"

// A usage is what a server process has used up to now.
type usage struct {
	CPU         int64  // nanoseconds, user and system
	Allocations uint64 // since the start
	Resident    int64  // bytes; only after a collection
	HeapStack   uint64 // bytes in use; only after a collection
}

// serveForBenchmark serves until its standard input ends and returns true, if
// the process was started to be a server.
func serveForBenchmark() bool {
	kind := os.Getenv(serverVariable)
	if kind == "" {
		return false
	}
	if err := serve(kind); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	return true
}

// serve listens on a free port of the loopback, tells which on standard output,
// and then answers each line of standard input with its usage.
func serve(kind string) error {
	handler, err := handlerOf(kind)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		if err := json.NewEncoder(os.Stdout).Encode(used(commands.Text() == "collect")); err != nil {
			return err
		}
	}
	return server.Close()
}

// handlerOf returns the handler of a kind of server.
func handlerOf(kind string) (http.Handler, error) {
	switch kind {
	case "bare":
		return bareHandler(nil), nil
	case "valid":
		return answering(bareHandler(func(body []byte) bool { return jsontext.Value(body).IsValid() })), nil
	case "chain":
		return newChain()
	case "slow":
		return newOverloaded()
	}
	return newHandler()
}

// answering adds the answer that SDKs need, which the floor of the goals lacks.
func answering(next http.Handler) http.Handler {
	contentType, body := []string{"application/json"}, []byte(`{"success":true}`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = contentType
		next.ServeHTTP(w, r)
		w.Write(body)
	})
}

// used reads the usage of this process, with its memory after a collection.
func used(collect bool) (u usage) {
	var mem runtime.MemStats
	if collect {
		runtime.GC()
		debug.FreeOSMemory()
		u.Resident = resident()
	}
	runtime.ReadMemStats(&mem)
	u.Allocations, u.HeapStack = mem.Mallocs, mem.HeapInuse+mem.StackInuse
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err == nil {
		u.CPU = r.Utime.Nano() + r.Stime.Nano()
	}
	return u
}

// resident returns the resident set of this process in bytes.
func resident() int64 {
	stat, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(stat))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// A server is a process that serves on the loopback.
type server struct {
	address string
	in      interface{ Write([]byte) (int, error) }
	out     *bufio.Reader
}

// startServer starts a server process on the first processor. It ends with the
// benchmark.
func startServer(tb testing.TB, kind string) *server {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(tb, err)
	out, err := cmd.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, startOn(cmd, 0))
	tb.Cleanup(func() {
		_ = in.Close()
		require.NoError(tb, cmd.Wait())
	})
	s := &server{in: in, out: bufio.NewReader(out)}
	address, err := s.out.ReadString('\n')
	require.NoError(tb, err)
	s.address = strings.TrimSpace(address)
	return s
}

// used asks the process for its usage.
func (s *server) used(tb testing.TB, collect bool) (u usage) {
	tb.Helper()
	command := "usage\n"
	if collect {
		command = "collect\n"
	}
	_, err := s.in.Write([]byte(command))
	require.NoError(tb, err)
	line, err := s.out.ReadBytes('\n')
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(line, &u))
	return u
}
