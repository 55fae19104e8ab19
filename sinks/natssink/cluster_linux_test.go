package natssink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// stepDown has the leader of a stream step down. If there is none now, that is as good.
func stepDown(t testing.TB, url, stream string) {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(patience))
	require.NoError(t, err)
	defer nc.Close()
	_, _ = nc.Request(fmt.Sprintf(server.JSApiStreamLeaderStepDownT, stream), nil, 5*time.Second)
}

// TestCluster kills a server of a cluster of three, and has the stream's leader step down, while
// four writers write. The torture does more of it.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	o := named(Options{Replicas: 3, AckTimeout: 2 * time.Second})
	var sink *Sink
	wait := time.Duration(0)
	require.Eventually(t, func() bool { // once the cluster has a leader: what is asked before is not answered
		wait += 500 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		made, err := New(ctx, urls(nodes), &o)
		sink = made
		return err == nil
	}, patience, tick)
	t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
	require.Equal(t, inlet.DurabilityReplicated, sink.Durability())

	const writers = 4
	var stop atomic.Bool
	var wg sync.WaitGroup
	written := make([][]string, writers) // ids in order
	for w := range writers {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				list := events(fmt.Sprintf("w%d-%d", w, n), 20)
				for deadline := time.Now().Add(patience); ; {
					err := sink.Write(t.Context(), list)
					if err == nil {
						break
					}
					if inlet.IsPermanent(err) || time.Now().After(deadline) {
						t.Errorf("event refused: %v", err)
						return
					}
					time.Sleep(tick)
				}
				written[w] = append(written[w], ids(list)...)
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2 {
		before := sink.Stats().Stored
		if round%2 == 1 {
			stepDown(t, urls(nodes), o.Stream)
		} else {
			n := nodes[random.IntN(len(nodes))]
			n.kill()
			require.Eventually(t, func() bool { return sink.Stats().Stored > before+200 }, patience, tick, "with two of three")
			n.start(t)
			n.ready(t)
		}
		before = sink.Stats().Stored
		require.Eventually(t, func() bool { return sink.Stats().Stored > before+200 }, patience, tick)
	}
	stop.Store(true)
	wg.Wait()

	_, js := connect(t, urls(nodes))
	stored := map[string][]string{}
	for _, id := range ids(read(t, js, o.Stream)) {
		stored[id[:2]] = append(stored[id[:2]], id)
	}
	for w := range writers {
		require.Equal(t, written[w], stored[fmt.Sprint("w", w)], "each once, in order")
	}
}
