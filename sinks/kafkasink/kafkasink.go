package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// Sink writes events to topics of Kafka. Make one with [New].
//
// Acknowledgement: nil means that every event is a record which all in-sync replicas have
// acknowledged, as durable as Durability says.
//
// Order: the records of a Write are sent in the order of its events, and those with the same key go
// to the same partition of a topic. Writes that run concurrently have no order. After a partial
// failure, what is written again comes later: see Options.Strict.
//
// Failures: the [*inlet.BatchError] lists the events that are not stored, or not known to be. Only
// an event that the brokers refuse when it is sent alone is permanently refused.
//
// Context: Write returns soon after ctx is done, even if a broker hangs. The outcome is then
// unknown, and the client goes on sending the records until Options.Timeout is over.
//
// Concurrency: all methods may be called concurrently.
//
// Memory: the sink holds the records of each Write until they have an outcome, at most
// Options.MaxBuffered bytes in total, in memory that is reused. The client has goroutines, which
// end with Close.
type Sink struct {
	client, alone *kgo.Client
	opts          Options
	topics        map[string]topic
	durability    inlet.Durability
	log           *slog.Logger
	where         string // for String

	gate      *sinkkit.Gate
	turn      chan struct{} // holds a token while a record is sent alone
	pending   pending
	deadlines *deadlines
	batches   sync.Pool // of *batch
	stat      counters

	closing sync.Once
	aborts  chan struct{} // closed to give up what has no outcome
	abort   sync.Once
	closed  chan struct{} // closed when the clients are
}

// New connects to a cluster, and returns a sink that writes to its topics. The brokers are
// addresses with commas between them, of which one must answer: the client finds the others.
//
// It reads what the topics promise, and fails if one of them does not exist, if the brokers do not
// support idempotent producers, and if they promise less than Options.Durability. The error says
// what to do. TLS and SASL are options of the client: see Options.Client.
func New(ctx context.Context, brokers string, o *Options) (*Sink, error) {
	opts := o.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	addresses, err := seeds(brokers)
	if err != nil {
		return nil, err
	}
	s := &Sink{
		opts: opts, log: opts.Logger, gate: sinkkit.NewGate(opts.MaxConcurrent), turn: make(chan struct{}, 1),
		where:  fmt.Sprintf("kafkasink to %s at %s", strings.Join(opts.allTopics(), ", "), strings.Join(addresses, ",")),
		aborts: make(chan struct{}), closed: make(chan struct{}),
	}
	s.pending.limit = opts.MaxBuffered
	s.deadlines = newDeadlines(opts.Timeout)
	s.batches.New = func() any { return new(batch) }
	if err := s.connect(addresses); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.client.Close()
		s.alone.Close()
		s.deadlines.end()
		return nil, err
	}
	return s, nil
}

// prepare reads what the topics promise.
func (s *Sink) prepare(ctx context.Context) error {
	topics, err := s.readTopics(ctx)
	if err != nil {
		return err
	}
	if s.durability, err = s.declare(topics); err != nil {
		return err
	}
	s.topics = topics
	return checkProducer(ctx, s.client)
}

// Flush waits until every record that was sent before has an outcome: those of Writes that have
// given up.
func (s *Sink) Flush(ctx context.Context) error {
	if left := s.pending.wait(ctx); left > 0 {
		return fmt.Errorf("kafkasink: %d events have no outcome yet: %w", left, ctx.Err())
	}
	return nil
}

// Close waits for the Writes that run and until all records have an outcome, and then closes the
// client. Every other call fails with [inlet.ErrClosed]. If ctx is done first, Close gives up the
// records that have no outcome, and returns how many there were; it may be called again.
func (s *Sink) Close(ctx context.Context) error {
	drained := s.gate.Close()
	s.closing.Do(func() { go s.end(drained) })
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
	}
	left := s.pending.events()
	s.abort.Do(func() { close(s.aborts) })
	return fmt.Errorf("kafkasink: closed with %d events that have no outcome: %w", left, ctx.Err())
}

// end closes the clients once no record waits for its outcome, or if that is given up.
func (s *Sink) end(drained <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		select {
		case <-drained:
			s.pending.wait(ctx)
		case <-ctx.Done():
		}
	}()
	select {
	case <-settled:
	case <-s.aborts:
		cancel()
		<-settled
	}
	s.client.Close()
	s.alone.Close()
	s.deadlines.end()
	close(s.closed)
}

// Check asks the brokers whether each topic can be written to, as durably as Durability says. It
// returns [inlet.ErrClosed] after Close.
func (s *Sink) Check(ctx context.Context) error {
	if s.gate.IsClosed() {
		return inlet.ErrClosed
	}
	topics, err := s.readTopics(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range topics {
		faults = append(faults, t.check(s.durability))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return checkProducer(ctx, s.client)
}

// Durability returns what New has read from the brokers, or Options.Durability: see the
// documentation of the package.
func (s *Sink) Durability() inlet.Durability { return s.durability }

// String returns the topics and the addresses that New was given.
func (s *Sink) String() string { return s.where }

// GoString returns String: otherwise fmt would print the fields, with what Options.Client has.
func (s *Sink) GoString() string { return s.String() }

// Stats is a snapshot of the counters of a [Sink].
type Stats struct {
	Stored  uint64 // records that were acknowledged
	Failed  uint64 // records whose failure was temporary
	Refused uint64 // records that the brokers refuse
	Alone   uint64 // records that were sent alone, after the batch that they were in was refused

	Pending      int // records that have no outcome now
	PendingBytes int // of these
}

// Stats returns the counters since New, and what has no outcome now.
func (s *Sink) Stats() Stats {
	st := Stats{
		Stored: s.stat.stored.Load(), Failed: s.stat.failed.Load(),
		Refused: s.stat.refused.Load(), Alone: s.stat.alone.Load(),
	}
	st.Pending, st.PendingBytes = s.pending.size()
	return st
}

type counters struct{ stored, failed, refused, alone atomic.Uint64 }
