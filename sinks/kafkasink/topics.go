package kafkasink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

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
	admin := kadm.NewClient(s.client)
	details, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, asked(ctx, "connect", err)
	}
	settings, settingsErr := admin.DescribeTopicConfigs(ctx, names...)
	if err := ctx.Err(); err != nil {
		return nil, asked(ctx, "read the settings of topics", err)
	}
	topics := make(map[string]topic, len(names))
	for _, name := range names {
		detail, found := details[name]
		if !found || errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			return nil, missing(name)
		}
		if detail.Err != nil {
			return nil, fmt.Errorf("kafkasink: topic %q: %w", name, hinted(detail.Err))
		}
		t := topic{name: name, unread: settingsErr}
		t.readPartitions(detail)
		t.readSettings(settings)
		topics[name] = t
	}
	return topics, nil
}

// asked returns the error of a request.
func asked(ctx context.Context, what string, err error) error {
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

// readPartitions notes how many replicas there are, and whether a partition can be written to.
func (t *topic) readPartitions(detail kadm.TopicDetail) {
	t.usable = fmt.Errorf("kafkasink: topic %q has no partitions", t.name)
	leaders := 0
	for _, p := range detail.Partitions.Sorted() {
		if t.replicas == 0 || len(p.Replicas) < t.replicas {
			t.replicas = len(p.Replicas)
		}
		if p.Err == nil && p.Leader >= 0 {
			leaders++
			continue
		}
		t.usable = fmt.Errorf("kafkasink: no partition of topic %q has a leader: %w", t.name, cmp.Or(p.Err, error(kerr.LeaderNotAvailable)))
	}
	if leaders > 0 {
		t.usable = nil
	}
}

// readSettings notes what the settings of the topic are.
func (t *topic) readSettings(all kadm.ResourceConfigs) {
	at := slices.IndexFunc(all, func(c kadm.ResourceConfig) bool { return c.Name == t.name })
	if at < 0 {
		t.unread = cmp.Or(t.unread, errors.New("the brokers returned no settings"))
		return
	}
	if t.unread = all[at].Err; t.unread != nil {
		return
	}
	for _, setting := range all[at].Configs {
		n, err := strconv.Atoi(setting.MaybeValue())
		switch {
		case err != nil:
		case setting.Key == "min.insync.replicas":
			t.minISR = n
		case setting.Key == "max.message.bytes":
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
