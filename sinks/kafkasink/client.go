package kafkasink

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet/internal/backoff"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = time.Second

	// maxBatch is the size of a batch, unless the topic permits less.
	maxBatch = 1_000_012
	// minBatch is the least that the client accepts.
	minBatch = 512
	// maxAlone is the size before compression up to which the brokers are asked whether a
	// record that is sent alone is too large.
	maxAlone = 64 << 20
)

// seeds returns the addresses of a list with commas between them.
func seeds(brokers string) ([]string, error) {
	if strings.ContainsAny(brokers, "@/") {
		return nil, errors.New("kafkasink: brokers has a URL, must be addresses with commas between them; " +
			"it is not quoted, since it may have a password: see Options.Client for SASL")
	}
	list := strings.Split(brokers, ",")
	for i, address := range list {
		if list[i] = strings.TrimSpace(address); list[i] == "" {
			return nil, fmt.Errorf("kafkasink: brokers is %q, must be addresses with commas between them", brokers)
		}
	}
	return list, nil
}

// options returns the options of the client: those of the sink, and then the host's.
func (s *Sink) options(addresses []string) []kgo.Opt {
	half := s.opts.Timeout / 2
	return append([]kgo.Opt{
		kgo.SeedBrokers(addresses...),
		kgo.ClientID("inlet"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// Without it, a record that was sent to a broker which hangs would never be released.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProduceRequestTimeout(half),
		kgo.RequestTimeoutOverhead(min(half, 10*time.Second)),
		// The default waits up to 5 seconds, for which a record outlasts its timeout.
		kgo.RetryBackoffFn(func(failures int) time.Duration { return backoff.Delay(failures, minBackoff, maxBackoff) }),
		kgo.RequestRetries(4),                      // of others than records, so that Check returns soon
		kgo.MetadataMinAge(500 * time.Millisecond), // a new leader is found within Timeout
		kgo.MaxBufferedRecords(math.MaxInt32),      // MaxBuffered limits them
		kgo.ProducerBatchMaxBytesFn(s.batchLimit),
	}, s.opts.Client...)
}

// batchLimit returns how large a batch for a topic may be, in bytes before compression.
func (s *Sink) batchLimit(topic string) int32 {
	if limit := s.topics[topic].maxBytes; limit > 0 {
		return int32(min(max(limit, minBatch), maxBatch))
	}
	return maxBatch
}

// connect makes the clients. The second one sends records alone.
func (s *Sink) connect(addresses []string) error {
	opts := s.options(addresses)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafkasink: Options: Client: %w", err)
	}
	if err := s.checkClient(client, addresses); err != nil {
		client.Close()
		return err
	}
	limit := int32(maxAlone)
	if most, ok := client.OptValue(kgo.BrokerMaxWriteBytes).(int32); ok {
		limit = min(limit, most)
	}
	alone, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(limit), kgo.MaxBufferedBytes(0))...)
	if err != nil {
		client.Close()
		return fmt.Errorf("kafkasink: Options: Client: %w", err)
	}
	s.client, s.alone = client, alone
	return nil
}

// checkClient refuses options that would break what the sink promises.
func (s *Sink) checkClient(client *kgo.Client, addresses []string) error {
	isSet := func(opt any) bool { // an option without a value that is known counts as set
		set, known := client.OptValue(opt).(bool)
		return set || !known
	}
	var refused []error
	consumed, _ := client.OptValue(kgo.ConsumeTopics).([]string)
	seeds, _ := client.OptValue(kgo.SeedBrokers).([]string)
	for _, c := range []struct {
		broken bool
		text   string
	}{
		{client.OptValue(kgo.RequiredAcks) != kgo.AllISRAcks(), "RequiredAcks: the sink waits for all in-sync replicas"},
		{isSet(kgo.DisableIdempotentWrite), "DisableIdempotentWrite: the client would store records twice, and out of order"},
		{client.OptValue(kgo.TransactionalID) != "", "TransactionalID: records would not be readable before a commit"},
		{isSet(kgo.ManualFlushing), "ManualFlushing: records would never be sent"},
		{isSet(kgo.StopProducerOnDataLossDetected), "StopProducerOnDataLossDetected: no Write would work after it"},
		{isSet(kgo.AllowAutoTopicCreation), "AllowAutoTopicCreation: the sink creates no topics"},
		{isSet(kgo.DefaultProduceTopicAlways), "DefaultProduceTopicAlways: use Options.Topic"},
		{client.OptValue(kgo.RecordDeliveryTimeout) != time.Duration(0), "RecordDeliveryTimeout: it counts from the timestamp of the record; use Options.Timeout"},
		{client.OptValue(kgo.MaxBufferedBytes) != int64(0), "MaxBufferedBytes: use Options.MaxBuffered"},
		{client.OptValue(kgo.MaxBufferedRecords) != int64(math.MaxInt32), "MaxBufferedRecords: use Options.MaxBuffered"},
		{client.OptValue(kgo.WithContext) != nil, "WithContext: use Close"},
		{client.OptValue(kgo.ConsumerGroup) != "" || client.OptValue(kgo.ShareGroup) != "" || len(consumed) > 0, "the sink consumes nothing"},
		{!slices.Equal(seeds, addresses), "SeedBrokers: use the argument of New"},
	} {
		if c.broken {
			refused = append(refused, fmt.Errorf("kafkasink: Options: Client: refused: %s", c.text))
		}
	}
	return errors.Join(refused...)
}
