package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What copies may cost: those that would cost more are left out, and counted.
const (
	maxCopy   = 512 << 10 // bytes of a body
	maxCopies = 16        // concurrently
	patience  = 10 * time.Second
)

// A shadow is a handler that has an old server answer every request, and then has a new server
// handle a copy, whose answer is dropped. Whatever the new one does, the client does not notice:
// it gets the answer of the old one, and does not wait.
type shadow struct {
	old, next http.Handler
	log       *slog.Logger
	slots     chan struct{}
	copies    sync.WaitGroup

	compared, different, leftOut atomic.Uint64
}

func newShadow(old, next http.Handler, log *slog.Logger) *shadow {
	return &shadow{old: old, next: next, log: log, slots: make(chan struct{}, maxCopies)}
}

// ServeHTTP answers as the old server does.
func (s *shadow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := new(trial)
	given := r.WithContext(context.WithValue(r.Context(), trialKey{}, t))
	next := given.Clone(given.Context()) // before the old server can change its headers
	body := &tee{ReadCloser: r.Body}
	given.Body = body
	s.old.ServeHTTP(w, given)
	if !body.complete(r.ContentLength) {
		s.leftOut.Add(1)
		return
	}
	select {
	case s.slots <- struct{}{}:
		s.copies.Go(func() {
			defer func() { <-s.slots }()
			s.try(next, body.text.Bytes(), t)
		})
	default:
		s.leftOut.Add(1)
	}
}

// wait returns when the copies in flight are done.
func (s *shadow) wait() { s.copies.Wait() }

// String returns the counts.
func (s *shadow) String() string {
	return fmt.Sprintf("%d requests compared, %d of them different; %d left out", s.compared.Load(), s.different.Load(), s.leftOut.Load())
}

// try has the new server handle a copy. Its client has its answer already and may have gone.
func (s *shadow) try(r *http.Request, body []byte, t *trial) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	ctx = context.WithValue(ctx, http.ServerContextKey, nil) // there is no connection behind the writer
	r = r.WithContext(ctx)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	defer func() {
		if cause := recover(); cause != nil { // also http.ErrAbortHandler: the server is not here to catch it
			t.reasons = append(t.reasons, fmt.Sprint("panic: ", cause))
		}
		s.compared.Add(1)
		if differences := t.differences(); len(differences) > 0 {
			s.different.Add(1)
			s.log.Warn("shadow: the new server differs", "path", r.URL.Path, "differences", differences, "reasons", t.reasons)
		}
	}()
	s.next.ServeHTTP(dropped{}, r)
}

// dropped is a writer for an answer that is not sent.
type dropped http.Header

// Header implements [http.ResponseWriter].
func (d dropped) Header() http.Header { return http.Header(d) }

// Write implements [http.ResponseWriter].
func (dropped) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (dropped) WriteHeader(int) {}

// A tee is the body of a request, and keeps what is read of it.
type tee struct {
	io.ReadCloser

	text  bytes.Buffer
	read  int64
	ended bool
}

// Read reads from the body.
func (t *tee) Read(p []byte) (n int, err error) {
	n, err = t.ReadCloser.Read(p)
	if t.read += int64(n); t.read <= maxCopy {
		t.text.Write(p[:n])
	}
	t.ended = t.ended || err == io.EOF
	return n, err
}

// complete reports whether all of the body has been read and kept. A server that refuses a request
// does not read it.
func (t *tee) complete(length int64) bool {
	return t.read <= maxCopy && (t.ended || t.read == length)
}
