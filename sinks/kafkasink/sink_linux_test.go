package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	headers := func(r *kgo.Record) map[string]string {
		all := map[string]string{}
		for _, h := range r.Headers {
			all[h.Key] = string(h.Value)
		}
		return all
	}
	t.Run("default", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil)})
		list := events("m", 3)
		list[1].UserID, list[1].Type, list[1].Name = "", inlet.TypePage, ""
		list[2].UserID, list[2].AnonymousID = "", ""
		require.NoError(t, sink.Write(t.Context(), list))
		got := records(t, addresses(c), sink.opts.Topic)
		require.Len(t, got, 3)
		for i, key := range []string{"user-0", "a1", "m-2"} {
			require.Equal(t, key, string(got[i].Key))
			require.Equal(t, list[i].AppendJSON(nil), got[i].Value)
			require.True(t, got[i].Timestamp.Equal(list[i].ReceivedAt.Truncate(time.Millisecond)), "however long ago that was")
		}
		require.Equal(t, map[string]string{
			"inlet-source": "web", "inlet-message-id": "m-0", "inlet-type": "track", "inlet-event": "Order Completed",
		}, headers(got[0]))
		require.Equal(t, map[string]string{"inlet-source": "web", "inlet-message-id": "m-1", "inlet-type": "page"}, headers(got[1]))
		require.Equal(t, Stats{Stored: 3}, sink.Stats())
	})
	t.Run("EventTime and Key", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil), EventTime: true, Key: func(e *inlet.Event) []byte {
			if e.MessageID == "m-1" {
				return nil
			}
			return []byte("key of " + e.MessageID)
		}})
		list := events("m", 2)
		require.NoError(t, sink.Write(t.Context(), list))
		got := records(t, addresses(c), sink.opts.Topic)
		require.Equal(t, "key of m-0", string(got[0].Key))
		require.Nil(t, got[1].Key)
		require.True(t, got[0].Timestamp.Equal(list[0].Timestamp.Truncate(time.Millisecond)))
	})
	t.Run("the partition is that of the Java client", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 6, nil)})
		// The hashes are those of org.apache.kafka.common.utils.UtilsTest.
		hashes := map[string]int32{
			"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
			"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
		}
		for key := range hashes {
			e := event(key)
			e.UserID = key
			require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		}
		for _, r := range records(t, addresses(c), sink.opts.Topic) {
			require.Equal(t, (hashes[string(r.Key)]&0x7fffffff)%6, r.Partition, string(r.Key))
		}
	})
	t.Run("compression", func(t *testing.T) {
		t.Parallel()
		for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.GzipCompression()} {
			sink := open(t, c, Options{Topic: newTopic(t, c, 2, nil), Client: []kgo.Opt{kgo.ProducerBatchCompression(codec)}})
			require.NoError(t, sink.Write(t.Context(), events("m", 100)))
			require.Len(t, read(t, addresses(c), sink.opts.Topic), 100)
		}
	})
}

func TestTopicOf(t *testing.T) {
	t.Parallel()
	c := cluster(t, kfake.AllowAutoTopicCreation())
	main, other := newTopic(t, c, 2, nil), newTopic(t, c, 2, nil)
	sink := open(t, c, Options{Topic: main, Topics: []string{other}, TopicOf: func(e *inlet.Event) string {
		return map[string]string{"m-1": other, "m-2": main, "m-3": "no-such-topic", "m-4": "../x"}[e.MessageID]
	}})
	err := sink.Write(t.Context(), events("m", 6))
	for i, err := range inlet.ItemErrors(err, 6) {
		if i == 3 || i == 4 {
			require.True(t, inlet.IsPermanent(err))
			require.ErrorContains(t, err, "which Options.Topics lacks")
			continue
		}
		require.NoError(t, err)
	}
	require.ElementsMatch(t, []string{"m-0", "m-2", "m-5"}, ids(read(t, addresses(c), main)))
	require.Equal(t, []string{"m-1"}, ids(read(t, addresses(c), other)))
	require.Nil(t, c.TopicInfo("no-such-topic"), "no topic is created")
	require.NoError(t, sink.Write(t.Context(), events("m", 3)), "all known")
	refused := sink.Write(t.Context(), events("m", 5)[3:])
	require.True(t, inlet.IsPermanent(refused), refused)

	list := events("n", 5)
	c.Fault(kfake.Fault{Keys: produce, Topic: other, Err: kerr.TopicAuthorizationFailed, Count: -1})
	list[0].MessageID, list[1].MessageID, list[2].MessageID = "m-3", "m-1", "m-2"
	errs := inlet.ItemErrors(sink.Write(t.Context(), list), 5)
	require.ErrorContains(t, errs[0], "lacks")
	require.ErrorIs(t, errs[1], kerr.TopicAuthorizationFailed)
	require.ErrorContains(t, errs[1], "lacks the permission Write")
	require.Equal(t, []error{nil, nil, nil}, errs[2:])
}

// TestHung has brokers that take requests and do not answer.
func TestHung(t *testing.T) {
	t.Parallel()
	t.Run("Write returns with its context", func(t *testing.T) {
		t.Parallel()
		c := cluster(t)
		sink := open(t, c, Options{Timeout: time.Hour, MaxBuffered: 2000})
		require.NoError(t, sink.Write(t.Context(), events("before", 3)))
		release, arrived := hang(c)
		ctx, cancel := context.WithCancel(t.Context())
		var canceled time.Time
		go func() {
			<-arrived
			canceled = time.Now()
			cancel()
		}()
		list := events("m", 3)
		err := sink.Write(ctx, list)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "the outcome is unknown")
		t.Logf("Write returned %v after its context was done", time.Since(canceled))
		for _, e := range list { // they are the caller's again
			for i := range e.Properties {
				e.Properties[i] = 'x'
			}
		}
		st := sink.Stats()
		require.Equal(t, 3, st.Pending)
		require.Greater(t, st.PendingBytes, 1000)
		require.ErrorIs(t, sink.Write(t.Context(), events("n", 3)), inlet.ErrOverloaded)
		require.NoError(t, sink.Check(t.Context()), "the brokers answer other requests")
		done, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorContains(t, sink.Flush(done), "3 events have no outcome yet")
		release()
		require.NoError(t, sink.Flush(t.Context()))
		require.Zero(t, sink.Stats().Pending)
		require.NoError(t, sink.Write(t.Context(), events("n", 3)))
		stored := map[string]string{}
		for _, e := range read(t, addresses(c), defaultTopic) {
			stored[e.MessageID] = string(e.Properties)
		}
		require.Equal(t, string(event("m-0").Properties), stored["m-0"], "as it was when it was written")
		require.Len(t, stored, 9)
	})
	t.Run("no longer than Timeout", func(t *testing.T) {
		t.Parallel()
		c := cluster(t)
		sink := open(t, c, Options{})
		require.NoError(t, sink.Write(t.Context(), events("before", 3)))
		release, _ := hang(c)
		normal := shorten(sink)
		err := sink.Write(t.Context(), events("m", 3))
		require.ErrorContains(t, err, "no acknowledgement within")
		require.Zero(t, sink.Stats().Pending, "nothing is held any more")
		normal()
		release()
		require.NoError(t, sink.Write(t.Context(), events("n", 3)))
	})
	t.Run("Close gives up", func(t *testing.T) {
		t.Parallel()
		c := cluster(t)
		sink := open(t, c, Options{Timeout: time.Hour})
		release, arrived := hang(c)
		defer release()
		result := make(chan error, 1)
		go func() { result <- sink.Write(context.WithoutCancel(t.Context()), events("m", 3)) }()
		<-arrived
		done, cancel := context.WithCancel(t.Context())
		cancel()
		err := sink.Close(done)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "closed with 3 events that have no outcome")
		require.ErrorIs(t, <-result, inlet.ErrClosed)
		require.NoError(t, sink.Close(t.Context()))
		require.ErrorIs(t, sink.Write(t.Context(), events("m", 3)), inlet.ErrClosed)
		require.ErrorIs(t, sink.Check(t.Context()), inlet.ErrClosed)
		require.NoError(t, sink.Flush(t.Context()))
	})
	t.Run("New returns with its context", func(t *testing.T) {
		t.Parallel()
		c := cluster(t)
		ctx, cancel := context.WithCancel(t.Context())
		c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			cancel()
			return nil, nil, true
		})
		_, err := New(ctx, addresses(c), nil)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "kafkasink: connect: ")
	})
}

// TestLeaders moves the leader of a partition before every Write.
func TestLeaders(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	sink := open(t, c, Options{Timeout: time.Minute})
	acknowledged := writeUntil(t, sink, 4, func(n int) bool {
		require.NoError(t, c.MoveTopicPartition(defaultTopic, int32(n%6), int32(n/6%3)))
		return n >= 200
	})
	stored := read(t, addresses(c), defaultTopic)
	requireOrder(t, stored)
	requireStored(t, stored, acknowledged)
	require.Len(t, stored, len(acknowledged), "stored once each")
}

// writeUntil has writers write batches of 10 events, again what failed, until done returns true
// for the number of Writes that have begun. It returns the ids that were acknowledged.
func writeUntil(t *testing.T, sink *Sink, writers int, done func(n int) bool) map[string]bool {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	began, acknowledged := 0, map[string]bool{}
	begin := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if done(began) {
			return false
		}
		began++
		return true
	}
	for w := range writers {
		running.Go(func() {
			for n := 0; begin(); n++ {
				list := make([]*inlet.Event, 10)
				for i := range list {
					list[i] = event(fmt.Sprintf("%d-%06d", w, n*len(list)+i))
					list[i].UserID = fmt.Sprint("writer-", w)
				}
				for sink.Write(t.Context(), list) != nil {
					if t.Context().Err() != nil {
						return
					}
				}
				mu.Lock()
				for _, e := range list {
					acknowledged[e.MessageID] = true
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return acknowledged
}

// requireStored requires that every acknowledged event is stored.
func requireStored(t *testing.T, stored []*inlet.Event, acknowledged map[string]bool) {
	t.Helper()
	require.NotEmpty(t, acknowledged)
	found := map[string]bool{}
	for _, e := range stored {
		found[e.MessageID] = true
	}
	for id := range acknowledged {
		require.True(t, found[id], "%s is lost", id)
	}
}

// requireOrder requires that the ids of each user were first stored in ascending order.
func requireOrder(t *testing.T, stored []*inlet.Event) {
	t.Helper()
	last, seen := map[string]string{}, map[string]bool{}
	for _, e := range stored {
		if seen[e.MessageID] {
			continue
		}
		seen[e.MessageID] = true
		require.Less(t, last[e.UserID], e.MessageID)
		last[e.UserID] = e.MessageID
	}
}

// TestStrict fails a part of a Write: nothing after it may be stored.
func TestStrict(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for _, code := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.PolicyViolation} {
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, smallMessages), Strict: true})
		list := make([]*inlet.Event, 1000)
		for i := range list {
			list[i] = event(fmt.Sprintf("%06d", i))
		}
		requests := 0
		c.Fault(kfake.Fault{Keys: produce, Topic: sink.opts.Topic, Err: code, When: func(kmsg.Request) bool {
			requests++
			return requests == 3
		}})
		left := list
		for len(left) > 0 {
			var failed []*inlet.Event
			for i, err := range inlet.ItemErrors(sink.Write(t.Context(), left), len(left)) {
				if err != nil {
					require.ErrorIs(t, err, code)
					failed = append(failed, left[i])
				}
			}
			if len(failed) > 0 {
				require.Equal(t, left[len(left)-len(failed):], failed, "everything from the first one that failed")
			}
			left = failed
		}
		stored := read(t, addresses(c), sink.opts.Topic)
		require.Len(t, stored, len(list))
		requireOrder(t, stored)
		require.Equal(t, 3, requests)
	}
}

func TestDurability(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	topic := func(isr string) string { return newTopic(t, c, 2, map[string]string{"min.insync.replicas": isr}) }
	single, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, defaultTopic),
		kfake.BrokerConfigs(map[string]string{"default.replication.factor": "1", "min.insync.replicas": "2"}))
	require.NoError(t, err)
	t.Cleanup(single.Close)

	t.Run("replicated", func(t *testing.T) {
		log := new(testkit.Log)
		sink := open(t, c, Options{Topic: topic("2"), Logger: log.Logger()})
		require.Equal(t, inlet.DurabilityReplicated, sink.Durability())
		require.Empty(t, log.String())
		require.NoError(t, sink.Check(t.Context()))
	})
	t.Run("one replica is enough", func(t *testing.T) {
		log, weak := new(testkit.Log), topic("1")
		sink := open(t, c, Options{Topic: topic("2"), Topics: []string{weak}, TopicOf: func(*inlet.Event) string { return "" }, Logger: log.Logger()})
		require.Equal(t, inlet.DurabilityOSBuffer, sink.Durability(), "the least of all topics")
		require.Contains(t, log.String(), "min.insync.replicas is 1, of 2 that are needed")
		require.Contains(t, log.String(), "topic="+weak)
		_, err := New(t.Context(), addresses(c), &Options{Topic: weak, Durability: inlet.DurabilityReplicated})
		require.ErrorContains(t, err, "is not replicated, as Options.Durability declares: min.insync.replicas is 1")
		require.Equal(t, inlet.DurabilityOSBuffer, open(t, c, Options{Topic: topic("2"), Durability: inlet.DurabilityOSBuffer}).Durability())
	})
	t.Run("one broker", func(t *testing.T) {
		log := new(testkit.Log)
		require.Equal(t, inlet.DurabilityOSBuffer, open(t, single, Options{Logger: log.Logger()}).Durability())
		require.Contains(t, log.String(), "it has 1 replica, of 2 that are needed")
		_, err := New(t.Context(), addresses(single), &Options{Durability: inlet.DurabilityReplicated})
		require.ErrorContains(t, err, "1 replica")
	})
	t.Run("weaker later", func(t *testing.T) {
		sink := open(t, c, Options{Topic: topic("2")})
		two, one := "2", "1"
		set := func(value string) {
			req := kmsg.NewPtrAlterConfigsRequest()
			resource := kmsg.NewAlterConfigsRequestResource()
			resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, sink.opts.Topic
			resource.Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: "min.insync.replicas", Value: &value}}
			req.Resources = append(req.Resources, resource)
			resp, err := req.RequestWith(t.Context(), sink.client)
			require.NoError(t, err)
			require.Zero(t, resp.Resources[0].ErrorCode)
		}
		set(one)
		require.ErrorContains(t, sink.Check(t.Context()), "promises less durability than was declared, replicated")
		set(two)
		require.NoError(t, sink.Check(t.Context()))
	})
	t.Run("settings that cannot be read", func(t *testing.T) {
		for _, code := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.UnsupportedVersion} {
			name := topic("1")
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: name, Err: code, Count: -1})
			log := new(testkit.Log)
			sink := open(t, c, Options{Topic: name, Logger: log.Logger()})
			require.Equal(t, inlet.DurabilityOSBuffer, sink.Durability())
			require.Contains(t, log.String(), "allow DescribeConfigs on the topic, or set Options.Durability")
			require.Contains(t, log.String(), code.Message)
			declared := open(t, c, Options{Topic: name, Durability: inlet.DurabilityReplicated})
			require.Equal(t, inlet.DurabilityReplicated, declared.Durability())
			require.NoError(t, declared.Check(t.Context()))
			require.NoError(t, declared.Write(t.Context(), events("m", 3)))
		}
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	c := cluster(t, kfake.AllowAutoTopicCreation())
	t.Run("missing topic", func(t *testing.T) {
		t.Parallel()
		_, err := New(t.Context(), addresses(c), &Options{Topic: "missing"})
		require.ErrorContains(t, err, `topic "missing" does not exist`)
		require.ErrorContains(t, err, "kafka-topics.sh --bootstrap-server ADDRESS --create --topic missing")
		require.Nil(t, c.TopicInfo("missing"))
	})
	t.Run("no brokers", func(t *testing.T) {
		t.Parallel()
		gone, err := kfake.NewCluster()
		require.NoError(t, err)
		brokers := addresses(gone)
		gone.Close()
		_, err = New(t.Context(), brokers, nil)
		require.ErrorContains(t, err, "kafkasink: connect: ")
		require.False(t, inlet.IsPermanent(err))
	})
	t.Run("one broker of several", func(t *testing.T) {
		t.Parallel()
		gone, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		brokers := addresses(gone) + ", " + addresses(c)
		gone.Close()
		sink, err := New(t.Context(), brokers, &Options{Durability: inlet.DurabilityReplicated})
		require.NoError(t, err)
		require.NoError(t, sink.Write(t.Context(), events("m", 3)))
		require.NoError(t, sink.Close(t.Context()))
	})
	t.Run("no idempotence", func(t *testing.T) {
		t.Parallel()
		weak := cluster(t)
		weak.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.ClusterAuthorizationFailed, Count: -1})
		_, err := New(t.Context(), addresses(weak), nil)
		require.ErrorContains(t, err, "brokers before 3.0 need IdempotentWrite")
		require.ErrorIs(t, err, kerr.ClusterAuthorizationFailed)
	})
	t.Run("brokers", func(t *testing.T) {
		t.Parallel()
		for _, brokers := range []string{"", ",", "a:1,", " "} {
			_, err := New(t.Context(), brokers, nil)
			require.ErrorContains(t, err, "must be addresses with commas between them", brokers)
		}
		for _, brokers := range []string{"kafka://u:hunter2@a:1", "u:hunter2@a:1", "a:1,u:hunter2@b:1", "u:hun/ter2", "kafka://a:1"} {
			_, err := New(t.Context(), brokers, nil)
			require.ErrorContains(t, err, "must be addresses with commas between them", brokers)
			require.NotContains(t, err.Error(), "hun")
		}
	})
	t.Run("String", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{})
		require.Equal(t, "kafkasink to inlet-events at "+addresses(c), sink.String())
		require.Equal(t, sink.String(), fmt.Sprintf("%#v", sink))
	})
	t.Run("Check", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 2, nil), Durability: inlet.DurabilityOSBuffer})
		require.NoError(t, sink.Check(t.Context()))
		require.NoError(t, c.DeleteTopic(sink.opts.Topic))
		require.ErrorContains(t, sink.Check(t.Context()), "does not exist")
		err := sink.Write(t.Context(), events("m", 1))
		require.Error(t, err)
		require.False(t, inlet.IsPermanent(err), err)
		require.NoError(t, c.CreateTopic(sink.opts.Topic, 2, nil))
		require.NoError(t, sink.Check(t.Context()))
		for err != nil { // until the client has found it
			err = sink.Write(t.Context(), events("m", 1))
		}
		require.Len(t, read(t, addresses(c), sink.opts.Topic), 1)
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		`Topic "a b" must have`:                                    {Topic: "a b"},
		`Topic ".." must have`:                                     {Topic: ".."},
		`Topic "` + strings.Repeat("x", 250) + `" must`:            {Topics: []string{strings.Repeat("x", 250)}, TopicOf: func(*inlet.Event) string { return "" }},
		"Topics has 1 topics, needs TopicOf":                       {Topics: []string{"a"}},
		"Timeout is 1ms, must be at least 1s":                      {Timeout: time.Millisecond},
		"MaxBuffered is -1, must be at least 1":                    {MaxBuffered: -1},
		"MaxConcurrent is -1, must be at least 1":                  {MaxConcurrent: -1},
		"MaxConcurrent is 2, must be 1 with Strict":                {MaxConcurrent: 2, Strict: true},
		"Durability is fsync":                                      {Durability: inlet.DurabilityFsync},
		"Client[1] is nil":                                         {Client: []kgo.Opt{kgo.ClientID("x"), nil}},
		"idempotency requires acks=all":                            {Client: []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck())}},
		"refused: RequiredAcks: ":                                  {Client: []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}},
		"refused: DisableIdempotentWrite: ":                        {Client: []kgo.Opt{kgo.DisableIdempotentWrite()}},
		"cannot allow idempotent produce cancellation and use tra": {Client: []kgo.Opt{kgo.TransactionalID("x")}},
		"refused: ManualFlushing: ":                                {Client: []kgo.Opt{kgo.ManualFlushing()}},
		"refused: StopProducerOnDataLossDetected: ":                {Client: []kgo.Opt{kgo.StopProducerOnDataLossDetected()}},
		"refused: AllowAutoTopicCreation: ":                        {Client: []kgo.Opt{kgo.AllowAutoTopicCreation()}},
		"refused: DefaultProduceTopicAlways: ":                     {Client: []kgo.Opt{kgo.DefaultProduceTopic("x"), kgo.DefaultProduceTopicAlways()}},
		"refused: RecordDeliveryTimeout: ":                         {Client: []kgo.Opt{kgo.RecordDeliveryTimeout(time.Minute)}},
		"refused: MaxBufferedBytes: ":                              {Client: []kgo.Opt{kgo.MaxBufferedBytes(10)}},
		"refused: MaxBufferedRecords: ":                            {Client: []kgo.Opt{kgo.MaxBufferedRecords(10)}},
		"refused: WithContext: ":                                   {Client: []kgo.Opt{kgo.WithContext(context.Background())}},
		"refused: SeedBrokers: ":                                   {Client: []kgo.Opt{kgo.SeedBrokers("other:9092")}},
		"refused: the sink consumes nothing":                       {Client: []kgo.Opt{kgo.ConsumeTopics("x")}},
	} {
		_, err := New(t.Context(), "127.0.0.1:1", &o)
		require.ErrorContains(t, err, "kafkasink: Options: ")
		require.ErrorContains(t, err, want)
	}
}

// TestPanic has a host's function panic: the sink works afterwards, and Close ends.
func TestPanic(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	bad := true
	sink := open(t, c, Options{MaxConcurrent: 1, Key: func(e *inlet.Event) []byte {
		if bad {
			panic("key")
		}
		return []byte(e.UserID)
	}})
	require.PanicsWithValue(t, "key", func() { _ = sink.Write(t.Context(), events("m", 3)) })
	bad = false
	require.NoError(t, sink.Write(t.Context(), events("m", 3)))
	require.NoError(t, sink.Close(t.Context()))
}

func TestClassify(t *testing.T) {
	t.Parallel()
	s := &Sink{opts: Options{Timeout: time.Minute}}
	require.ErrorIs(t, s.classify(kgo.ErrClientClosed), inlet.ErrClosed)
	require.ErrorIs(t, s.classify(kgo.ErrMaxBuffered), inlet.ErrOverloaded)
	require.EqualError(t, s.classify(fmt.Errorf("x: %w", context.DeadlineExceeded)), "kafkasink: no acknowledgement within 1m0s, the outcome is unknown")
	require.ErrorContains(t, s.classify(kerr.SaslAuthenticationFailed), "the user or its password may be wrong")
	plain := errors.New("plain")
	require.ErrorIs(t, s.classify(plain), plain)
}
