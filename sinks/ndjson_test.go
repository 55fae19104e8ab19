package sinks_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks"
)

var errWriter = errors.New("writer failed")

// tearing is a writer that accepts only a part of each of its first writes.
type tearing struct {
	bytes.Buffer
	takes []int
	err   error
	calls int
}

func (w *tearing) Write(p []byte) (int, error) {
	w.calls++
	if len(w.takes) == 0 {
		return w.Buffer.Write(p)
	}
	n := min(w.takes[0], len(p))
	w.takes = w.takes[1:]
	w.Buffer.Write(p[:n])
	return n, w.err
}

func newNDJSON(t testing.TB, w io.Writer, o *sinks.NDJSONOptions) *sinks.NDJSON {
	s, err := sinks.NewNDJSON(w, o)
	require.NoError(t, err)
	return s
}

func line(id string) string { return string(event(id).AppendJSON(nil)) + "\n" }

func TestNDJSON(t *testing.T) {
	t.Parallel()

	t.Run("one line per event, one write per call", func(t *testing.T) {
		t.Parallel()
		var w tearing
		s := newNDJSON(t, &w, nil)
		sent := events("a", "b")
		sent[0].Properties = json.RawMessage("{\n\"n\":1}")
		require.NoError(t, s.Write(t.Context(), sent))
		require.NoError(t, s.Write(t.Context(), events("c")))
		require.Equal(t, 2, w.calls)
		lines := strings.SplitAfter(w.String(), "\n")
		require.Len(t, lines, 4)
		require.Contains(t, lines[0], `"properties":{"n":1}`)
		require.Equal(t, []string{line("b"), line("c"), ""}, lines[1:])
	})

	t.Run("an error of the writer fails the batch", func(t *testing.T) {
		t.Parallel()
		w := tearing{takes: []int{0}, err: errWriter}
		s := newNDJSON(t, &w, nil)
		err := s.Write(t.Context(), events("a", "b"))
		require.ErrorIs(t, err, errWriter)
		require.False(t, inlet.IsPermanent(err))
		requireFailed(t, []int{0, 1}, err, 2)
	})

	t.Run("a short write fails the batch", func(t *testing.T) {
		t.Parallel()
		w := tearing{takes: []int{5}}
		s := newNDJSON(t, &w, nil)
		require.ErrorIs(t, s.Write(t.Context(), events("a")), io.ErrShortWrite)
	})
}

func TestNDJSONTornLine(t *testing.T) {
	t.Parallel()
	whole := len(line("a"))
	tests := []struct {
		name  string
		takes []int
		want  string // before the line of z, which is written last
	}{
		{"a torn line gets a line break", []int{10}, line("a")[:10] + "\n"},
		{"a batch torn between lines does not", []int{whole}, line("a")},
		{"a line without its end is torn", []int{whole - 1}, line("a")[:whole-1] + "\n"},
		{"a failure that wrote nothing", []int{0}, ""},
		{"a line stays torn while nothing is written", []int{10, 0, 0}, line("a")[:10] + "\n"},
		{"the line break alone ends the torn line", []int{10, 1}, line("a")[:10] + "\n"},
		{"a second torn line", []int{10, 5}, line("a")[:10] + "\n" + line("a")[:4] + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tearing{takes: tt.takes, err: errWriter}
			s := newNDJSON(t, &w, nil)
			for range tt.takes {
				require.ErrorIs(t, s.Write(t.Context(), events("a", "b")), errWriter)
			}
			require.NoError(t, s.Write(t.Context(), events("z")))
			require.Equal(t, tt.want+line("z"), w.String())
		})
	}

	t.Run("panic of the writer", func(t *testing.T) {
		t.Parallel()
		w := &panicking{left: 1}
		s := newNDJSON(t, w, nil)
		require.Panics(t, func() { s.Write(t.Context(), events("a")) })
		require.NoError(t, s.Write(t.Context(), events("z")), "the sink is not locked")
		require.Equal(t, line("a")[:3]+"\n"+line("z"), w.String())
	})
}

type panicking struct {
	bytes.Buffer
	left int
}

func (w *panicking) Write(p []byte) (int, error) {
	if w.left > 0 {
		w.left--
		w.Buffer.Write(p[:3])
		panic("writer")
	}
	return w.Buffer.Write(p)
}

// file counts the calls of its methods.
type file struct {
	bufio.Writer
	under   bytes.Buffer
	flushes int
	syncs   int
	err     error
}

func newFile() *file {
	f := new(file)
	f.Writer.Reset(&f.under)
	return f
}

func (f *file) Flush() error {
	f.flushes++
	return errors.Join(f.Writer.Flush(), f.err)
}

func (f *file) Sync() error {
	f.syncs++
	return nil
}

func TestNDJSONDurability(t *testing.T) {
	t.Parallel()
	tests := []struct {
		durability     inlet.Durability
		flushes, syncs int // after a Write, a Flush and a Close
	}{
		{inlet.DurabilityUnknown, 2, 0},
		{inlet.DurabilityMemory, 2, 0},
		{inlet.DurabilityOSBuffer, 3, 0},
		{inlet.DurabilityFsync, 3, 3},
		{inlet.DurabilityReplicated, 3, 3},
	}
	for _, tt := range tests {
		t.Run(tt.durability.String(), func(t *testing.T) {
			t.Parallel()
			f := newFile()
			s := newNDJSON(t, f, &sinks.NDJSONOptions{Durability: tt.durability})
			require.Equal(t, tt.durability, inlet.DurabilityOf(s))
			require.NoError(t, s.Write(t.Context(), events("a")))
			require.NoError(t, s.Flush(t.Context()))
			require.Equal(t, line("a"), f.under.String())
			require.NoError(t, s.Close(t.Context()))
			require.NoError(t, s.Close(t.Context()))
			require.Equal(t, []int{tt.flushes, tt.syncs}, []int{f.flushes, f.syncs})
		})
	}

	t.Run("a failed flush fails the batch", func(t *testing.T) {
		t.Parallel()
		f := newFile()
		f.err = errWriter
		s := newNDJSON(t, f, &sinks.NDJSONOptions{Durability: inlet.DurabilityOSBuffer})
		require.ErrorIs(t, s.Write(t.Context(), events("a")), errWriter)
		require.ErrorIs(t, s.Flush(t.Context()), errWriter)
		f.err = nil
		require.NoError(t, s.Write(t.Context(), events("z")))
		require.Equal(t, line("a")+"\n"+line("z"), f.under.String(), "what the writer did is unknown")
	})

	t.Run("Close can be retried until it has flushed", func(t *testing.T) {
		t.Parallel()
		f := newFile()
		s := newNDJSON(t, f, nil)
		require.NoError(t, s.Write(t.Context(), events("a")))
		f.err = errWriter
		require.ErrorIs(t, s.Close(t.Context()), errWriter)
		require.ErrorIs(t, s.Write(t.Context(), events("b")), inlet.ErrClosed)
		require.ErrorIs(t, s.Check(t.Context()), inlet.ErrClosed)
		f.err = nil
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, line("a"), f.under.String())
	})
}

func TestNDJSONContext(t *testing.T) {
	t.Parallel()

	t.Run("ends the wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			s := newNDJSON(t, w, nil)
			require.NoError(t, s.Check(t.Context()))
			first := write(t, s, "a")
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, s.Write(ctx, events("b")), context.DeadlineExceeded)
			require.ErrorIs(t, s.Flush(ctx), context.DeadlineExceeded)
			require.ErrorIs(t, s.Write(ctx, events("c")), context.DeadlineExceeded, "and later")
			got := make([]byte, len(line("a")))
			_, err := io.ReadFull(r, got)
			require.NoError(t, err)
			require.NoError(t, <-first)
			require.Equal(t, line("a"), string(got))
		})
	})

	t.Run("done before the write", func(t *testing.T) {
		t.Parallel()
		var w tearing
		s := newNDJSON(t, &w, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 { // a select of two that are ready would let some pass
			require.ErrorIs(t, s.Write(ctx, events("a")), context.Canceled)
		}
		require.Zero(t, w.calls)
	})
}

func TestNDJSONAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates itself")
	}
	s := newNDJSON(t, io.Discard, nil)
	batch := distinct(100)
	got := testing.AllocsPerRun(100, func() { require.NoError(t, s.Write(t.Context(), batch)) })
	require.Zero(t, got)
}
