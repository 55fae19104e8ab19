package kafkasink

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// Topic is where events go for which TopicOf returns nothing else. It must exist. Defaults to
	// "inlet-events".
	Topic string
	// Topics are the further topics that TopicOf may return. They must exist: the sink creates
	// none. Defaults to nil.
	Topics []string
	// TopicOf returns the topic of an event, or "" for Topic. It must not change or keep the
	// event, and is called concurrently. An event for which it returns a name that is neither Topic
	// nor in Topics is permanently refused. Defaults to nil: all events go to Topic.
	TopicOf func(e *inlet.Event) string
	// Key returns the key of the record of an event, which chooses the partition and so what is in
	// order; nil means no key, and any partition. It must not change or keep the event, and is
	// called concurrently; the sink keeps what it returns. Defaults to nil: the user ID, else the
	// anonymous ID, else the message ID.
	Key func(e *inlet.Event) []byte
	// EventTime makes the record's timestamp that of the event, which clients choose. Brokers keep
	// a segment of the log for as long as its newest timestamp says, and may refuse a batch for a
	// timestamp that is too far away: then each record of the batch is sent alone, which is slow,
	// and that event is permanently refused. Defaults to false: when the event was received.
	EventTime bool
	// Strict keeps the order of each key even if a Write fails in part: the sink then sends a batch
	// once all before it have an outcome, and nothing after one that fails. It is slower, and
	// MaxConcurrent must be 1 or 0. Defaults to false: the order of a key holds for what is written
	// at the first attempt, and what had failed comes after it.
	Strict bool

	// Durability is what an acknowledgement means if the brokers do not let the sink read
	// min.insync.replicas: [inlet.DurabilityReplicated] declares that it is at least 2 for every
	// topic. New fails if it can read that this is not so. Defaults to 0: what New reads, and
	// [inlet.DurabilityOSBuffer] if it may not.
	Durability inlet.Durability

	// Timeout is how long a record waits for its acknowledgement, up to an eighth longer: the
	// client sends it again and follows its partition to new leaders until then. It is at least 1
	// second. Defaults to 10 seconds.
	Timeout time.Duration
	// MaxBuffered limits the bytes of records that have no outcome yet, those of Writes that
	// have given up included. A Write that would exceed it fails with [inlet.ErrOverloaded], unless
	// there are no others. Defaults to 64 MiB.
	MaxBuffered int
	// MaxConcurrent is the maximum number of Writes at the same time; further ones wait. Defaults
	// to 256, or to 1 with Strict.
	MaxConcurrent int
	// Client are further options of the client, such as kgo.DialTLSConfig, kgo.SASL,
	// kgo.ClientID and kgo.ProducerBatchCompression. New refuses those that would break what the
	// sink promises: other acks, no idempotence, transactions, manual flushing, the creation of
	// topics, and those that options of the sink are for. Defaults to nil.
	Client []kgo.Opt
	// Logger receives what New finds out about topics. Defaults to slog.Default() at construction.
	Logger *slog.Logger
}

// Defaults; see Options.
const (
	defaultTopic         = "inlet-events"
	defaultTimeout       = 10 * time.Second
	defaultMaxBuffered   = 64 << 20
	defaultMaxConcurrent = 256
)

// withDefaults returns a copy with the defaults filled in.
func (o *Options) withDefaults() Options {
	var f Options
	if o != nil {
		f = *o
	}
	f.Topic = cmp.Or(f.Topic, defaultTopic)
	f.Topics = slices.Clone(f.Topics)
	f.Timeout = cmp.Or(f.Timeout, defaultTimeout)
	f.MaxBuffered = cmp.Or(f.MaxBuffered, defaultMaxBuffered)
	if f.MaxConcurrent == 0 {
		f.MaxConcurrent = defaultMaxConcurrent
		if f.Strict {
			f.MaxConcurrent = 1
		}
	}
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	return f
}

// check returns all faults. It is called with the defaults filled in.
func (o *Options) check() error {
	faults := []error{
		check.Known("Durability", o.Durability, inlet.DurabilityUnknown, inlet.DurabilityOSBuffer, inlet.DurabilityReplicated),
		check.AtLeast("Timeout", o.Timeout, time.Second),
		check.AtMost("Timeout", o.Timeout, time.Hour),
		check.AtLeast("MaxBuffered", o.MaxBuffered, 1),
		check.AtLeast("MaxConcurrent", o.MaxConcurrent, 1),
		check.AtMost("MaxConcurrent", o.MaxConcurrent, 10_000),
		check.NoneNil("Client", o.Client, func(opt kgo.Opt) bool { return opt == nil }),
	}
	if o.Strict && o.MaxConcurrent > 1 {
		faults = append(faults, check.Fault("MaxConcurrent", "is %d, must be 1 with Strict", o.MaxConcurrent))
	}
	if len(o.Topics) > 0 && o.TopicOf == nil {
		faults = append(faults, check.Fault("Topics", "has %d topics, needs TopicOf", len(o.Topics)))
	}
	for _, topic := range o.allTopics() {
		if !isTopic(topic) {
			faults = append(faults, check.Fault("Topic", "%q must have 1 to 249 bytes of a-z, A-Z, 0-9, '.', '_' and '-', and not be only dots", topic))
		}
	}
	return check.Options("kafkasink", "Options", faults...)
}

// allTopics returns the topics that events may go to, sorted, each once.
func (o *Options) allTopics() []string {
	all := append([]string{o.Topic}, o.Topics...)
	slices.Sort(all)
	return slices.Compact(all)
}

// isTopic reports whether Kafka permits the name of a topic.
func isTopic(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	return !slices.ContainsFunc([]byte(name), func(c byte) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-'
	})
}
