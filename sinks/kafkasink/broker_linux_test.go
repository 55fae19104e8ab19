package kafkasink

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// envBroker makes the test binary a process with brokers; its value is their settings.
const envBroker = "INLET_KAFKA_BROKER"

// A broker is a process with a cluster of kfake, which can be killed.
type broker struct {
	Ports     []int
	Dir       string // of the data, flushed for each batch; empty: in memory
	Blackhole bool   // forget what is written
	Settings  map[string]string

	mu      sync.Mutex
	process *exec.Cmd
}

// beBroker is the process. It returns false if this is a test.
func beBroker() bool {
	settings := os.Getenv(envBroker)
	if settings == "" {
		return false
	}
	var b broker
	if err := json.Unmarshal([]byte(settings), &b); err != nil {
		panic(err)
	}
	opts := []kfake.Opt{
		kfake.Ports(b.Ports...), kfake.ListenFn(listen), kfake.SeedTopics(6, defaultTopic), kfake.BrokerConfigs(b.Settings),
	}
	if b.Dir != "" {
		opts = append(opts, kfake.DataDir(b.Dir), kfake.SyncWrites())
	}
	if b.Blackhole {
		opts = append(opts, kfake.BlackholeProduce())
	}
	if _, err := kfake.NewCluster(opts...); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // it must not outlive the test
	return true
}

// startBroker starts a process with three brokers, until the test ends.
func startBroker(t testing.TB, b *broker) *broker {
	t.Helper()
	for range 3 {
		b.Ports = append(b.Ports, reserve(t))
	}
	t.Cleanup(b.kill)
	b.run(t)
	return b
}

func (b *broker) addresses() (all string) {
	for i, port := range b.Ports {
		if i > 0 {
			all += ","
		}
		all += fmt.Sprint("127.0.0.1:", port)
	}
	return all
}

// run starts the process again.
func (b *broker) run(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	settings, err := json.Marshal(b)
	require.NoError(t, err)
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), envBroker+"="+string(settings))
	c.Stderr = os.Stderr
	_, err = c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	b.process = c
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
}

// kill kills the process, as kill -9 does.
func (b *broker) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return
	}
	_ = b.process.Process.Kill()
	_ = b.process.Wait()
	b.process = nil
}
