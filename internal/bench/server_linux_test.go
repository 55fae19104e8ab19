package bench

import (
	"bufio"
	"bytes"
	"context"
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
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/journal"
)

// serverVariable is the environment variable that tells a process that a benchmark starts
// which server to be.
const serverVariable = "INLET_BENCH_SERVER"

// directoryVariable is the environment variable with the directory of a server's journal.
const directoryVariable = "INLET_BENCH_DIRECTORY"

// storedBytes is how much a server that stores keeps on the disk.
const storedBytes = 512 << 20

// A usage is what a server process has used since its start.
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

// serve listens on a free port of the loopback, prints its address, and then answers each
// line of standard input with its usage.
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
	case kindEndpoint:
		return endpoint(isValid), nil
	case kindGzipEndpoint:
		return endpoint(gunzipping()), nil
	case kindReadme:
		return newMount(readmeLayers())
	case kindLimits:
		return newMount(allLayers())
	case kindStandard, kindStandardLog, kindStandardJSON:
		handler, _, err := newStandardOf(kind, os.Getenv(directoryVariable)) // the log ends with the process
		return handler, err
	case "slow":
		return newOverloaded()
	case "journal":
		return newStoring()
	case kindAppended, kindAhead:
		return newFlushing(kind == kindAhead)
	case kindGrouped:
		return newGrouped()
	}
	return newHandler()
}

// answering adds the response body that SDKs need, which the floor of the goals lacks.
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
	u.CPU = testkit.ProcessorTime().Nanoseconds()
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
	binary := os.Args[0]
	if of, ok := strings.CutPrefix(kind, beforeVariable); ok {
		binary, kind = os.Getenv(beforeVariable), of
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), serverVariable+"="+kind, directoryVariable+"="+tb.TempDir())
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

// The capacity of the sink of the overload benchmarks: concurrent writes, and the duration
// of each. Further writes wait in it, as they do for a disk or a database.
const (
	slowWrites    = 8
	slowWriteTime = 2 * time.Millisecond
)

// A slowSink stores nothing, slowly.
type slowSink struct {
	slots  chan struct{}
	events atomic.Int64
}

func (s *slowSink) Write(_ context.Context, events []*inlet.Event) error {
	s.slots <- struct{}{}
	time.Sleep(slowWriteTime)
	<-s.slots
	s.events.Add(int64(len(events)))
	return nil
}

// newOverloaded returns the documented mount around a handler with a slow sink.
func newOverloaded() (http.Handler, error) {
	handler, err := inlet.New(&slowSink{slots: make(chan struct{}, slowWrites)}, nil)
	if err != nil {
		return nil, err
	}
	return allLayers()(handler), nil
}

// newStoring returns the documented mount around a handler that stores in a journal. Its
// directory is that of the process, which removes it.
func newStoring() (http.Handler, error) {
	store, err := journal.Open(os.Getenv(directoryVariable), &journal.Options{RetainBytes: storedBytes})
	if err != nil {
		return nil, err
	}
	handler, err := inlet.New(store, nil)
	if err != nil {
		return nil, err
	}
	return allLayers()(handler), nil
}

// A processors is a set of processors in the form of the kernel.
type processors [16]uint64

func oneProcessor(n int) (set processors) {
	set[n/64] = 1 << (n % 64)
	return set
}

// allowed returns the processors that a thread may run on; 0 is the calling thread.
func allowed(thread int) (set processors, err error) {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	return set, errnoError(errno)
}

func allow(thread int, set processors) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	return errnoError(errno)
}

func errnoError(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// startOn starts cmd on one processor: a process inherits the set of the
// thread that starts it.
func startOn(cmd *exec.Cmd, processor int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := allowed(0)
	if err != nil {
		return err
	}
	if err := allow(0, oneProcessor(processor)); err != nil {
		return err
	}
	defer func() { _ = allow(0, before) }()
	return cmd.Start()
}

// stayOn keeps all threads of this process on one processor until the benchmark
// ends. Threads that start later inherit it from the one that starts them.
func stayOn(tb testing.TB, processor int) {
	tb.Helper()
	before, err := allowed(0)
	require.NoError(tb, err)
	processes := runtime.GOMAXPROCS(1)
	allowAll(tb, oneProcessor(processor))
	tb.Cleanup(func() {
		allowAll(tb, before)
		runtime.GOMAXPROCS(processes)
	})
}

func allowAll(tb testing.TB, set processors) {
	tb.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(tb, err)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		require.NoError(tb, err)
		if err := allow(id, set); err != syscall.ESRCH { // it may have ended
			require.NoError(tb, err)
		}
	}
}

// A client keeps connections to a server and sends requests that were made
// beforehand. A net/http client would cost more than the server.
type client struct {
	requests    [][]byte
	connections []*connection
	next        atomic.Int64
}

type connection struct {
	net.Conn
	responses *bufio.Reader
}

// dial opens n keep-alive connections from one address.
func dial(tb testing.TB, address string, n int, requests [][]byte) *client {
	tb.Helper()
	return dialFrom(tb, 1, address, n, requests)
}

// dialFrom opens n keep-alive connections from several addresses of the loopback in turn.
func dialFrom(tb testing.TB, addresses int, address string, n int, requests [][]byte) *client {
	tb.Helper()
	c := &client{requests: requests}
	for i := range n {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(i%addresses), 1)}}
		conn, err := dialer.Dial("tcp", address)
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = conn.Close() })
		c.connections = append(c.connections, &connection{conn, bufio.NewReader(conn)})
	}
	return c
}

// send sends n requests over all connections. Each connection waits for the response to
// one before it sends the next.
func (c *client) send(n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, len(c.connections))
	var wg sync.WaitGroup
	for _, conn := range c.connections {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := conn.roundTrip(c.requests[c.next.Add(1)%int64(len(c.requests))]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs // nil once it is drained
}

// sendOnEach sends one request over each connection.
func (c *client) sendOnEach() error {
	for _, conn := range c.connections {
		if err := conn.roundTrip(c.requests[0]); err != nil {
			return err
		}
	}
	return nil
}

// roundTrip sends a request and reads its response, which must be a 200 with a
// Content-Length.
func (c *connection) roundTrip(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, err := c.responses.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered with %q", status)
	}
	length := 0
	for {
		line, err := c.responses.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := c.responses.Discard(length)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length = number10(value)
		}
	}
}

func number10(digits []byte) (n int) {
	for _, d := range digits {
		if d >= '0' && d <= '9' {
			n = n*10 + int(d-'0')
		}
	}
	return n
}

// requests makes requests to path of the bodies.
func requests(path string, bodies [][]byte) [][]byte {
	return encodedRequests(path, "", bodies)
}

// encodedRequests is requests for bodies in an encoding, "" for none.
func encodedRequests(path, encoding string, bodies [][]byte) [][]byte {
	header := clientHeader()
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
	}
	all := make([][]byte, len(bodies))
	for i, body := range bodies {
		var b bytes.Buffer
		fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: collect.example.com\r\nContent-Length: %d\r\n", path, len(body))
		_ = header.Write(&b)
		b.WriteString("\r\n")
		b.Write(body)
		all[i] = b.Bytes()
	}
	return all
}
