package natssink

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// Headers of a message. The first is known to any server, the others make an atomic batch.
const (
	headerID       = jetstream.MsgIDHeader
	headerBatch    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// Write stores the events that are not stored yet.
//
// The error is a [*inlet.BatchError] if the outcomes differ; any other error applies to all
// events. After Close it is [inlet.ErrClosed].
func (s *Sink) Write(ctx context.Context, events []*inlet.Event) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	known := s.refresh(ctx)
	if known.weak != nil {
		return known.weak
	}
	b := s.batches.Get().(*batch)
	b.fill(s.opts.Prefix, events)
	w := &write{sink: s, ctx: ctx, batch: b, stream: known}
	err := w.run()
	if !w.abandoned && !b.isLarge() {
		s.batches.Put(b)
	}
	return err
}

// A write is one call: its messages, and the events that have failed.
type write struct {
	sink      *Sink
	ctx       context.Context
	batch     *batch
	stream    *stream
	done      int  // events whose outcome is known
	abandoned bool // the messages may still be in use by what sends them
	failed    sinkkit.Failures
}

// run stores the events part by part, until one fails temporarily.
func (w *write) run() error {
	n := len(w.batch.messages)
	for w.done < n {
		from := w.done
		if err := w.part(from, w.partEnd(from)); err != nil {
			err = w.sink.classify(w.ctx, "write", false, err)
			if w.done == 0 {
				return err
			}
			w.failed.AddAll(w.done, n, err)
			break
		}
	}
	return w.failed.Err()
}

// partEnd returns the end of the batch that begins with the event at from. An event that is too
// large for the stream is a batch of its own.
func (w *write) partEnd(from int) int {
	if w.tooLarge(from) {
		return from + 1
	}
	bytes := w.batch.size(from)
	return sinkkit.PartEnd(from, len(w.batch.messages), int(w.sink.limit.Load()), func(_, to int) bool {
		bytes += w.batch.size(to - 1)
		return bytes <= w.sink.opts.MaxBytes && !w.tooLarge(to-1)
	})
}

// tooLarge reports whether an event would probably be refused for its size, so that it must not be
// in a batch with others. Whether it is refused, the server decides.
func (w *write) tooLarge(i int) bool { return w.batch.size(i) > w.stream.maxSize }

// part stores the events from:to, and moves done behind each event whose outcome is known. It
// returns a temporary error, which is that of the events from done on.
func (w *write) part(from, to int) error {
	switch {
	case to-from == 1:
		_, err := w.one(from)
		return err
	case !w.stream.atomic.Load():
		return w.allAtOnce(from, to)
	}
	err := w.atomic(from, to)
	switch {
	case err == nil:
		w.done = to
		w.sink.stat.batches.Add(1)
		w.sink.stat.stored.Add(uint64(to - from))
		return nil
	case lacksAtomic(err):
		w.stream.atomic.Store(false)
		w.sink.tellPlain(err.Error())
		return w.allAtOnce(from, to)
	case codeOf(err) == codeIncomplete:
		w.stream.stale.Store(true) // perhaps it accepts only smaller messages now
	}
	if !isPartial(err) {
		return err
	}
	return w.narrow(from, to, err)
}

// fewEvents is how many events are published one after the other rather than as two batches.
const fewEvents = 16

// narrow stores the events of a batch that was refused because of some of them, in order: each part
// once the part before it is stored. Those at the beginning that are stored already, as after a
// crash, are found one by one. What is left is a batch again, or two if none was found.
func (w *write) narrow(from, to int, err error) error {
	if codeOf(err) == codeTooManyEvents {
		w.sink.limit.Store(int64(max(1, (to-from)/2)))
		return w.halves(from, to)
	}
	fresh := false
	for w.done < to && (!fresh || to-from <= fewEvents) {
		duplicate, err := w.one(w.done)
		if err != nil {
			return err
		}
		fresh = !duplicate
	}
	switch {
	case w.done == to:
		return nil
	case w.done == from+1: // the first one is not stored already
		return w.halves(w.done, to)
	}
	return w.part(w.done, to)
}

// halves stores the events from:to as two parts.
func (w *write) halves(from, to int) error {
	middle := from + (to-from)/2
	if middle > from {
		if err := w.part(from, middle); err != nil {
			return err
		}
	}
	return w.part(middle, to)
}

// atomic publishes the events from:to as one batch, which is stored as a whole or not at all.
func (w *write) atomic(from, to int) error {
	c := w.sink.inbox.begin(2, true)
	id := c.id(&w.sink.inbox)
	w.exchange(c, func() error {
		header := nats.Header{headerID: {""}, headerBatch: {id}, headerSequence: {""}}
		for i := from; i < to && !c.stopped.Load(); i++ {
			header[headerSequence][0] = strconv.Itoa(i - from + 1)
			reply := ""
			switch i {
			case from: // its answer says why the server refuses the batch, if it does
				reply = w.sink.inbox.reply(c, 0)
			case to - 1:
				header[headerCommit] = []string{"1"}
				reply = w.sink.inbox.reply(c, 1)
			}
			if err := w.publish(c, i, reply, header); err != nil {
				return err
			}
		}
		return nil
	})
	ack, _ := c.outcome(1)
	switch err := c.firstError(); {
	case err != nil:
		return err
	case ack.Stream != w.sink.opts.Stream:
		return fmt.Errorf("%w: %s", errOtherStream, ack.Stream)
	case ack.Batch == "":
		return errOldServer
	case ack.Batch != id || ack.Count != to-from:
		return fmt.Errorf("%w: %d of %d", errCount, ack.Count, to-from)
	}
	return nil
}

// id returns the name of the batch of a call, which no other batch of any client has.
func (c *call) id(b *inbox) string {
	const longest = 64
	name := strconv.FormatUint(c.number, 36) + "."
	prefix := b.prefix // what is random in it is at its end
	return name + prefix[max(0, len(prefix)-(longest-len(name))):]
}

// allAtOnce publishes the events from:to without waiting for each other's answers. It returns the
// first temporary error; each event has its own outcome.
func (w *write) allAtOnce(from, to int) (first error) {
	c := w.sink.inbox.begin(to-from, false)
	w.exchange(c, func() error {
		header := nats.Header{headerID: {""}}
		for i := from; i < to && !c.stopped.Load(); i++ {
			if err := w.publish(c, i, w.sink.inbox.reply(c, i-from), header); err != nil {
				return err
			}
		}
		return nil
	})
	for i := from; i < to; i++ {
		if _, err := w.settle(i, c, i-from); err != nil {
			w.failed.Add(i, w.sink.classify(w.ctx, "write", false, err))
			if first == nil {
				first = err
			}
		}
	}
	w.done = to
	return first
}

// one publishes the i-th event by itself, and moves done behind it. It reports whether the stream
// had it already.
func (w *write) one(i int) (duplicate bool, err error) {
	c := w.sink.inbox.begin(1, false)
	w.exchange(c, func() error {
		return w.publish(c, i, w.sink.inbox.reply(c, 0), nats.Header{headerID: {""}})
	})
	duplicate, err = w.settle(i, c, 0)
	if err == nil {
		w.done = i + 1
	}
	return duplicate, err
}

// publish sends the i-th message of the Write as one of a call. The connection copies it. If there
// is no connection it waits for one, except in the middle of a call: messages before it may be
// lost.
func (w *write) publish(c *call, i int, reply string, header nats.Header) error {
	header[headerID][0] = w.batch.messages[i].id
	m := nats.Msg{Subject: w.batch.messages[i].subject, Reply: reply, Header: header, Data: w.batch.payload(i)}
	err := w.sink.nc.PublishMsg(&m)
	for begin := time.Now(); errors.Is(err, nats.ErrReconnectBufExceeded) && !c.begun && time.Since(begin) < w.sink.patience; {
		if c.stopped.Load() {
			return err
		}
		time.Sleep(reconnectWait / 20)
		err = w.sink.nc.PublishMsg(&m)
	}
	c.begun = true
	return err
}

// exchange sends the messages of a call in a goroutine, since a connection that hangs does not
// return, and waits for the end of the call.
func (w *write) exchange(c *call, send func() error) {
	defer w.sink.inbox.end(c)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := send(); err != nil {
			c.fail(err)
		}
	}()
	w.await(c, sent)
	select {
	case <-sent:
	default: // it has stopped early, or is about to end
		if !w.awaitSent(sent) {
			w.abandoned = true // also if a later call of the Write ends in time
		}
	}
}

// await waits for the end of a call, which ends AckTimeout after its last message was sent at the
// latest.
func (w *write) await(c *call, sent <-chan struct{}) {
	timer := time.NewTimer(w.sink.opts.AckTimeout)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-w.ctx.Done():
			c.fail(w.ctx.Err())
		case <-timer.C:
			c.fail(errTimeout)
		case <-sent:
			sent = nil
			timer.Reset(w.sink.opts.AckTimeout)
		}
	}
}

// sendPatience is how long to wait for a message that is being sent for a call that is over.
const sendPatience = 100 * time.Millisecond

// awaitSent waits until nothing is sent any more, and reports whether that is so.
func (w *write) awaitSent(sent <-chan struct{}) bool {
	timer := time.NewTimer(sendPatience)
	defer timer.Stop()
	select {
	case <-sent:
		return true
	case <-w.ctx.Done():
	case <-timer.C:
	}
	return false
}

// settle records the outcome of the i-th event, which was published by itself, from an answer to a
// call. It reports whether the stream had it already, and returns a temporary error.
func (w *write) settle(i int, c *call, index int) (duplicate bool, err error) {
	ack, err := c.outcome(index)
	stat := &w.sink.stat
	switch {
	case isTooLarge(err):
		stat.refused.Add(1)
		w.failed.Add(i, w.sink.classify(w.ctx, "write", true, err))
		return false, nil
	case err != nil:
		return false, err
	case ack.Stream != w.sink.opts.Stream:
		return false, fmt.Errorf("%w: %s", errOtherStream, ack.Stream)
	case ack.Duplicate:
		stat.duplicates.Add(1)
	default:
		stat.stored.Add(1)
	}
	stat.single.Add(1)
	return ack.Duplicate, nil
}
