//go:build rig && linux

package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/bench"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// What the server may use.
const (
	container        = 256 << 20 // of the cgroup
	softLimit        = "144MiB"  // GOMEMLIMIT, as docs/OPERATIONS.md says
	maxBytesInFlight = 64 << 20
	maxResident      = maxBytesInFlight*3/2 + 64<<20
)

// role is the environment variable that tells a process of the rig what it is to be.
const role = "INLET_RIG_ROLE"

// A server is a process that serves inside a cgroup.
type server struct {
	address string
	cgroup  *cgroup
	cmd     *exec.Cmd
	log     *bytes.Buffer // stderr, readable once it has ended
	ended   chan struct{}
	base    int64 // resident memory before the attack
}

// start starts a server on a new journal. It ends with the test.
func start(t *testing.T, standalone bool) *server {
	t.Helper()
	s := &server{cgroup: newCgroup(t, container), log: new(bytes.Buffer), ended: make(chan struct{})}
	dir := t.TempDir()
	args := []string{os.Args[0], dir}
	if standalone {
		args = []string{
			inletBinary, "serve", "-addr", "127.0.0.1:0", "-dir", dir, "-key", bench.WriteKey, "-log-level", "error",
			"-memory", strconv.Itoa(maxBytesInFlight >> 20),
		}
	}
	args = s.cgroup.command(args...)
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Env = append(os.Environ(), role+"=mount", "GOMEMLIMIT="+softLimit)
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(s.stop)
	lines := bufio.NewScanner(out)
	for s.address == "" && lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "listens on http://"); ok {
			s.address, _, _ = strings.Cut(rest, " ")
		}
	}
	go func() {
		for lines.Scan() {
		}
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	require.NotEmpty(t, s.address, "the server did not start")
	s.base = s.resident(t)
	return s
}

// stop ends the process as a crash does.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// resident returns the highest resident memory of the process so far, or 0 if it has ended.
func (s *server) resident(t *testing.T) int64 {
	t.Helper()
	return field(t, filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"), "VmHWM") << 10
}

// hasEnded reports whether the process is no more.
func (s *server) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// serveMount is the main function of a server with the documented mount, which also speaks
// HTTP/2 without TLS, and whose sink panics for some events.
func serveMount(dir string) error {
	store, err := journal.Open(dir, nil)
	if err != nil {
		return err
	}
	protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: maxBytesInFlight}}
	api, err := inlet.New(panicking{store}, &inlet.Options{Protocol: protocol})
	if err != nil {
		return err
	}
	keys := inlet.MustKeys(map[string]inlet.Source{bench.WriteKey: {ID: "website"}})
	const never = 1e8 // requests per second
	layers := middleware.Chain(
		middleware.Recover(nil),
		middleware.RequestID(nil),
		middleware.ClientIP(nil),
		middleware.CORS(nil),
		middleware.RateLimit(&middleware.RateLimitOptions{Rate: never, Key: middleware.ByIP}),
		middleware.Payload(&middleware.PayloadOptions{Protocol: protocol}),
		middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol}),
		middleware.RateLimit(&middleware.RateLimitOptions{Rate: never, Key: middleware.BySource}),
		middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: protocol}),
	)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("mount listens on http://%s .\n", listener.Addr())
	server := inlet.Harden(&http.Server{Handler: layers(api), ReadTimeout: 20 * time.Second, WriteTimeout: 40 * time.Second})
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return errors.Join(server.Serve(listener), store.Close(context.Background()))
}

// A panicking sink panics for events named "panic".
type panicking struct{ *journal.Journal }

func (p panicking) Write(ctx context.Context, events []*inlet.Event) error {
	for _, e := range events {
		if e.Name == "panic" {
			panic("rig: the sink panics")
		}
	}
	return p.Journal.Write(ctx, events)
}
