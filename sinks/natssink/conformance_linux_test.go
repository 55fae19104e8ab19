package natssink

import (
	"context"
	"strings"
	"testing"
	"time"

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
			return made(t, url, named(o))
		},
		Read: func(t testing.TB, sink inlet.Sink) []*inlet.Event {
			nc, js := dial(t, url)
			defer nc.Close()
			return read(t, js, sink.(*Sink).opts.Stream)
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
		h := harness(n.url(), Options{MaxBytes: 100_000})
		opened := h.New
		h.New = func(t testing.TB) inlet.Sink {
			sink := opened(t)
			sink.(*Sink).patience = 50 * time.Millisecond // many Writes find no server, one after the other
			return sink
		}
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
		opened := h.New
		h.New = func(t testing.TB) inlet.Sink {
			sink := opened(t)
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
