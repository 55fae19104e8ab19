package kafkasink

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

// BenchmarkWrite compares the sink with a client of the same kind that sends records which are
// ready: the same four writers, in batches of 500 events of about 960 bytes, to brokers in another
// process that forget them.
func BenchmarkWrite(b *testing.B) {
	brokers := startBroker(b, &broker{Blackhole: true, Settings: map[string]string{"min.insync.replicas": "2"}})
	batches := make([][]*inlet.Event, 64)
	for n := range batches {
		batches[n] = benchEvents(n)
	}
	b.Run("client", func(b *testing.B) {
		client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers.addresses(), ",")...), kgo.MaxBufferedRecords(1<<30))
		require.NoError(b, err)
		defer client.Close()
		ready := make([][]*kgo.Record, len(batches))
		for n, batch := range batches {
			for _, e := range batch {
				ready[n] = append(ready[n], &kgo.Record{Topic: defaultTopic, Key: []byte(e.UserID), Value: e.AppendJSON(nil)})
			}
		}
		measure(b, benchBatch, func(n int64) error {
			return client.ProduceSync(context.Background(), ready[n%int64(len(ready))]...).FirstErr()
		})
	})
	for name, o := range map[string]Options{"sink": {}, "sink, strict": {Strict: true}} {
		b.Run(name, func(b *testing.B) {
			sink, err := New(b.Context(), brokers.addresses(), &o)
			require.NoError(b, err)
			defer closeNow(sink)
			measure(b, benchBatch, func(n int64) error { return sink.Write(context.Background(), batches[n%int64(len(batches))]) })
		})
	}
}

const (
	benchWriters = 4
	benchBatch   = 500
)

// benchEvents returns the n-th batch.
func benchEvents(n int) []*inlet.Event {
	list := make([]*inlet.Event, benchBatch)
	for i := range list {
		e := event(fmt.Sprintf("8f2c1e7a-%d-%d", n, i))
		e.UserID = fmt.Sprint("user-", n*benchBatch+i)
		e.Context = []byte(`{"page":{"url":"https://shop.example/checkout?step=3","title":"Thank you"},"userAgent":"` + strings.Repeat("Mozilla/5.0 (X11) ", 24) + `","locale":"de-DE"}`)
		list[i] = e
	}
	return list
}

// measure has each writer call write, and reports events a second and microseconds of this process
// for each event.
func measure(b *testing.B, batch int, write func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	require.NoError(b, write(0)) // connects
	b.ReportAllocs()
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
	total := float64(b.N * batch)
	b.ReportMetric(total/time.Since(begin).Seconds(), "events/s")
	b.ReportMetric(float64((testkit.ProcessorTime()-used).Nanoseconds())/1000/total, "cpu-µs/event")
}
