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

// A csvSink appends events to a CSV file, one row each, for a loader that reads
// CSV. The last column is the whole event. (For a spreadsheet, which takes a cell
// that begins with "=" for a formula, it is not made: clients choose the text.)
//
// A nil from Write means that the operating system has the rows: they survive
// the end of the process, not of the machine.
type csvSink struct {
	mu     sync.Mutex
	file   *os.File
	size   int64 // of the whole rows in the file
	closed bool
}

var _ interface {
	inlet.Sink
	inlet.Closer
	inlet.Durable
} = (*csvSink)(nil)

var header = []string{"received_at", "source", "type", "name", "message_id", "user_id", "anonymous_id", "event"}

// openCSV makes the file if it is not there, and goes on behind its last row if
// it is.
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

// begin writes the header into a file that is empty.
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

// Write makes the text outside of the lock. The events are lent until it
// returns, and nothing of them is kept, so there is nothing to clone.
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
		return err // nobody waits for the answer any more
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
	_ = csv.NewWriter(&text).WriteAll(records) // a buffer takes everything
	return text.Bytes()
}

// append writes all of text or none: what a full disk has cut off is taken back,
// so that the next row begins on a line of its own. The error is not marked as
// permanent: the client will send the events again.
func (s *csvSink) append(text []byte) error {
	n, err := s.file.Write(text)
	if err != nil {
		if n > 0 {
			err = fmt.Errorf("%w (rows taken back: %v)", err, s.file.Truncate(s.size))
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

// Durability says what a nil from Write is worth.
func (s *csvSink) Durability() inlet.Durability { return inlet.DurabilityOSBuffer }
