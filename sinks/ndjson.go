package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// NDJSONOptions configure [NewNDJSON]. A nil pointer means all defaults.
type NDJSONOptions struct {
	// Durability is the durability of the writer, which an io.Writer does not declare: for a
	// file [inlet.DurabilityOSBuffer] or [inlet.DurabilityFsync], for a buffer in memory
	// [inlet.DurabilityMemory]. The sink declares it and does its part: from
	// DurabilityOSBuffer on, every Write ends with the writer's method Flush() error, from
	// DurabilityFsync on also with its method Sync() error, if the writer has them. Defaults
	// to [inlet.DurabilityUnknown].
	Durability inlet.Durability
}

// NDJSON is a sink that writes events to an [io.Writer] as newline-delimited JSON, each in
// its canonical form ([inlet.Event.AppendJSON]). Make one with [NewNDJSON].
//
// Each Write is one call of the writer, and these calls never overlap. If the writer returns
// an error or writes less than all, the whole batch has failed; a retry may then repeat
// lines that were written. If the written bytes end within a line, the next Write begins
// with a line break, so that a torn line damages no other: readers must skip lines that are
// not valid JSON.
//
// Context: a Write waits for those before it only until its context is done. Nothing can
// interrupt the writer itself.
type NDJSON struct {
	w          io.Writer
	durability inlet.Durability
	buffers    sync.Pool // of *[]byte
	closed     atomic.Bool

	lock    chan struct{} // holds one token while a call uses the fields below
	torn    bool          // the last line in the writer may be incomplete
	flushed bool          // Close has flushed
}

// NewNDJSON returns a sink that writes to w. The caller keeps the writer: Close flushes it
// and does not close it. NewNDJSON returns an error if w is nil or if the durability is not
// one of the constants.
func NewNDJSON(w io.Writer, o *NDJSONOptions) (*NDJSON, error) {
	s := &NDJSON{w: w, lock: make(chan struct{}, 1)}
	if o != nil {
		s.durability = o.Durability
	}
	if err := errors.Join(
		check.Options("sinks", "NewNDJSON", check.NotNil("w", w == nil)),
		check.Options("sinks", "NDJSONOptions", check.Known("Durability", s.durability, inlet.DurabilityUnknown,
			inlet.DurabilityMemory, inlet.DurabilityOSBuffer, inlet.DurabilityFsync, inlet.DurabilityReplicated)),
	); err != nil {
		return nil, err
	}
	return s, nil
}

// Write writes the events, one line each, in one call of the writer. Every error is for the
// whole batch and is temporary; after Close it is [inlet.ErrClosed].
func (s *NDJSON) Write(ctx context.Context, events []*inlet.Event) error {
	buf := s.buffer()
	*buf = append(*buf, '\n') // ends a torn line, if there is one
	for _, e := range events {
		*buf = append(e.AppendJSON(*buf), '\n')
	}
	err := s.write(ctx, *buf)
	s.recycle(buf)
	return err
}

// write writes lines, which begins with a line break that is written only after a torn line.
func (s *NDJSON) write(ctx context.Context, lines []byte) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
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
	return s.flush()
}

// put passes lines to the writer and records whether it stopped within a line. So it does
// after a panic, or if the writer returns an impossible count.
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

// flush flushes the writer as far as the declared durability requires.
func (s *NDJSON) flush() error {
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

// Flush calls the writer's method Flush() error, if it has one, and its method Sync() error,
// if it has one and the declared durability is [inlet.DurabilityFsync] or more.
func (s *NDJSON) Flush(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.flush()
}

// Close flushes as Flush does and makes every later Write fail with [inlet.ErrClosed]. If
// the flush fails, Close may be called again to retry it; once it has succeeded, Close
// returns nil and does nothing.
func (s *NDJSON) Close(ctx context.Context) error {
	s.closed.Store(true)
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if s.flushed {
		return nil
	}
	err := s.flush()
	s.flushed = err == nil
	return err
}

// Check returns [inlet.ErrClosed] after Close and nil otherwise: whether the writer works is
// only known by writing to it.
func (s *NDJSON) Check(context.Context) error {
	if s.closed.Load() {
		return inlet.ErrClosed
	}
	return nil
}

// Durability returns NDJSONOptions.Durability.
func (s *NDJSON) Durability() inlet.Durability { return s.durability }

// acquire waits for the lock of the writer. That is a channel because waiting for a mutex
// does not end with the context.
func (s *NDJSON) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *NDJSON) release() { <-s.lock }

// maxPooledBuffer is the largest buffer that is kept for reuse, so that the memory of a rare
// huge batch is freed.
const maxPooledBuffer = 1 << 20

func (s *NDJSON) buffer() *[]byte {
	if buf, ok := s.buffers.Get().(*[]byte); ok {
		return buf
	}
	return new([]byte)
}

// recycle keeps buf for another Write. It is not deferred: the buffer of a Write that
// panicked is left to the garbage collector.
func (s *NDJSON) recycle(buf *[]byte) {
	if cap(*buf) > maxPooledBuffer {
		return
	}
	*buf = (*buf)[:0]
	s.buffers.Put(buf)
}
