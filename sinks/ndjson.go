package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// NDJSONOptions are the options of [NewNDJSON]. nil and the zero value stand for
// the defaults.
type NDJSONOptions struct {
	// Durability is what the writer is worth, which an io.Writer does not tell:
	// for a file [inlet.DurabilityOSBuffer] or [inlet.DurabilityFsync], for a
	// buffer in memory [inlet.DurabilityMemory]. The sink declares it and does
	// its part: from DurabilityOSBuffer on every Write ends with the writer's
	// Flush() error, from DurabilityFsync on with its Sync() error too, if it
	// has them. Defaults to [inlet.DurabilityUnknown].
	Durability inlet.Durability
}

// NDJSON is a sink that writes events to an [io.Writer] as newline-delimited
// JSON, each in its canonical form ([inlet.Event.AppendJSON]). Make one with
// [NewNDJSON].
//
// Each Write is one call to the writer, and these calls never overlap. If the
// writer returns an error or takes less than all, the whole batch has failed; a
// retry may then repeat lines that had been written. If what was taken ends
// within a line, the next Write begins on a new one, so that a torn line spoils
// none but itself: a reader skips a line that is no JSON.
//
// Context: a Write waits for those before it only until its context is done.
// Nothing can interrupt the writer itself.
type NDJSON struct {
	w          io.Writer
	durability inlet.Durability
	buffers    sync.Pool // of *[]byte
	closed     atomic.Bool

	turn    chan struct{} // holds one token while somebody uses what follows
	torn    bool          // the writer's last line may have no end
	drained bool          // Close has flushed
}

// NewNDJSON returns a sink that writes to w. The writer stays the caller's:
// Close flushes it and does not close it. A nil writer and a durability that is
// none of the constants are errors.
func NewNDJSON(w io.Writer, o *NDJSONOptions) (*NDJSON, error) {
	if w == nil {
		return nil, errors.New("sinks: NDJSON: the writer is nil")
	}
	s := &NDJSON{w: w, turn: make(chan struct{}, 1)}
	if o != nil {
		s.durability = o.Durability
	}
	if s.durability < inlet.DurabilityUnknown || s.durability > inlet.DurabilityReplicated {
		return nil, fmt.Errorf("sinks: NDJSONOptions.Durability: %v is not known", s.durability)
	}
	return s, nil
}

// Write writes the events, one line each, in one call to the writer. Every
// error stands for the whole batch and is temporary; after Close it is
// [inlet.ErrClosed].
func (s *NDJSON) Write(ctx context.Context, events []*inlet.Event) error {
	buf := s.buffer()
	*buf = append(*buf, '\n') // for the end of a torn line, if there is one
	for _, e := range events {
		*buf = append(e.AppendJSON(*buf), '\n')
	}
	err := s.write(ctx, *buf)
	s.recycle(buf)
	return err
}

// write writes lines, which begins with a newline that is only written where a
// torn line needs it.
func (s *NDJSON) write(ctx context.Context, lines []byte) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.closed.Load() {
		return inlet.ErrClosed
	}
	if !s.torn {
		lines = lines[1:]
	}
	if err := s.put(lines); err != nil {
		return err
	}
	if s.durability < inlet.DurabilityOSBuffer {
		return nil
	}
	return s.drain()
}

// put hands lines to the writer and keeps account of where it stopped. A writer
// that panics or lies about it is taken to have stopped within a line.
func (s *NDJSON) put(lines []byte) error {
	before := s.torn
	s.torn = true
	n, err := s.w.Write(lines)
	if err == nil && n != len(lines) {
		err = io.ErrShortWrite
	}
	switch {
	case n == 0:
		s.torn = before
	case n > 0 && n <= len(lines):
		s.torn = lines[n-1] != '\n'
	}
	if err != nil {
		return fmt.Errorf("sinks: NDJSON: wrote %d of %d bytes: %w", n, len(lines), err)
	}
	return nil
}

// drain takes what the writer holds as far as the declared durability says.
func (s *NDJSON) drain() error {
	var err error
	if f, ok := s.w.(interface{ Flush() error }); ok {
		err = f.Flush()
	}
	if f, ok := s.w.(interface{ Sync() error }); ok && err == nil && s.durability >= inlet.DurabilityFsync {
		err = f.Sync()
	}
	if err != nil {
		s.torn = true
		return fmt.Errorf("sinks: NDJSON: flush: %w", err)
	}
	return nil
}

// Flush calls the writer's Flush() error, if it has one, and its Sync() error,
// if it has one and the declared durability is [inlet.DurabilityFsync] or more.
func (s *NDJSON) Flush(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	return s.drain()
}

// Close flushes as Flush does and makes every later Write fail with
// [inlet.ErrClosed]. If the flush fails, Close may be called again to repeat it;
// once it has succeeded, Close returns nil and does nothing.
func (s *NDJSON) Close(ctx context.Context) error {
	s.closed.Store(true)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.drained {
		return nil
	}
	err := s.drain()
	s.drained = err == nil
	return err
}

// Check returns [inlet.ErrClosed] after Close, else nil: what the writer would
// say is not known before it is written to.
func (s *NDJSON) Check(context.Context) error {
	if s.closed.Load() {
		return inlet.ErrClosed
	}
	return nil
}

// Durability returns what the options say.
func (s *NDJSON) Durability() inlet.Durability { return s.durability }

// lock waits for the writer. It is a channel because a mutex cannot be given up
// on when the context is done.
func (s *NDJSON) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *NDJSON) unlock() { <-s.turn }

// maxPooledBuffer is the largest buffer that is kept for reuse: one that a rare
// huge batch has grown is not held for ever.
const maxPooledBuffer = 1 << 20

func (s *NDJSON) buffer() *[]byte {
	if buf, ok := s.buffers.Get().(*[]byte); ok {
		return buf
	}
	return new([]byte)
}

// recycle keeps buf for another Write. It is not deferred: the buffer of a Write
// that panicked is left to the collector.
func (s *NDJSON) recycle(buf *[]byte) {
	if cap(*buf) > maxPooledBuffer {
		return
	}
	*buf = (*buf)[:0]
	s.buffers.Put(buf)
}
