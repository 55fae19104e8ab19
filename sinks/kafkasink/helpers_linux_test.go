package kafkasink

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/inlet-go/inlet"
)

// waitLong is how long anything may take, on a machine that does much else.
const waitLong = 2 * time.Minute

// cluster starts three brokers with a topic of three replicas, two of which must be in sync.
func cluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(3), kfake.SeedTopics(6, defaultTopic), kfake.BrokerConfigs(map[string]string{"min.insync.replicas": "2"}),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func addresses(c *kfake.Cluster) string { return strings.Join(c.ListenAddrs(), ",") }

// open returns a sink for a cluster.
func open(t testing.TB, c *kfake.Cluster, o Options) *Sink {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	sink, err := New(t.Context(), addresses(c), &o)
	require.NoError(t, err)
	t.Cleanup(func() { closeNow(sink) })
	return sink
}

// closeNow closes a sink, without waiting for what a broker may never answer.
func closeNow(sink *Sink) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = sink.Close(ctx)
	<-sink.closed
}

// events returns n events whose ids begin with prefix, each of a user of its own.
func events(prefix string, n int) []*inlet.Event {
	list := make([]*inlet.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("%s-%d", prefix, i))
		list[i].UserID = fmt.Sprint("user-", i)
	}
	return list
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "u1", AnonymousID: "a1",
		Timestamp: day, ReceivedAt: day.Add(time.Hour), Source: &inlet.Source{ID: "web"}, Dialect: "segment",
		Properties: json.RawMessage(`{"orderId":"50314b8e9bcf000000000000","total":27.50,"currency":"EUR"}`),
	}
}

// records returns the records of a topic, partition by partition in order.
func records(t testing.TB, brokers, topic string, opts ...kgo.Opt) (all []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLong)
	defer cancel()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics(topic),
		kgo.FetchMaxWait(10 * time.Millisecond)}, opts...)...)
	require.NoError(t, err)
	defer client.Close()
	ends := endOffsets(t, client, topic)
	missing := map[int32]int64{}
	for partition, end := range ends {
		if end > 0 {
			missing[int32(partition)] = end
		}
	}
	byPartition := map[int32][]*kgo.Record{}
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "records are missing: %v", missing)
		fetches.EachRecord(func(r *kgo.Record) {
			if byPartition[r.Partition] = append(byPartition[r.Partition], r); r.Offset+1 >= missing[r.Partition] {
				delete(missing, r.Partition)
			}
		})
	}
	for partition := range ends {
		all = append(all, byPartition[int32(partition)]...)
	}
	return all
}

// endOffsets returns how many records each partition of a topic has.
func endOffsets(t testing.TB, client *kgo.Client, topic string) (ends []int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLong)
	defer cancel()
	metadata := kmsg.NewPtrMetadataRequest()
	of := kmsg.NewMetadataRequestTopic()
	of.Topic = kmsg.StringPtr(topic)
	metadata.Topics = append(metadata.Topics, of)
	found, err := metadata.RequestWith(ctx, client)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(found.Topics[0].ErrorCode))
	ends = make([]int64, len(found.Topics[0].Partitions))

	offsets := kmsg.NewPtrListOffsetsRequest()
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = topic
	for partition := range ends {
		at := kmsg.NewListOffsetsRequestTopicPartition()
		at.Partition, at.Timestamp = int32(partition), -1
		in.Partitions = append(in.Partitions, at)
	}
	offsets.Topics = append(offsets.Topics, in)
	listed, err := offsets.RequestWith(ctx, client)
	require.NoError(t, err)
	for _, p := range listed.Topics[0].Partitions {
		require.NoError(t, kerr.ErrorForCode(p.ErrorCode))
		ends[p.Partition] = p.Offset
	}
	return ends
}

// read returns the stored events, those of each partition in order.
func read(t testing.TB, brokers, topic string) (stored []*inlet.Event) {
	t.Helper()
	for _, r := range records(t, brokers, topic) {
		e := new(inlet.Event)
		require.NoError(t, e.UnmarshalJSON(r.Value))
		stored = append(stored, e)
	}
	return stored
}

// ids returns the message IDs of events.
func ids(list []*inlet.Event) (all []string) {
	for _, e := range list {
		all = append(all, e.MessageID)
	}
	return all
}

var names atomic.Int64

// newTopic returns a topic of the test's own.
func newTopic(t testing.TB, c *kfake.Cluster, partitions int32, settings map[string]string) string {
	t.Helper()
	name := fmt.Sprint("topic-", names.Add(1))
	require.NoError(t, c.CreateTopic(name, partitions, settings))
	return name
}

// hang makes the brokers not answer produce requests until release is called; arrived is closed
// once there is one.
func hang(c *kfake.Cluster) (release func(), arrived <-chan struct{}) {
	released, first := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(first) })
		select {
		case <-released:
			c.DropControl()
		default:
			c.SleepControl(func() { <-released })
		}
		return nil, nil, false
	})
	return func() { close(released) }, first
}
