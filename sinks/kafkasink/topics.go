package kafkasink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/inlet-go/inlet"
)

// A topic is what the brokers say about one.
type topic struct {
	name     string
	replicas int   // of the partition that has the fewest
	minISR   int   // min.insync.replicas, 0 if it cannot be read
	maxBytes int   // max.message.bytes, 0 if it cannot be read
	unread   error // why the settings cannot be read, or nil
	usable   error // why no partition can be written to, or nil
}

// readTopics asks the brokers about the topics.
func (s *Sink) readTopics(ctx context.Context) (map[string]topic, error) {
	names := s.opts.allTopics()
	partitions := kmsg.NewPtrMetadataRequest() // creates no topics
	settings := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		asked := kmsg.NewMetadataRequestTopic()
		asked.Topic = kmsg.StringPtr(name)
		partitions.Topics = append(partitions.Topics, asked)
		of := kmsg.NewDescribeConfigsRequestResource()
		of.ResourceType, of.ResourceName = kmsg.ConfigResourceTypeTopic, name
		of.ConfigNames = []string{minISR, maxBytes}
		settings.Resources = append(settings.Resources, of)
	}
	found, err := partitions.RequestWith(ctx, s.client)
	if err != nil {
		return nil, failedTo(ctx, "connect", err)
	}
	set, unread := settings.RequestWith(ctx, s.client)
	if err := ctx.Err(); err != nil {
		return nil, failedTo(ctx, "read the settings of topics", err)
	}
	topics := make(map[string]topic, len(names))
	for _, name := range names {
		t := topic{name: name}
		if err := t.readPartitions(found); err != nil {
			return nil, err
		}
		if t.unread = unread; unread == nil {
			t.readSettings(set)
		}
		topics[name] = t
	}
	return topics, nil
}

// Settings of a topic.
const (
	minISR   = "min.insync.replicas"
	maxBytes = "max.message.bytes"
)

// failedTo returns the error of a request.
func failedTo(ctx context.Context, what string, err error) error {
	if errors.Is(err, kgo.ErrClientClosed) {
		return inlet.ErrClosed
	}
	if done := ctx.Err(); done != nil && !errors.Is(err, done) {
		err = fmt.Errorf("%w: %w", done, err)
	}
	return fmt.Errorf("kafkasink: %s: %w", what, err)
}

func missing(name string) error {
	return fmt.Errorf("kafkasink: topic %q does not exist, create it, for example with:\n"+
		"kafka-topics.sh --bootstrap-server ADDRESS --create --topic %s --partitions 12 --replication-factor 3 --config min.insync.replicas=2", name, name)
}

// readPartitions notes how many replicas there are, and whether a partition can be written to. It
// returns an error if the brokers do not know the topic.
func (t *topic) readPartitions(all *kmsg.MetadataResponse) error {
	at := slices.IndexFunc(all.Topics, func(found kmsg.MetadataResponseTopic) bool {
		return found.Topic != nil && *found.Topic == t.name
	})
	if at < 0 || all.Topics[at].ErrorCode == kerr.UnknownTopicOrPartition.Code {
		return missing(t.name)
	}
	if err := kerr.ErrorForCode(all.Topics[at].ErrorCode); err != nil {
		return fmt.Errorf("kafkasink: topic %q: %w", t.name, hinted(err))
	}
	t.usable = fmt.Errorf("kafkasink: topic %q has no partitions", t.name)
	leaders := 0
	for i, p := range all.Topics[at].Partitions {
		if i == 0 || len(p.Replicas) < t.replicas {
			t.replicas = len(p.Replicas)
		}
		err := kerr.ErrorForCode(p.ErrorCode)
		if err == nil && p.Leader >= 0 || errors.Is(err, kerr.ReplicaNotAvailable) { // which is no obstacle
			leaders++
			continue
		}
		t.usable = fmt.Errorf("kafkasink: no partition of topic %q has a leader: %w", t.name, cmp.Or(err, error(kerr.LeaderNotAvailable)))
	}
	if leaders > 0 {
		t.usable = nil
	}
	return nil
}

// readSettings notes what the settings of the topic are.
func (t *topic) readSettings(all *kmsg.DescribeConfigsResponse) {
	at := slices.IndexFunc(all.Resources, func(r kmsg.DescribeConfigsResponseResource) bool { return r.ResourceName == t.name })
	if at < 0 {
		t.unread = errors.New("the brokers returned no settings")
		return
	}
	if t.unread = kerr.ErrorForCode(all.Resources[at].ErrorCode); t.unread != nil {
		return
	}
	for _, setting := range all.Resources[at].Configs {
		if setting.Value == nil {
			continue
		}
		n, err := strconv.Atoi(*setting.Value)
		switch {
		case err != nil:
		case setting.Name == minISR:
			t.minISR = n
		case setting.Name == maxBytes:
			t.maxBytes = n
		}
	}
	if t.minISR == 0 {
		t.unread = errors.New("the brokers did not return min.insync.replicas")
	}
}

// durability returns what an acknowledgement of the topic means, why it is not more, and whether
// everything is known that decides it.
func (t topic) durability() (d inlet.Durability, why string, known bool) {
	switch {
	case t.replicas < 2:
		return inlet.DurabilityOSBuffer, fmt.Sprintf("it has %d replica, of 2 that are needed", t.replicas), true
	case t.unread != nil:
		return inlet.DurabilityOSBuffer, "the brokers do not let it read min.insync.replicas: allow DescribeConfigs on the topic, or set Options.Durability", false
	case t.minISR < 2:
		return inlet.DurabilityOSBuffer, fmt.Sprintf("min.insync.replicas is %d, of 2 that are needed", t.minISR), true
	}
	return inlet.DurabilityReplicated, "", true
}

// declare returns what an acknowledgement of the sink means: the least of all topics.
func (s *Sink) declare(topics map[string]topic) (inlet.Durability, error) {
	least := inlet.DurabilityReplicated
	for _, name := range s.opts.allTopics() {
		d, why, known := topics[name].durability()
		if !known && s.opts.Durability != inlet.DurabilityUnknown {
			d = s.opts.Durability
		}
		if d < s.opts.Durability {
			return 0, fmt.Errorf("kafkasink: topic %q is not %v, as Options.Durability declares: %s", name, s.opts.Durability, why)
		}
		if s.opts.Durability == inlet.DurabilityUnknown && d < inlet.DurabilityReplicated {
			s.log.Warn("kafkasink: an acknowledgement does not mean that the event is replicated", "topic", name, "reason", why, "error", topics[name].unread)
		}
		least = min(least, d)
	}
	if s.opts.Durability != inlet.DurabilityUnknown {
		least = s.opts.Durability
	}
	return least, nil
}

// check returns an error if the topic cannot be written to, or promises less than was declared.
func (t topic) check(declared inlet.Durability) error {
	if t.usable != nil {
		return t.usable
	}
	if d, why, known := t.durability(); known && d < declared {
		return fmt.Errorf("kafkasink: topic %q promises less durability than was declared, %v: %s", t.name, declared, why)
	}
	return nil
}

// checkProducer returns an error unless the client has a producer ID, without which it is not
// idempotent.
func checkProducer(ctx context.Context, client *kgo.Client) error {
	id, _, err := client.ProducerID(ctx)
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return inlet.ErrClosed
	case err != nil:
		return fmt.Errorf("kafkasink: the client gets no producer ID, without which nothing can be stored: %w", hinted(err))
	case id < 0:
		return errors.New("kafkasink: the brokers do not support idempotent producers; Kafka 0.11 does")
	}
	return nil
}
