//go:build unix

package inspector

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

// BenchmarkViewers writes 10,000 events a second, in batches of 100, for a second per operation,
// and reports how much of the processors' time the whole process takes: without an inspector, with
// one that has no viewer, and with 20 viewers. Their connections are read in this process too, so
// that the last is an upper bound.
func BenchmarkViewers(b *testing.B) {
	const batches = 100 // a second
	inner := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })
	events := make([]*inlet.Event, 100)
	for n := range events {
		events[n] = &inlet.Event{
			Type: inlet.TypeTrack, Name: fmt.Sprint("Event ", n%10), UserID: "u", MessageID: fmt.Sprint(n),
			Source: &inlet.Source{ID: "web"}, Properties: []byte(`{"order_id":"o-1","total":27.5,"currency":"EUR"}`),
		}
	}
	for _, tt := range []struct {
		name    string
		viewers int
	}{{"the sink alone", -1}, {"no viewer", 0}, {"20 viewers", 20}} {
		b.Run(tt.name, func(b *testing.B) {
			sink := inlet.Sink(inner)
			if tt.viewers >= 0 {
				i := open(b, Options{})
				sink = i.Sink(inner)
				i.read(b, tt.viewers)
			}
			ctx, begun := b.Context(), testkit.ProcessorTime()
			for b.Loop() {
				tick := time.NewTicker(time.Second / batches)
				for range batches {
					<-tick.C
					_ = sink.Write(ctx, events)
				}
				tick.Stop()
			}
			b.StopTimer()
			taken, most := testkit.ProcessorTime()-begun, b.Elapsed()*time.Duration(runtime.GOMAXPROCS(0))
			b.ReportMetric(100*taken.Seconds()/most.Seconds(), "%CPU")
		})
	}
}

// read opens connections that read what viewers get, until the benchmark ends.
func (i *Inspector) read(b *testing.B, viewers int) {
	server := httptest.NewServer(i)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	b.Cleanup(func() {
		cancel()
		all.Wait()
		server.Close()
	})
	for range viewers {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/stream", nil)
		require.NoError(b, err)
		resp, err := server.Client().Do(r)
		require.NoError(b, err)
		require.Equal(b, http.StatusOK, resp.StatusCode)
		all.Go(func() {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
}
