package sinks_test

import (
	"bufio"
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// page is a writer in memory that can be read meanwhile.
type page struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

// events reads the lines back.
func (p *page) events(t testing.TB) []*inlet.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	var events []*inlet.Event
	for line := range bytes.Lines(p.buf.Bytes()) {
		e := new(inlet.Event)
		require.NoError(t, e.UnmarshalJSON(line))
		events = append(events, e)
	}
	return events
}

// written is a sink that knows its page.
type written struct {
	*sinks.NDJSON
	page *page
}

func TestNDJSONConformance(t *testing.T) {
	t.Parallel()

	t.Run("to a writer", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New: func(t testing.TB) inlet.Sink {
				p := new(page)
				return written{newNDJSON(t, p, &sinks.NDJSONOptions{Durability: inlet.DurabilityMemory}), p}
			},
			Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(written).page.events(t) },
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
		})
	})

	t.Run("to a buffered writer", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New: func(t testing.TB) inlet.Sink {
				p := new(page)
				return written{newNDJSON(t, bufio.NewWriter(p), nil), p}
			},
			Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return s.(written).page.events(t) },
			Features: sinktest.Features{Buffers: true, Ordered: true},
		})
	})
}
