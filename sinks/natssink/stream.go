package natssink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/inlet-go/inlet"
)

// A stream is what the sink knows about its stream.
type stream struct {
	atomic  atomic.Bool // it permits atomic batches
	maxSize int         // of a message in bytes
	weak    error       // it promises less durability than was declared
	read    time.Time
	stale   atomic.Bool // it is to be read again
}

// How long the configuration of the stream is taken for what was read, also if it has probably
// changed, and how long to wait for it.
const (
	configAge      = time.Minute
	configAgeStale = time.Second
	configWait     = 2 * time.Second
)

// isDue reports whether the configuration is to be read again.
func (s *stream) isDue() bool {
	if s.stale.Load() || s.weak != nil {
		return time.Since(s.read) >= configAgeStale
	}
	return time.Since(s.read) >= configAge
}

// prepare finds or creates the stream, and subscribes to answers.
func (s *Sink) prepare(ctx context.Context) (err error) {
	if s.js, err = jetstream.New(s.nc); err != nil {
		return err
	}
	config, err := s.config(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if config, err = s.create(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := s.checkConfig(config); err != nil {
		return err
	}
	s.durability = s.durabilityOf(config)
	s.stream.Store(s.known(config))
	s.warn(config)
	return s.inbox.subscribe(s.nc)
}

// config reads the configuration of the stream.
func (s *Sink) config(ctx context.Context) (*jetstream.StreamConfig, error) {
	found, err := s.js.Stream(ctx, s.opts.Stream)
	if err != nil {
		return nil, err
	}
	return &found.CachedInfo().Config, nil
}

// create creates the stream if it may, and returns its configuration.
func (s *Sink) create(ctx context.Context) (*jetstream.StreamConfig, error) {
	want := jetstream.StreamConfig{
		Name: s.opts.Stream, Subjects: []string{s.opts.Prefix + ".>"}, Storage: jetstream.FileStorage,
		Replicas: s.opts.Replicas, Duplicates: s.opts.Window, AllowAtomicPublish: true,
	}
	if !s.opts.Migrate {
		text, err := json.Marshal(&want)
		return nil, errors.Join(err, fmt.Errorf("does not exist; create it, such as with the configuration %s, or set Options.Migrate", text))
	}
	created, err := s.js.CreateStream(ctx, want)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
		return s.config(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	s.log.Info("natssink: stream created", "stream", s.opts.Stream, "replicas", s.opts.Replicas)
	return &created.CachedInfo().Config, nil
}

// checkConfig returns why the stream cannot store what was promised.
func (s *Sink) checkConfig(config *jetstream.StreamConfig) error {
	all := s.opts.Prefix + ".*.*"
	switch {
	case config.PersistMode == jetstream.AsyncPersistMode:
		return errors.New("has persist_mode async: it acknowledges what it has not written; change it to default")
	case config.NoAck:
		return errors.New("has no_ack: it would never acknowledge anything")
	case config.Sealed:
		return errors.New("is sealed: it accepts no messages")
	case config.Mirror != nil:
		return errors.New("is a mirror: it accepts no messages")
	case config.AllowMsgCounter:
		return errors.New("has allow_msg_counter: it accepts numbers only")
	case !slices.ContainsFunc(config.Subjects, func(filter string) bool { return covers(filter, all) }):
		return fmt.Errorf("has the subjects %q, needs %s.> or %s", config.Subjects, s.opts.Prefix, all)
	}
	return nil
}

// covers reports whether a filter of subjects has all subjects of another one without ">".
func covers(filter, other string) bool {
	filters, others := strings.Split(filter, "."), strings.Split(other, ".")
	for i, f := range filters {
		switch {
		case i >= len(others):
			return false
		case f == ">":
			return true
		case f != "*" && f != others[i]:
			return false
		}
	}
	return len(filters) == len(others)
}

// durabilityOf returns what an acknowledgement of the stream means.
func (s *Sink) durabilityOf(config *jetstream.StreamConfig) inlet.Durability {
	switch {
	case config.Storage == jetstream.MemoryStorage, config.PersistMode == jetstream.AsyncPersistMode:
		return inlet.DurabilityMemory
	case config.Replicas >= 3:
		return inlet.DurabilityReplicated
	case s.opts.SyncAlways:
		return inlet.DurabilityFsync
	}
	return inlet.DurabilityOSBuffer
}

// known returns what the sink uses of a configuration.
func (s *Sink) known(config *jetstream.StreamConfig) *stream {
	maxSize := int(s.nc.MaxPayload())
	if config.MaxMsgSize > 0 {
		maxSize = min(maxSize, int(config.MaxMsgSize))
	}
	found := &stream{maxSize: maxSize, read: time.Now()}
	found.atomic.Store(config.AllowAtomicPublish)
	if got := s.durabilityOf(config); got < s.durability {
		found.weak = fmt.Errorf("%w: %v, declared was %v", errWeak, got, s.durability)
	}
	return found
}

// warn logs what in the configuration may lose or repeat events later.
func (s *Sink) warn(config *jetstream.StreamConfig) {
	log := s.log.With("stream", s.opts.Stream)
	if config.Discard == jetstream.DiscardOld && (config.MaxMsgs > 0 || config.MaxBytes > 0 || config.MaxMsgsPerSubject > 0) {
		log.Warn("natssink: stream discards its oldest messages at its limits, whether they were consumed or not; set discard to new",
			"maxMsgs", config.MaxMsgs, "maxBytes", config.MaxBytes, "maxMsgsPerSubject", config.MaxMsgsPerSubject)
	}
	if config.Retention == jetstream.InterestPolicy {
		log.Warn("natssink: stream drops messages of subjects that have no consumer")
	}
	if config.Duplicates < s.opts.Window {
		log.Warn("natssink: stream forgets ids earlier than Options.Window: what is written again later is stored twice",
			"duplicateWindow", config.Duplicates, "window", s.opts.Window)
	}
	if !config.AllowAtomicPublish {
		s.tellPlain("the stream does not have allow_atomic")
	}
}

// tellPlain logs once that events are published one by one.
func (s *Sink) tellPlain(why string) {
	if !s.toldPlain.Swap(true) {
		s.log.Warn("natssink: no atomic batches; events are published one by one", "stream", s.opts.Stream, "reason", why)
	}
}

// refresh returns what is known about the stream, read again if that is due. If it cannot be read,
// it is what it was: a stream works while the cluster has no leader to ask.
func (s *Sink) refresh(ctx context.Context) *stream {
	now := s.stream.Load()
	if !now.isDue() || !s.reading.TryLock() {
		return now
	}
	defer s.reading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, configWait)
	defer cancel()
	found, err := s.readWithin(ctx)
	if err != nil {
		found = &stream{maxSize: now.maxSize, weak: now.weak, read: time.Now()}
		found.atomic.Store(now.atomic.Load())
		found.stale.Store(true)
	}
	if !found.atomic.Load() {
		s.tellPlain("the stream does not have allow_atomic")
	}
	s.stream.Store(found)
	return found
}

// readStream reads the configuration of the stream again.
func (s *Sink) readStream(ctx context.Context) (*stream, error) {
	config, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	return s.known(config), nil
}
