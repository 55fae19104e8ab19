//go:build torture

package natssink

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest/torture"
)

// envURL tells the child where the servers are, and
// envMutant what is wrong with its sink.
const (
	envURL    = "INLET_TORTURE_URL"
	envMutant = "INLET_TORTURE_MUTANT"
)

func TestMain(m *testing.M) {
	serve()
	torture.Main(m, torture.Child{
		Sink: func(ctx context.Context) (inlet.Sink, error) {
			sink, err := New(ctx, os.Getenv(envURL), &Options{MaxBytes: 30_000, Logger: slog.New(slog.DiscardHandler)})
			if change, found := mutants[os.Getenv(envMutant)]; found && err == nil {
				return change.change(sink), nil
			}
			return sink, err
		},
		Poison: func(e *inlet.Event) { e.Context = []byte(`{"filler":"` + strings.Repeat("x", 10_000) + `"}`) },
	})
}

// mutants are sinks with a fault, and what the torture says about each.
var mutants = map[string]struct {
	change func(*Sink) inlet.Sink
	says   string
}{
	"a lost connection is taken for success": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			err := s.Write(ctx, events)
			if errors.Is(err, errDisconnected) || errors.Is(err, nats.ErrReconnectBufExceeded) {
				return nil
			}
			return err
		})
	}, "events are lost"},
	"a refused event is not reported": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			err := s.Write(ctx, events)
			if batch, differ := errors.AsType[*inlet.BatchError](err); differ && inlet.IsPermanent(batch.Items[0].Err) {
				return nil
			}
			return err
		})
	}, "events are lost"},
	"an event is published again without its id": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			err := s.Write(ctx, events)
			_ = s.nc.Publish(s.opts.Prefix+".torture.again", events[0].AppendJSON(nil))
			return err
		})
	}, "events are stored twice"},
	"an outage is permanent": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			if !s.nc.IsConnected() {
				return inlet.Permanent(errDisconnected)
			}
			return s.Write(ctx, events)
		})
	}, "is a dead letter, and nothing is wrong with it"},
	"the order of a Write is lost": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			for i := len(events) - 1; i >= 0; i-- {
				if err := s.Write(ctx, events[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		})
	}, "is stored after a later one"},
}

// TestMutants requires that TestTorture would notice sinks with a fault.
func TestMutants(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Seed, o.Kills, o.ServerKills = 1, 4, 4
			o.Env = append(o.Env, envMutant+"="+name)
			_, faults := torture.Faults(t, o)
			require.Contains(t, strings.Join(faults, "\n"), m.says)
		})
	}
}

// TestTorture kills a child and the server. The stream accepts no large messages.
func TestTorture(t *testing.T) {
	o := options(t)
	if testing.Short() {
		o.Kills, o.ServerKills = 8, 3
	}
	torture.Run(t, o)
}

// options are those of the torture of a server of its own.
func options(t *testing.T) torture.Options {
	n := startNode(t, func(n *node) { n.SyncAlways = true })
	makeStream(t, n.url(), 1)
	return torture.Options{
		Env: []string{envURL + "=" + n.url()},
		Server: func() (start func()) {
			n.kill()
			return func() { n.start(t); n.ready(t) }
		},
		Stored: func() ([]*inlet.Event, error) {
			_, js := connect(t, n.url())
			return readAll(js, defaultStream)
		},
	}
}

// TestClusterTorture kills a child, and the servers of a cluster of three, and has the stream's
// leader step down.
func TestClusterTorture(t *testing.T) {
	nodes := startCluster(t)
	makeStream(t, urls(nodes), 3)
	random := rand.New(rand.NewPCG(7, 0))
	o := torture.Options{
		Kills: 60, ServerKills: 40,
		Env: []string{envURL + "=" + urls(nodes)},
		Stored: func() ([]*inlet.Event, error) {
			_, js := connect(t, urls(nodes))
			return readAll(js, defaultStream)
		},
	}
	if testing.Short() {
		o.Kills, o.ServerKills = 6, 4
	}
	count := 0
	o.Server = func() (start func()) {
		if count++; count%4 == 0 {
			stepDown(t, urls(nodes), defaultStream)
			return func() {}
		}
		n := nodes[random.IntN(len(nodes))]
		n.kill()
		return func() { n.start(t); n.ready(t) }
	}
	torture.Run(t, o)
}

// makeStream makes a stream that accepts no large messages.
func makeStream(t testing.TB, url string, replicas int) {
	var sink *Sink
	require.Eventually(t, func() (made bool) { // once a cluster has a leader
		opened, err := New(t.Context(), url, &Options{Migrate: true, Replicas: replicas})
		sink = opened
		return err == nil
	}, patience, tick)
	_, js := connect(t, url)
	config, err := sink.config(t.Context())
	require.NoError(t, err)
	config.MaxMsgSize = 5_000
	_, err = js.UpdateStream(t.Context(), *config)
	require.NoError(t, err)
	require.NoError(t, sink.Close(t.Context()))
}
