package kafkasink

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// Write sends the events, and waits until all in-sync replicas have acknowledged them.
//
// The error is a [*inlet.BatchError] that lists the events which have failed; any other error
// applies to all events. If too many records have no outcome yet, it is [inlet.ErrOverloaded], and
// after Close [inlet.ErrClosed].
func (s *Sink) Write(ctx context.Context, events []*inlet.Event) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if s.opts.Strict { // nothing of an earlier Write may fail while this one is sent
		if s.pending.wait(ctx) > 0 {
			return fmt.Errorf("kafkasink: an earlier batch has no outcome yet: %w", ctx.Err())
		}
	}
	if s.opts.TopicOf == nil {
		return s.writeTo(ctx, events, nil)
	}
	return s.writeRouted(ctx, events)
}

// writeTo writes events to their topics, or all to Options.Topic if topics is nil.
func (s *Sink) writeTo(ctx context.Context, events []*inlet.Event, topics []string) error {
	errs, err := s.send(ctx, events, topics)
	if err != nil {
		return err
	}
	var failed sinkkit.Failures
	for i, err := range errs {
		if err != nil {
			failed.Add(i, err)
		}
	}
	return failed.Err()
}

// writeRouted writes events to the topics that Options.TopicOf returns.
func (s *Sink) writeRouted(ctx context.Context, events []*inlet.Event) error {
	topics, unknown := make([]string, len(events)), map[int]error{}
	var known []*inlet.Event
	for i, e := range events {
		name := cmp.Or(s.opts.TopicOf(e), s.opts.Topic)
		if _, found := s.topics[name]; !found {
			unknown[i] = inlet.Permanent(fmt.Errorf("kafkasink: Options.TopicOf returned %q, which Options.Topics lacks", name))
			continue
		}
		topics[len(known)] = name
		known = append(known, e)
	}
	if len(unknown) == 0 {
		return s.writeTo(ctx, events, topics)
	}
	s.stat.refused.Add(uint64(len(unknown)))
	var errs []error
	if len(known) > 0 {
		var err error
		if errs, err = s.send(ctx, known, topics[:len(known)]); err != nil {
			return err
		}
	}
	return merge(len(events), unknown, errs).Err()
}

// merge returns the failures of n events: those of unknown, and for the others, one after the
// other, those of errs, which may be nil.
func merge(n int, unknown map[int]error, errs []error) *sinkkit.Failures {
	var failed sinkkit.Failures
	at := 0
	for i := range n {
		if err, found := unknown[i]; found {
			failed.Add(i, err)
			continue
		}
		if errs != nil && errs[at] != nil {
			failed.Add(i, errs[at])
		}
		at++
	}
	return &failed
}

// send sends events to their topics, or all to Options.Topic if topics is nil. It returns an error
// for each of them, or nil if all are stored.
func (s *Sink) send(ctx context.Context, events []*inlet.Event, topics []string) ([]error, error) {
	b := s.batches.Get().(*batch)
	b.fill(events, topics, &s.opts)
	a := &attempt{batch: b, done: make(chan struct{})}
	if err := s.pending.add(a); err != nil {
		s.release(b)
		return nil, err
	}
	go s.run(ctx, a)
	select {
	case <-a.done:
		return a.errs, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("kafkasink: the outcome is unknown: %w", ctx.Err())
	}
}

// run sends a batch. The memory of its records is the client's until each has an outcome.
func (s *Sink) run(ctx context.Context, a *attempt) {
	if s.opts.Strict {
		a.errs = s.produceStrictly(ctx, a.sent)
	} else {
		a.errs = s.produce(ctx, a.sent)
	}
	s.count(len(a.sent), a.errs)
	s.pending.remove(a)
	s.release(a.batch)
	close(a.done)
}

// release keeps the memory of b. It is not called after a panic, nor for unusually large memory.
func (s *Sink) release(b *batch) {
	b.clear()
	if !b.isLarge() {
		s.batches.Put(b)
	}
}

func (s *Sink) count(n int, errs []error) {
	for _, err := range errs {
		switch {
		case err == nil:
		case inlet.IsPermanent(err):
			s.stat.refused.Add(1)
			n--
		default:
			s.stat.failed.Add(1)
			n--
		}
	}
	s.stat.stored.Add(uint64(n))
}

// produce sends records, and those alone that are refused in a batch. It returns an error for each,
// or nil if all are stored.
func (s *Sink) produce(ctx context.Context, records []*kgo.Record) []error {
	results := s.produceFor(s.client, records...)
	if results.FirstErr() == nil {
		return nil
	}
	// The results come in the order in which they were known.
	byRecord := make(map[*kgo.Record]error, len(records))
	for _, result := range results {
		byRecord[result.Record] = result.Err
	}
	errs := make([]error, len(records))
	for i, record := range records {
		errs[i] = byRecord[record]
	}
	s.sendRefusedAlone(ctx, records, errs)
	return errs
}

// produceFor waits until each record has an outcome, but no longer than Options.Timeout.
func (s *Sink) produceFor(client *kgo.Client, records ...*kgo.Record) kgo.ProduceResults {
	ctx := s.deadlines.next()
	for _, r := range records {
		r.Context = nil // that of an earlier attempt
	}
	return client.ProduceSync(ctx, records...)
}

// sendRefusedAlone sends the records alone whose batch was refused: their own data need not be what
// it was refused for. It replaces their errors, and gives the others their class.
func (s *Sink) sendRefusedAlone(ctx context.Context, records []*kgo.Record, errs []error) {
	var stop error // a failure that would be that of the records after it, too
	for i, err := range errs {
		switch {
		case err == nil:
		case !isRefusal(err):
			errs[i] = s.classify(err)
		case stop != nil:
			errs[i] = stop
		default:
			if errs[i] = s.sendAlone(ctx, records[i]); errs[i] != nil && !inlet.IsPermanent(errs[i]) {
				stop = errs[i]
			}
		}
	}
}

// sendAlone sends a record in a batch of its own.
func (s *Sink) sendAlone(ctx context.Context, record *kgo.Record) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("kafkasink: the record was not sent alone: %w", ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("kafkasink: the record was not sent alone: %w", err)
	}
	s.stat.alone.Add(1)
	_, err := s.produceFor(s.alone, record).First()
	switch {
	case err == nil:
		return nil
	case isRefusal(err) && (s.opts.EventTime || !errors.Is(err, kerr.InvalidTimestamp)):
		return inlet.Permanent(fmt.Errorf("kafkasink: %w", err))
	}
	return s.classify(err)
}

// produceStrictly sends records in parts of one batch, and nothing after a part in which a record
// fails temporarily.
func (s *Sink) produceStrictly(ctx context.Context, records []*kgo.Record) (errs []error) {
	for from := 0; from < len(records); {
		to := s.strictEnd(records, from)
		partial := s.produce(ctx, records[from:to])
		if partial != nil && errs == nil {
			errs = make([]error, len(records))
		}
		var stop error
		for i, err := range partial {
			if errs[from+i] = err; err != nil && !inlet.IsPermanent(err) {
				stop = err
			}
		}
		if from = to; stop != nil {
			for i := range errs[from:] {
				errs[from+i] = fmt.Errorf("kafkasink: not sent, since an earlier event failed: %w", stop)
			}
			return errs
		}
	}
	return errs
}

// strictEnd returns the end of the part that begins with the record at from. Those of its records
// that go to the same partition fit into one batch.
func (s *Sink) strictEnd(records []*kgo.Record, from int) int {
	bytes := batchOverhead + sizeOf(records[from])
	return sinkkit.PartEnd(from, len(records), len(records), func(_, to int) bool {
		bytes += sizeOf(records[to-1])
		return bytes <= int(s.batchLimit(records[to-1].Topic))
	})
}

// batchOverhead is how many bytes a batch has in addition to its records.
const batchOverhead = 100

// sizeOf returns at least how many bytes a record is in a batch.
func sizeOf(r *kgo.Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}
