package kafkasink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/inlet-go/inlet"
)

// shorten makes the sink give up soon what begins before end is called, for tests in which it has
// to.
func shorten(sink *Sink) (end func()) { return shortenTo(sink, 300*time.Millisecond) }

func shortenTo(sink *Sink, timeout time.Duration) (end func()) {
	set := func(timeout time.Duration) (before time.Duration) {
		d := sink.deadlines
		d.mu.Lock()
		defer d.mu.Unlock()
		before, d.timeout, d.current = d.timeout, timeout, nil
		return before
	}
	before := set(timeout)
	return func() { set(before) }
}

var produce = []kmsg.Key{kmsg.Produce}

// TestErrorCodes has a broker answer each Write with an error, and then no longer.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	type outcome int
	const (
		refused outcome = iota // permanently, if the error comes for the event alone, too
		failed                 // temporarily, with the code
		tried                  // again by the client, until the timeout is over
		passed                 // by the client: the error means that the record is stored
	)
	for code, want := range map[*kerr.Error]outcome{
		kerr.MessageTooLarge:              refused, // 10
		kerr.RecordListTooLarge:           refused, // 18
		kerr.InvalidTimestamp:             failed,  // 32, of a time that is not the event's
		kerr.InvalidRecord:                refused, // 87
		kerr.DuplicateSequenceNumber:      passed,  // 46
		kerr.UnknownServerError:           failed,  // -1
		kerr.CorruptMessage:               failed,  // 2
		kerr.UnknownTopicOrPartition:      tried,   // 3
		kerr.LeaderNotAvailable:           tried,   // 5
		kerr.NotLeaderForPartition:        tried,   // 6
		kerr.RequestTimedOut:              tried,   // 7
		kerr.BrokerNotAvailable:           tried,   // 8
		kerr.ReplicaNotAvailable:          tried,   // 9
		kerr.NetworkException:             tried,   // 13
		kerr.InvalidTopicException:        failed,  // 17
		kerr.NotEnoughReplicas:            tried,   // 19
		kerr.NotEnoughReplicasAfterAppend: tried,   // 20
		kerr.InvalidRequiredAcks:          failed,  // 21
		kerr.TopicAuthorizationFailed:     failed,  // 29
		kerr.ClusterAuthorizationFailed:   failed,  // 31
		kerr.UnsupportedVersion:           failed,  // 35
		kerr.PolicyViolation:              failed,  // 44
		kerr.OutOfOrderSequenceNumber:     tried,   // 45
		kerr.InvalidProducerEpoch:         tried,   // 47
		kerr.InvalidProducerIDMapping:     tried,   // 49
		kerr.KafkaStorageError:            tried,   // 56
		kerr.SaslAuthenticationFailed:     failed,  // 58
		kerr.UnknownProducerID:            tried,   // 59
		kerr.FencedLeaderEpoch:            tried,   // 74
		kerr.UnknownLeaderEpoch:           tried,   // 75
		kerr.ThrottlingQuotaExceeded:      tried,   // 89
		kerr.ProducerFenced:               failed,  // 90
		kerr.UnknownTopicID:               tried,   // 100
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"default.replication.factor": "1"}))
			sink := open(t, c, Options{})
			require.NoError(t, sink.Write(t.Context(), events("before", 5)))
			fault := c.Fault(kfake.Fault{Keys: produce, Err: code, Count: -1})
			normal := func() {}
			if want == tried {
				normal = shorten(sink)
			}
			err := sink.Write(t.Context(), events("m", 5))
			normal()
			if want == passed {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			for _, err := range inlet.ItemErrors(err, 5) {
				require.Equal(t, want == refused, inlet.IsPermanent(err), err)
				if want == tried {
					require.ErrorContains(t, err, "no acknowledgement within 10s, the outcome is unknown")
					require.NotErrorIs(t, err, context.DeadlineExceeded)
				} else {
					require.ErrorIs(t, err, code)
				}
			}
			fault.Remove()
			require.NoError(t, sink.Write(t.Context(), events("m", 5)), "once the cause is repaired")
			stored := ids(read(t, addresses(c), defaultTopic))
			for _, e := range append(events("before", 5), events("m", 5)...) {
				require.Contains(t, stored, e.MessageID)
			}
		})
	}
}

// TestRetried has a broker answer with an error that passes: the client rides it out.
func TestRetried(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut,
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.KafkaStorageError, kerr.LeaderNotAvailable,
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			sink := open(t, c, Options{Timeout: time.Minute})
			require.NoError(t, sink.Write(t.Context(), events("before", 5)))
			c.Fault(kfake.Fault{Keys: produce, Err: code})
			require.NoError(t, sink.Write(t.Context(), events("m", 20)))
			stored := ids(read(t, addresses(c), defaultTopic))
			slices.Sort(stored)
			require.Len(t, slices.Compact(slices.Clone(stored)), 25)
			require.Len(t, stored, 25, "the producer is idempotent: nothing is stored twice")
		})
	}
}

// TestRefusedAlone has an event that the broker refuses among others, which it then refuses too.
func TestRefusedAlone(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, smallMessages)})
		sink.topics[sink.opts.Topic] = topic{} // as if the topic had permitted more when New asked
		list := events("m", 200)
		bad := []int{0, 77, 78, 199}
		for _, i := range bad {
			tooLarge(list[i])
		}
		requireRefused(t, sink.Write(t.Context(), list), bad, 200)
		require.Len(t, read(t, addresses(c), sink.opts.Topic), 196)
		st := sink.Stats()
		require.EqualValues(t, 196, st.Stored)
		require.EqualValues(t, 4, st.Refused)
		require.GreaterOrEqual(t, st.Alone, uint64(4))
	})
	t.Run("larger than a batch, but not for the topic", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, map[string]string{"max.message.bytes": "4000000"})})
		list := events("m", 3)
		list[1].Properties = fmt.Appendf(nil, `{"text":"%s"}`, incompressible(2_000_000))
		require.NoError(t, sink.Write(t.Context(), list))
		list[1].Properties = fmt.Appendf(nil, `{"text":"%s"}`, incompressible(6_000_000))
		requireRefused(t, sink.Write(t.Context(), list), []int{1}, 3)
		require.Len(t, read(t, addresses(c), sink.opts.Topic), 5)
	})
	t.Run("small once it is compressed", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, smallMessages)})
		list := events("m", 3)
		list[1].Properties = fmt.Appendf(nil, `{"text":"%0200000d"}`, 0)
		require.NoError(t, sink.Write(t.Context(), list))
		require.Len(t, read(t, addresses(c), sink.opts.Topic), 3)
	})
	t.Run("limits of the client", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil), Client: []kgo.Opt{kgo.ProducerBatchMaxBytes(1000)}})
		list := events("m", 20)
		list[7].Properties = fmt.Appendf(nil, `{"text":"%s"}`, incompressible(5000))
		require.NoError(t, sink.Write(t.Context(), list), "only the brokers decide what is refused")
		require.Len(t, read(t, addresses(c), sink.opts.Topic), 20)
	})
	t.Run("the event's own time", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil), EventTime: true})
		c.Fault(kfake.Fault{Keys: produce, Topic: sink.opts.Topic, Err: kerr.InvalidTimestamp, Count: -1})
		for _, err := range inlet.ItemErrors(sink.Write(t.Context(), events("m", 4)), 4) {
			require.ErrorIs(t, err, kerr.InvalidTimestamp)
			require.True(t, inlet.IsPermanent(err))
		}
	})
	t.Run("a failure while records are sent alone", func(t *testing.T) {
		t.Parallel()
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil)})
		c.Fault(kfake.Fault{Keys: produce, Topic: sink.opts.Topic, Err: kerr.InvalidTimestamp})
		c.Fault(kfake.Fault{Keys: produce, Topic: sink.opts.Topic, Err: kerr.TopicAuthorizationFailed})
		err := sink.Write(t.Context(), events("m", 4))
		for _, err := range inlet.ItemErrors(err, 4) {
			require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
			require.False(t, inlet.IsPermanent(err))
		}
		require.EqualValues(t, 1, sink.Stats().Alone, "the others would fail, too")
		require.NoError(t, sink.Write(t.Context(), events("m", 4)))
	})
}

// requireRefused requires that exactly the events at some indices are permanently refused.
func requireRefused(t *testing.T, err error, want []int, n int) {
	t.Helper()
	var failed []int
	for i, err := range inlet.ItemErrors(err, n) {
		if err != nil {
			require.True(t, inlet.IsPermanent(err), err)
			require.ErrorIs(t, err, kerr.MessageTooLarge)
			failed = append(failed, i)
		}
	}
	require.Equal(t, want, failed)
}

// incompressible returns a text of n bytes that no codec makes much shorter.
func incompressible(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, n)
	for i := range text {
		text[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[random.IntN(64)]
	}
	return text
}

// TestGivenUp gives up a batch whose acknowledgement is lost, and writes another one with as many
// records. Clients before v1.22.2 took the answer to the first for that to the second.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5} {
		c := cluster(t)
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil)})
		require.NoError(t, sink.Write(t.Context(), events("before", n)))

		// It is stored, but the client learns that it took too long, and then nothing.
		c.Fault(kfake.Fault{Keys: produce, Err: kerr.RequestTimedOut})
		requests, lost := 0, true
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			requests++
			return nil, context.DeadlineExceeded, requests > 1 && lost
		})
		normal := shorten(sink)
		require.Error(t, sink.Write(t.Context(), events("given-up", n)))
		normal()
		c.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			lost = false
			c.DropControl()
			return nil, nil, false
		})
		require.NoError(t, sink.Check(t.Context()))
		require.NoError(t, sink.Write(t.Context(), events("next", n)))
		stored := ids(read(t, addresses(c), sink.opts.Topic))
		for _, e := range append(events("before", n), events("next", n)...) {
			require.Contains(t, stored, e.MessageID, "an acknowledged event is stored")
		}
	}
}
