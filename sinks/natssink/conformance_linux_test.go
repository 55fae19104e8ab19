package natssink

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// harness tests sinks for a stream of their own each.
func harness(url string, o Options) sinktest.Harness {
	large := func(e *inlet.Event) {
		e.Properties = []byte(`{"filler":"` + strings.Repeat("x", 2<<20) + `"}`)
	}
	return sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			o := named(o)
			sink, err := New(t.Context(), url, &o)
			require.NoError(t, err)
			return sink
		},
		Read: func(t testing.TB, sink inlet.Sink) []*inlet.Event {
			nc, err := nats.Connect(url)
			require.NoError(t, err)
			defer nc.Close()
			return read(t, over(t, nc), sink.(*Sink).opts.Stream)
		},
		Features: sinktest.Features{
			Durability: inlet.DurabilityOSBuffer, Ordered: true, Dedupes: true, Partial: true,
			Patience: time.Minute, Grace: time.Minute,
			Order: func(*inlet.Event) string { return "" }, Poison: large, Refuse: large,
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, harness(inProcess(t, nil).url(), Options{}))
	})
	t.Run("killed and stalled", func(t *testing.T) {
		t.Parallel()
		n := startNode(t, nil)
		h := harness(n.url(), Options{MaxBytes: 20_000})
		h.Features.Stall = func(inlet.Sink) (release func()) { return n.pause() }
		h.Features.Restart = func(inlet.Sink) (start func()) {
			n.kill()
			return func() { n.start(t); n.ready(t) }
		}
		h.Features.Crash = func(sink inlet.Sink) []*inlet.Event {
			n.kill()
			n.start(t)
			n.ready(t)
			return h.Read(t, sink)
		}
		sinktest.Run(t, h)
	})
	t.Run("without atomic batches", func(t *testing.T) {
		t.Parallel()
		n := inProcess(t, nil)
		h := harness(n.url(), Options{})
		_, js := connect(t, n.url())
		made := h.New
		h.New = func(t testing.TB) inlet.Sink {
			sink := made(t)
			config, err := sink.(*Sink).config(context.Background())
			require.NoError(t, err)
			config.AllowAtomicPublish = false
			_, err = js.UpdateStream(context.Background(), *config)
			require.NoError(t, err)
			return sink
		}
		sinktest.Run(t, h)
	})
}
