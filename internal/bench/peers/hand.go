//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/bench"
)

// What the endpoints written by hand have in common: a key, a limit on the body, and events that
// name themselves and a user.

const (
	maxBody  = 512_000
	answer   = `{"success":true}`
	jsonType = "application/json"
)

var (
	errKey   = errors.New("unknown write key")
	errEvent = errors.New("no messageId, or neither userId nor anonymousId")
)

// known reports whether an Authorization header has the write key.
func known(authorization string) bool {
	encoded, ok := strings.CutPrefix(authorization, "Basic ")
	if !ok {
		return false
	}
	user, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && subtle.ConstantTimeCompare(user, []byte(bench.WriteKey+":")) == 1
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

// accept keeps the events of a body and returns the status of the answer.
func accept(s store, authorization string, body []byte, batch bool) (status int, err error) {
	if !known(authorization) {
		return http.StatusUnauthorized, errKey
	}
	lines, err := linesOf(body, batch)
	if err != nil {
		return http.StatusBadRequest, err
	}
	if err := s.add(lines); err != nil {
		return http.StatusServiceUnavailable, err
	}
	return http.StatusOK, nil
}

// byHand returns the start of a net/http server with a store.
func byHand(open func(dir string) (store, error)) func(dir string) (stop func() error, err error) {
	return func(dir string) (func() error, error) {
		s, err := open(dir)
		if err != nil {
			return nil, err
		}
		mux := http.NewServeMux()
		mux.Handle("POST "+segment.single, handler(s, false))
		mux.Handle("POST "+segment.batch, handler(s, true))
		return serveHTTP(mux, s.close)
	}
}

func handler(s store, batch bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusBadRequest
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil {
			status, err = accept(s, r.Header.Get("Authorization"), body, batch)
		}
		if err != nil {
			http.Error(w, http.StatusText(status), status)
			return
		}
		w.Header().Set("Content-Type", jsonType)
		_, _ = io.WriteString(w, answer)
	}
}

// serveHTTP serves on a free port. The end of the server is followed by what is to be closed.
func serveHTTP(h http.Handler, closers ...func() error) (stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	return serveOn(server, listener, closers...), nil
}

func serveOn(server *http.Server, listener net.Listener, closers ...func() error) (stop func() error) {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		all := []error{server.Shutdown(context.Background())}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			all = append(all, err)
		}
		for _, c := range closers {
			all = append(all, c())
		}
		return errors.Join(all...)
	}
}
