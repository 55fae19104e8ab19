package natssink

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// patience is how long a server may take for anything, and tick how often to look.
const (
	patience = 2 * time.Minute
	tick     = 5 * time.Millisecond
)

// envServer has the options of the server that this process is, if it is one.
const envServer = "INLET_TEST_NATS"

// A node is a server of its own, which has the ports of NATS on a loopback address of its own, so
// that it may start again at the same place.
type node struct {
	Name, Host, Dir string
	Cluster         []string // hosts of the cluster, this one included; nil without one
	SyncAlways      bool
	MaxBatch        int

	child   *exec.Cmd
	inside  *server.Server
	running bool
}

const (
	clientPort = 24222
	routePort  = 26222
)

var hosts atomic.Uint32

// newHost returns a loopback address that no other test uses.
func newHost() string {
	n := hosts.Add(1)
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>8&0x7f|int(n>>8&1)<<7, pid&0xff, 1+n%250)
}

func (n *node) url() string { return fmt.Sprintf("nats://%s:%d", n.Host, clientPort) }

// options are those of the server.
func (n *node) options() *server.Options {
	o := &server.Options{
		ServerName: n.Name, Host: n.Host, Port: clientPort, JetStream: true, StoreDir: n.Dir, NoSigs: true,
		SyncAlways: n.SyncAlways, JetStreamLimits: server.JSLimitOpts{MaxBatchSize: n.MaxBatch},
	}
	if n.Cluster != nil {
		o.Cluster = server.ClusterOpts{Name: "inlet", Host: n.Host, Port: routePort}
		for _, host := range n.Cluster {
			if host != n.Host {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("%s:%d", host, routePort)})
			}
		}
	}
	return o
}

// inProcess starts a server in this process, until the test ends.
func inProcess(t testing.TB, change func(*server.Options)) *node {
	t.Helper()
	n := &node{Name: "n1", Host: newHost(), Dir: t.TempDir()}
	o := n.options()
	o.NoLog = true
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(patience))
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	n.inside = s
	return n
}

// startNode starts a server in a process of its own, until the test ends.
func startNode(t testing.TB, change func(*node)) *node {
	t.Helper()
	n := &node{Name: "n1", Host: newHost(), Dir: t.TempDir()}
	if change != nil {
		change(n)
	}
	t.Cleanup(n.kill)
	n.start(t)
	n.ready(t)
	return n
}

// start starts the process.
func (n *node) start(t testing.TB) {
	t.Helper()
	text, err := json.Marshal(n)
	require.NoError(t, err)
	n.child = exec.Command(os.Args[0])
	n.child.Env = append(os.Environ(), envServer+"="+string(text))
	log, err := os.OpenFile(filepath.Join(n.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	n.child.Stderr = log
	_, err = n.child.StdinPipe() // closed when this process ends
	require.NoError(t, err)
	require.NoError(t, n.child.Start())
	n.running = true
}

// ready waits until the server accepts connections.
func (n *node) ready(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(tick) {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", n.Host, clientPort), patience)
		if err == nil {
			_, err = conn.Read(make([]byte, 1)) // its greeting
			conn.Close()
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(n.Dir, "log"))
			t.Fatalf("the server does not start: %v\n%s", err, log)
		}
	}
}

// kill ends the server as kill -9 does.
func (n *node) kill() {
	if n.running {
		_ = n.child.Process.Kill()
		_ = n.child.Wait()
		n.running = false
	}
}

// pause makes the server hang until resume is called.
func (n *node) pause() (resume func()) {
	_ = n.child.Process.Signal(syscall.SIGSTOP)
	return func() { _ = n.child.Process.Signal(syscall.SIGCONT) }
}

// serve runs the server if this process is to be one, until it is killed or its parent ends.
func serve() {
	text := os.Getenv(envServer)
	if text == "" {
		return
	}
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		panic(err)
	}
	o := n.options()
	s, err := server.NewServer(o)
	if err != nil {
		panic(err)
	}
	s.ConfigureLogger()
	s.Start()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// startCluster starts three servers in processes of their own, until the test ends.
func startCluster(t testing.TB) []*node {
	t.Helper()
	nodes := make([]*node, 3)
	var names []string
	for range nodes {
		names = append(names, newHost())
	}
	for i := range nodes {
		nodes[i] = &node{Name: fmt.Sprintf("n%d", i+1), Host: names[i], Dir: t.TempDir(), Cluster: names}
		t.Cleanup(nodes[i].kill)
		nodes[i].start(t)
	}
	for _, n := range nodes {
		n.ready(t)
	}
	return nodes
}

func urls(nodes []*node) string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.url())
	}
	return strings.Join(list, ",")
}

// connect returns a connection, until the test ends.
func connect(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, js := dial(t, url)
	t.Cleanup(nc.Close)
	return nc, js
}

// dial returns a connection, which the test closes.
func dial(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.Timeout(patience))
	require.NoError(t, err)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	require.NoError(t, err)
	return nc, js
}

var streams atomic.Int64

// named returns options for a stream of the test's own, with which nothing fails because the
// machine does much else.
func named(o Options) Options {
	n := streams.Add(1)
	if o.Stream == "" {
		o.Stream, o.Prefix = fmt.Sprintf("S%d", n), fmt.Sprintf("p%d", n)
	}
	o.Migrate = true
	o.AckTimeout = cmp.Or(o.AckTimeout, patience)
	o.Connect = append(o.Connect, nats.Timeout(patience))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// open returns a sink for a stream of the test's own.
func open(t testing.TB, url string, o Options) *Sink {
	t.Helper()
	sink := made(t, url, named(o))
	t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
	return sink
}

// made returns a sink, which the test closes.
func made[T Target](t testing.TB, target T, o Options) *Sink {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience) // without a deadline, the client has one of its own
	defer cancel()
	sink, err := New(ctx, target, &o)
	require.NoError(t, err)
	return sink
}

// read returns the events of a stream, in order.
func read(t testing.TB, js jetstream.JetStream, name string) (stored []*inlet.Event) {
	t.Helper()
	list, err := readAll(js, name)
	require.NoError(t, err)
	return list
}

// readAll reads a stream, which takes until it has a leader.
func readAll(js jetstream.JetStream, name string) (stored []*inlet.Event, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(tick) {
		if stored, err = readOnce(js, name); err == nil {
			return stored, nil
		}
	}
	return nil, err
}

func readOnce(js jetstream.JetStream, name string) (stored []*inlet.Event, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx)
	if err != nil || info.State.Msgs == 0 {
		return nil, err
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	messages, err := c.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	for range info.State.Msgs {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		e := new(inlet.Event)
		if err := e.UnmarshalJSON(m.Data()); err != nil {
			return nil, err
		}
		stored = append(stored, e)
	}
	return stored, nil
}

// events returns n events whose ids begin with prefix.
func events(prefix string, n int) []*inlet.Event {
	list := make([]*inlet.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("%s-%d", prefix, i))
	}
	return list
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "u1", AnonymousID: "a1",
		Timestamp: day, ReceivedAt: day, Source: &inlet.Source{ID: "web"}, Dialect: "segment",
		Properties: json.RawMessage(`{"orderId":"50314b8e9bcf000000000000","total":27.50,"currency":"EUR"}`),
	}
}

// ids returns the ids of events.
func ids(events []*inlet.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.MessageID)
	}
	return list
}
