package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// A csvSink appends events to a CSV file, one row each, for a loader that reads CSV. The last
// column is the whole event. It is not meant for a spreadsheet, which treats a cell that begins
// with "=" as a formula: clients choose the text.
//
// When Write returns nil, the operating system has the rows: they survive the end of the process,
// but not a power cut.
type csvSink struct {
	mu     sync.Mutex
	file   *os.File
	size   int64 // of the complete rows in the file
	closed bool
}

var _ interface {
	inlet.Sink
	inlet.Closer
	inlet.Durable
} = (*csvSink)(nil)

var header = []string{"received_at", "source", "type", "name", "message_id", "user_id", "anonymous_id", "event"}

// openCSV creates the file, or continues after the last row of an existing one.
func openCSV(path string) (*csvSink, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &csvSink{file: file}
	if err := s.begin(); err != nil {
		_ = file.Close()
		return nil, err
	}
	return s, nil
}

// begin writes the header into an empty file.
func (s *csvSink) begin() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if s.size = info.Size(); s.size > 0 {
		return nil
	}
	return s.append(rows(header))
}

// Write makes the text outside the lock. The events are borrowed until it returns; it keeps
// nothing of them, so it need not clone them.
func (s *csvSink) Write(ctx context.Context, events []*inlet.Event) error {
	records := make([][]string, len(events))
	for i, e := range events {
		records[i] = record(e)
	}
	text := rows(records...)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return inlet.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err // the client gets no answer, so it will retry
	}
	return s.append(text)
}

func record(e *inlet.Event) []string {
	return []string{
		e.ReceivedAt.Format(time.RFC3339Nano), e.Source.ID, string(e.Type), e.Name,
		e.MessageID, e.UserID, e.AnonymousID, string(e.AppendJSON(nil)),
	}
}

func rows(records ...[]string) []byte {
	var text bytes.Buffer
	_ = csv.NewWriter(&text).WriteAll(records) // writing to a buffer does not fail
	return text.Bytes()
}

// append writes all of text or nothing: a part that a full disk cut off is removed, so that the
// next row begins on a line of its own. The error is not marked as permanent, so the client will
// retry.
func (s *csvSink) append(text []byte) error {
	n, err := s.file.Write(text)
	if err != nil {
		if n > 0 {
			err = fmt.Errorf("%w (incomplete rows removed: %v)", err, s.file.Truncate(s.size))
		}
		return err
	}
	s.size += int64(n)
	return nil
}

// Close closes the file, once.
func (s *csvSink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.file.Close()
}

// Durability returns what the events survive once Write has returned nil.
func (s *csvSink) Durability() inlet.Durability { return inlet.DurabilityOSBuffer }
