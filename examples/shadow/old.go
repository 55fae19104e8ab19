package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// oldServer is the existing server, which knows nothing of Inlet, except that it calls note.
type oldServer struct {
	key string
	mu  sync.Mutex
	out io.Writer
}

// ServeHTTP stores an event of version 1.0.
func (s *oldServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, _, _ := r.BasicAuth(); user != s.key {
		http.Error(w, `{"success":false}`, http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<10))
	var e eventV1
	if err != nil || json.Unmarshal(body, &e) != nil {
		http.Error(w, `{"success":false}`, http.StatusBadRequest)
		return
	}
	if err := s.store(r.Context(), &e, body); err != nil {
		http.Error(w, `{"success":false}`, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"success":true}`)
}

func (s *oldServer) store(ctx context.Context, e *eventV1, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(append(text, '\n')); err != nil {
		return err
	}
	if t := trialOf(ctx); t != nil {
		t.old = append(t.old, e.record())
	}
	return nil
}

// eventV1 is what the old server reads of an event.
type eventV1 struct {
	Event      string                     `json:"event"`
	EventID    string                     `json:"eventId"`
	Properties map[string]json.RawMessage `json:"properties"`
}

// record returns what the new server should store of the event.
func (e *eventV1) record() record {
	var user struct {
		ID string `json:"id"`
	}
	properties := map[string]json.RawMessage{}
	for name, value := range e.Properties {
		if name == "user" {
			_ = json.Unmarshal(value, &user)
			continue
		}
		properties[name] = value
	}
	return record{id: e.EventID, name: e.Event, user: user.ID, properties: properties}
}
