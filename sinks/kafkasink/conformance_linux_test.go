package kafkasink

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// smallMessages are the settings of a topic whose batches must not be large.
var smallMessages = map[string]string{"max.message.bytes": "40000", "min.insync.replicas": "2"}

// tooLarge makes an event larger than smallMessages permits, compressed or not.
func tooLarge(e *inlet.Event) {
	e.Context = fmt.Appendf(nil, `{"text":"%s"}`, incompressible(60_000))
}

// harness tests sinks for a topic of their own each.
func harness(c func() *kfake.Cluster, partitions int32, o Options) sinktest.Harness {
	return sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			o := o
			o.Topic = newTopic(t, c(), partitions, smallMessages)
			return open(t, c(), o)
		},
		Read: func(t testing.TB, sink inlet.Sink) []*inlet.Event {
			return read(t, addresses(c()), sink.(*Sink).opts.Topic)
		},
		Features: sinktest.Features{
			Durability: inlet.DurabilityReplicated, Ordered: partitions == 1, Partial: true,
			Patience: time.Minute, Grace: 10 * time.Second,
			Order: keyOf, Poison: tooLarge, Refuse: tooLarge,
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"default": {}, "strict": {Strict: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			h := harness(func() *kfake.Cluster { return c }, 1, o)
			h.Features.Stall = func(inlet.Sink) (release func()) {
				release, _ = hang(c)
				return release
			}
			sinktest.Run(t, h)
		})
	}
	t.Run("partitions", func(t *testing.T) {
		t.Parallel()
		c := cluster(t)
		sinktest.Run(t, harness(func() *kfake.Cluster { return c }, 5, Options{}))
	})
	t.Run("restarts", func(t *testing.T) {
		t.Parallel()
		var ports []int
		for range 3 {
			ports = append(ports, reserve(t))
		}
		dir := t.TempDir()
		start := func() *kfake.Cluster {
			c, err := kfake.NewCluster(kfake.Ports(ports...), kfake.ListenFn(listen), kfake.DataDir(dir), kfake.SyncWrites())
			require.NoError(t, err)
			return c
		}
		c := start()
		t.Cleanup(func() { c.Close() })
		h := harness(func() *kfake.Cluster { return c }, 3, Options{})
		h.Features.Restart = func(sink inlet.Sink) func() {
			normal := shortenTo(sink.(*Sink), 50*time.Millisecond) // many Writes find no broker, one after the other
			c.Close()
			return func() {
				c = start()
				normal()
			}
		}
		h.Features.Crash = func(sink inlet.Sink) []*inlet.Event {
			c.Close()
			c = start()
			return h.Read(t, sink)
		}
		sinktest.Run(t, h)
	})
}
