package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
)

// A rig is a shadow whose copies are done when send returns.
type rig struct {
	*shadow

	stored *inlettest.Server
	file   bytes.Buffer
	logged bytes.Buffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{stored: inlettest.New(t, nil)}
	api, err := newAPI(r.stored.Sink())
	require.NoError(t, err)
	r.shadow = newShadow(&oldServer{key: writeKey, out: &r.file}, layers(api), slog.New(slog.NewTextHandler(&r.logged, nil)))
	return r
}

func (r *rig) send(key, body string) (status int, answer string) {
	request := httptest.NewRequest("POST", "/events", io.NopCloser(strings.NewReader(body)))
	request.ContentLength = int64(len(body))
	request.SetBasicAuth(key, "")
	w := httptest.NewRecorder()
	ctx, gone := context.WithCancel(request.Context())
	r.ServeHTTP(w, request.WithContext(ctx))
	gone() // as a client that has its answer
	r.wait()
	return w.Code, w.Body.String()
}

func TestShadow(t *testing.T) {
	t.Parallel()
	const success = `{"success":true}`
	for _, c := range []struct {
		name, key, body string
		status          int
		logged, counts  string
	}{
		{"equal", writeKey, `{"event":"search","eventId":"1","properties":{"term":"x","n":12345678901234567890,"user":{"id":"u"}}}`, 200, "", "1 requests compared, 0 of them different; 0 left out"},
		{"equal, without an id", writeKey, `{"event":"search"}`, 200, "", "1 requests compared, 0 of them different; 0 left out"},
		{"refused by both", writeKey, `{"event":`, 400, "", "1 requests compared, 0 of them different; 0 left out"},
		{"refused by the new one", writeKey, `{"eventId":"1","properties":{"a":1}}`, 200, "event_name_required", "1 requests compared, 1 of them different; 0 left out"},
		{"stored differently", writeKey, `{"event":"search","eventId":"1","properties":{"event_name":"other"}}`, 200, "properties.event_name", "1 requests compared, 1 of them different; 0 left out"},
		{"not read by the old one", "guessed", `{"event":"search"}`, 401, "", "0 requests compared, 0 of them different; 1 left out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			status, answer := r.send(c.key, c.body)
			require.Equal(t, c.status, status)
			if status == 200 {
				require.Equal(t, success, answer)
				require.Equal(t, c.body+"\n", r.file.String(), "as the client sent it")
			}
			require.Contains(t, r.logged.String(), c.logged)
			require.Equal(t, c.logged == "", r.logged.Len() == 0, r.logged.String())
			require.Equal(t, c.counts, r.String())
		})
	}
	t.Run("the new one stores version 2.0", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.send(writeKey, `{"event":"search","eventId":"1","properties":{"term":"x","user":{"id":"u"}}}`)
		e := r.stored.RequireTracked(t, "search", inlettest.Props{"term": "x"})
		require.Equal(t, "u", e.UserID)
	})
	t.Run("the new one is down", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.stored.FailNext(inlet.ErrClosed)
		status, answer := r.send(writeKey, `{"event":"search","eventId":"1"}`)
		require.Equal(t, 200, status)
		require.Equal(t, success, answer)
		require.Contains(t, r.logged.String(), "sink_unavailable")
	})
	t.Run("the new one panics", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.next = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		status, _ := r.send(writeKey, `{"event":"search","eventId":"1"}`)
		require.Equal(t, 200, status)
		require.Contains(t, r.logged.String(), "panic: net/http: abort Handler")
	})
	t.Run("the new one is slow", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		for range maxCopies {
			r.slots <- struct{}{}
		}
		status, _ := r.send(writeKey, `{"event":"search","eventId":"1"}`)
		require.Equal(t, 200, status)
		require.Equal(t, "0 requests compared, 0 of them different; 1 left out", r.String())
	})
	t.Run("a body too large to copy", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.old = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		r.send(writeKey, strings.Repeat(" ", maxCopy+1))
		require.Equal(t, "0 requests compared, 0 of them different; 1 left out", r.String())
	})
}
