package natssink

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

// BenchmarkWrite compares the sink with PublishAsync of the client library, by the same writers, in
// batches of 500 events of about 960 bytes. The server is another process.
func BenchmarkWrite(b *testing.B) {
	for _, sync := range []bool{false, true} {
		n := startNode(b, func(n *node) { n.SyncAlways = sync })
		name := map[bool]string{false: "", true: ", sync always"}[sync]
		b.Run("atomic"+name, func(b *testing.B) {
			sink := open(b, n.url(), Options{})
			measure(b, func(n int64) error { return sink.Write(b.Context(), benchEvents(n)) })
		})
		b.Run("duplicates"+name, func(b *testing.B) {
			sink := open(b, n.url(), Options{})
			for n := range int64(8) {
				require.NoError(b, sink.Write(b.Context(), benchEvents(n)))
			}
			measure(b, func(n int64) error { return sink.Write(b.Context(), benchEvents(n%8)) })
		})
		b.Run("one by one"+name, func(b *testing.B) {
			sink := open(b, n.url(), Options{})
			sink.stream.Load().atomic.Store(false)
			hold(sink)
			measure(b, func(n int64) error { return sink.Write(b.Context(), benchEvents(n)) })
		})
		b.Run("PublishAsync"+name, func(b *testing.B) {
			sink := open(b, n.url(), Options{})
			_, js := connect(b, n.url())
			measure(b, func(n int64) error { return publishAsync(b.Context(), js, sink.opts.Prefix, benchEvents(n)) })
		})
	}
}

// publishAsync stores events as the client library does it by itself.
func publishAsync(ctx context.Context, js jetstream.JetStream, prefix string, events []*inlet.Event) error {
	acks := make([]jetstream.PubAckFuture, len(events))
	for i, e := range events {
		ack, err := js.PublishMsgAsync(&nats.Msg{
			Subject: prefix + "." + e.Source.ID + "." + string(e.Type), Data: e.AppendJSON(nil),
			Header: nats.Header{jetstream.MsgIDHeader: {e.Source.ID + ":" + e.MessageID}},
		}, jetstream.WithStallWait(patience))
		if err != nil {
			return err
		}
		acks[i] = ack
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

const (
	benchWriters = 4
	benchBatch   = 500
)

// benchEvents returns the n-th batch.
func benchEvents(n int64) []*inlet.Event {
	list := make([]*inlet.Event, benchBatch)
	for i := range list {
		e := event(fmt.Sprintf("8f2c1e7a-%d-%d", n, i))
		e.Context = []byte(`{"page":{"url":"https://shop.example/checkout?step=3","title":"Thank you"},"userAgent":"` + strings.Repeat("Mozilla/5.0 (X11) ", 24) + `","locale":"de-DE"}`)
		list[i] = e
	}
	return list
}

// measure has each writer call write, and reports events a second and microseconds of this process
// for each event, without those of making the events.
func measure(b *testing.B, write func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	begin, used := time.Now(), testkit.ProcessorTime()
	for range benchWriters {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := write(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := float64(b.N) * benchBatch
	b.ReportMetric(total/time.Since(begin).Seconds(), "events/s")
	making := testkit.ProcessorTime()
	spent := making - used
	for n := range min(b.N, 20) {
		benchEvents(int64(n))
	}
	making = (testkit.ProcessorTime() - making) / time.Duration(min(b.N, 20)) * time.Duration(b.N)
	b.ReportMetric(float64((spent-making).Microseconds())/total, "cpu-µs/event")
}
