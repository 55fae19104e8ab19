//go:build torture

package kafkasink

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
	"github.com/inlet-go/inlet/sinktest/torture"
)

// envBrokers tells the child where the brokers are, and envMutant what is wrong with its sink.
const (
	envBrokers = "INLET_TORTURE_BROKERS"
	envMutant  = "INLET_TORTURE_MUTANT"
)

func run(m *testing.M) int {
	torture.Main(m, torture.Child{
		Sink: func(ctx context.Context) (inlet.Sink, error) {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // the brokers may be down: it is tried again
			defer cancel()
			sink, err := New(ctx, os.Getenv(envBrokers), &Options{Logger: slog.New(slog.DiscardHandler)})
			if m, found := mutants[os.Getenv(envMutant)]; found && err == nil {
				return m.change(sink), nil
			}
			return sink, err
		},
		Poison: tooLarge,
	})
	return 0
}

// mutants are sinks with a fault, and what the torture says about each.
var mutants = map[string]struct {
	change func(*Sink) inlet.Sink
	says   string
}{
	"an acknowledgement is not waited for": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
			events = inlet.CloneEvents(events)
			go func() {
				time.Sleep(20 * time.Millisecond)
				_ = s.Write(context.Background(), events)
			}()
			return nil
		})
	}, "events are lost"},
	"a refused event is not reported": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			for _, err := range inlet.ItemErrors(s.Write(ctx, events), len(events)) {
				if err != nil && !inlet.IsPermanent(err) {
					return err
				}
			}
			return nil
		})
	}, "events are lost"},
	"a refused batch is taken for refused events": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			err := s.Write(ctx, events)
			for _, item := range inlet.ItemErrors(err, len(events)) {
				if inlet.IsPermanent(item) {
					var all sinkkit.Failures
					all.AddAll(0, len(events), item)
					return all.Err()
				}
			}
			return err
		})
	}, "is a dead letter, and nothing is wrong with it"},
	"a value belongs to another event": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			changed := inlet.CloneEvents(events)
			changed[0].Properties = filler
			return s.Write(ctx, changed)
		})
	}, "is stored with the data of another"},
	"the order of a Write is lost": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			if len(events) > 1 {
				events = slices.Clone(events)
				slices.Reverse(events)
			}
			for _, err := range inlet.ItemErrors(s.Write(ctx, events), len(events)) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	}, "is stored after a later one"},
}

var filler = []byte(`{"filler":"y"}`)

// TestMutants requires that TestTorture would notice sinks with a fault.
func TestMutants(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Seed, o.Kills, o.Server = 1, 4, nil
			o.Env = append(o.Env, envMutant+"="+name)
			_, faults := torture.Faults(t, o)
			require.Contains(t, strings.Join(faults, "\n"), m.says)
		})
	}
}

// TestTorture kills a child and the brokers. Some events are too large for them.
func TestTorture(t *testing.T) {
	o := options(t)
	o.Kills, o.ServerKills = 50, 30
	if testing.Short() {
		o.Kills, o.ServerKills = 5, 2
	}
	torture.Run(t, o)
}

// options are those of the torture of brokers of its own. They forget which batches they have once
// they are killed, as Kafka does not: what a client then sends again is stored twice.
func options(t *testing.T) torture.Options {
	b := startBroker(t, &broker{Dir: t.TempDir(), Settings: map[string]string{"min.insync.replicas": "2", "message.max.bytes": "40000"}})
	return torture.Options{
		Env: []string{envBrokers + "=" + b.addresses()},
		Server: func() (start func()) {
			b.kill()
			return func() { b.run(t) }
		},
		Duplicates: true,
		Stored:     func() ([]*inlet.Event, error) { return read(t, b.addresses(), defaultTopic), nil },
	}
}

// TestLeadersLong moves the leaders of all partitions every 50 milliseconds, for 30 seconds.
func TestLeadersLong(t *testing.T) {
	c := cluster(t)
	sink := open(t, c, Options{Timeout: time.Minute})
	done := make(chan struct{})
	moves := 0
	go func() {
		defer close(done)
		for tick := range 600 {
			time.Sleep(50 * time.Millisecond)
			for partition := range int32(6) {
				if err := c.MoveTopicPartition(defaultTopic, partition, (partition+int32(tick))%3); err != nil {
					t.Error(err)
					return
				}
				moves++
			}
		}
	}()
	acknowledged := writeUntil(t, sink, 4, func(int) bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	stored := read(t, addresses(c), defaultTopic)
	requireOrder(t, stored)
	requireStored(t, stored, acknowledged)
	t.Logf("%d leaders moved, %d events acknowledged, %d stored", moves, len(acknowledged), len(stored))
}
