package bench

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// This file is the endpoint that a team could write itself: it knows one key, bounds the body,
// checks that events name themselves and a user, and keeps each as a line of a file.

// MaxBody is the longest body of an endpoint by hand, in bytes.
const MaxBody = 512_000

var (
	errKey   = errors.New("unknown write key")
	errEvent = errors.New("no messageId, or neither userId nor anonymousId")
)

// A Store keeps lines. Add returns when they are kept, and may be called concurrently. Close comes
// after all other calls.
type Store interface {
	Add(lines []byte) error
	Close() error
}

// ByHand returns the endpoint for single events, or for batches.
func ByHand(s Store, batch bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusBadRequest
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		if err == nil {
			status, err = Accept(s, r.Header.Get("Authorization"), body, batch)
		}
		if err != nil {
			http.Error(w, http.StatusText(status), status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"success":true}`)
	}
}

// Accept keeps the events of a body and returns the status of the answer.
func Accept(s Store, authorization string, body []byte, batch bool) (status int, err error) {
	if !known(authorization) {
		return http.StatusUnauthorized, errKey
	}
	lines, err := linesOf(body, batch)
	if err != nil {
		return http.StatusBadRequest, err
	}
	if err := s.Add(lines); err != nil {
		return http.StatusServiceUnavailable, err
	}
	return http.StatusOK, nil
}

// known reports whether an Authorization header has the write key.
func known(authorization string) bool {
	encoded, ok := strings.CutPrefix(authorization, "Basic ")
	if !ok {
		return false
	}
	user, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && subtle.ConstantTimeCompare(user, []byte(WriteKey+":")) == 1
}

// linesOf checks the events of a body and returns each as a line.
func linesOf(body []byte, batch bool) ([]byte, error) {
	if !batch {
		return lineOf(make([]byte, 0, len(body)+1), body)
	}
	var b struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	var err error
	lines := make([]byte, 0, len(body))
	for _, event := range b.Batch {
		if lines, err = lineOf(lines, event); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// lineOf appends an event to lines.
func lineOf(lines, event []byte) ([]byte, error) {
	var e struct {
		MessageID   string `json:"messageId"`
		UserID      string `json:"userId"`
		AnonymousID string `json:"anonymousId"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	if e.MessageID == "" || e.UserID == "" && e.AnonymousID == "" {
		return nil, errEvent
	}
	if bytes.IndexByte(event, '\n') < 0 {
		return append(append(lines, event...), '\n'), nil
	}
	compact := bytes.NewBuffer(lines)
	err := json.Compact(compact, event)
	return append(compact.Bytes(), '\n'), err
}

// CreateEvents opens the file of a store in a directory, to be appended to.
func CreateEvents(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "events.ndjson"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// Flush flushes a file as the journal does.
func Flush(f *os.File) error { return os.NewSyscallError("fdatasync", syscall.Fdatasync(int(f.Fd()))) }

// A groupCommit writes and flushes together what arrives while it flushes.
type groupCommit struct {
	file  *os.File
	mu    sync.Mutex
	next  *group
	wake  chan struct{}
	ended sync.WaitGroup
}

type group struct {
	lines []byte
	done  chan struct{}
	err   error // once it is done
}

func newGroup(lines []byte) *group { return &group{lines: lines[:0], done: make(chan struct{})} }

// OpenGroupCommit returns a store in a directory that flushes together what arrives while it
// flushes, before Add returns.
func OpenGroupCommit(dir string) (Store, error) {
	file, err := CreateEvents(dir)
	if err != nil {
		return nil, err
	}
	g := &groupCommit{file: file, next: newGroup(nil), wake: make(chan struct{}, 1)}
	g.ended.Go(g.commit)
	return g, nil
}

// Add returns once the lines are flushed.
func (g *groupCommit) Add(lines []byte) error {
	g.mu.Lock()
	mine := g.next
	mine.lines = append(mine.lines, lines...)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	<-mine.done
	return mine.err
}

// commit commits one group after the other. Two groups take turns to use the same memory.
func (g *groupCommit) commit() {
	var spare []byte
	for range g.wake {
		g.mu.Lock()
		now := g.next
		g.next = newGroup(spare)
		g.mu.Unlock()
		if len(now.lines) > 0 {
			if _, now.err = g.file.Write(now.lines); now.err == nil {
				now.err = Flush(g.file)
			}
		}
		close(now.done)
		spare = now.lines
	}
}

// Close waits for the last group, and closes the file.
func (g *groupCommit) Close() error {
	close(g.wake)
	g.ended.Wait()
	return g.file.Close()
}
