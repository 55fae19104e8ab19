package httpsink_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// jitsu answers a batch as Jitsu does: it counts the events that it has accepted, and names the
// others as name says, which is "" for an accepted one.
func jitsu(t testing.TB, r *http.Request, name func(id string) string) *http.Response {
	t.Helper()
	ids := idsOf(t, r)
	failed := []string{}
	for _, id := range ids {
		if text := name(id); text != "" {
			failed = append(failed, text)
		}
	}
	answer, err := json.Marshal(map[string]any{
		"ok": len(failed) == 0, "receivedEvents": len(ids), "okEvents": len(ids) - len(failed), "errors": failed,
	})
	require.NoError(t, err)
	return respond(http.StatusOK, string(answer))
}

func TestJitsu(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 9)
	for name, tt := range map[string]struct {
		ids      []string
		name     func(id string) string
		outcomes []string
		requests int
	}{
		"with names": {[]string{"a", "bad", "c"}, func(id string) string {
			if id == "bad" {
				return "Message ID: bad: event error: x: y"
			}
			return ""
		}, []string{"stored", "rejected", "stored"}, 1},
		"with names of other characters": {[]string{"a/1", "b:ä 2", "c"}, func(id string) string {
			if id == "b:ä 2" {
				return "Message ID: b___2: event error"
			}
			return ""
		}, []string{"stored", "rejected", "stored"}, 1},
		"with names that are cut": {[]string{long, "b" + long, "c"}, func(id string) string {
			if id == long {
				return "Message ID: " + long[:64] + ": event error"
			}
			return ""
		}, []string{"rejected", "stored", "stored"}, 1},
		"with one name of two, of which both failed": {[]string{"a/", "a:", "c"}, func(id string) string {
			if id != "c" {
				return "Message ID: a_: event error"
			}
			return ""
		}, []string{"rejected", "rejected", "stored"}, 1},
		"with one name of two, of which one failed": {[]string{"a/", "a:", "c"}, func(id string) string {
			if id == "a:" {
				return "Message ID: a_: event error"
			}
			return ""
		}, []string{"stored", "rejected", "stored"}, 3},
		"without names": {[]string{"a", "b", "bad", "d"}, func(id string) string {
			if id == "bad" {
				return "event error"
			}
			return ""
		}, []string{"stored", "stored", "rejected", "stored"}, 5},
		"all of them, without names": {[]string{"a", "b", "c"}, func(string) string { return "event error" },
			[]string{"rejected", "rejected", "rejected"}, 1},
		"one of one": {[]string{"a"}, func(string) string { return "event error" }, []string{"rejected"}, 1},
		"none":       {[]string{"a", "b"}, func(string) string { return "" }, []string{"stored", "stored"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			s := newOffline(t, func(r *http.Request) (*http.Response, error) {
				requests++
				return jitsu(t, r, tt.name), nil
			}, nil)
			err := s.Write(t.Context(), events(tt.ids...))
			require.Equal(t, tt.outcomes, outcomes(err, len(tt.ids)), "%v", err)
			require.Equal(t, tt.requests, requests)
		})
	}
	t.Run("down after an answer without names", func(t *testing.T) {
		t.Parallel()
		requests := 0
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			if requests++; requests > 1 {
				return respond(http.StatusServiceUnavailable, ""), nil
			}
			return respond(http.StatusOK, `{"ok":false,"receivedEvents":4,"okEvents":3,"errors":["x"]}`), nil
		}, nil)
		err := s.Write(t.Context(), events("a", "b", "c", "d"))
		require.Equal(t, []string{"rejected", "rejected", "rejected", "rejected"}, outcomes(err, 4), "all are settled")
		require.ErrorContains(t, err, "accepted only a part of the events, and does not say which")
		require.Equal(t, 3, requests)
	})
	t.Run("nothing is sent again and again", func(t *testing.T) {
		t.Parallel()
		var letters sinks.Memory
		sent := map[string]int{}
		s := newOffline(t, func(r *http.Request) (*http.Response, error) {
			return jitsu(t, r, func(id string) string {
				if sent[id]++; strings.HasSuffix(id, "7") {
					return "Message ID: " + id + ": event error"
				}
				return ""
			}), nil
		}, nil)
		d, err := sinks.NewDeadLetter(s, &letters, nil)
		require.NoError(t, err)
		ids := make([]string, 30)
		for i := range ids {
			ids[i] = fmt.Sprint("m", i)
		}
		require.NoError(t, d.Write(t.Context(), events(ids...)))
		require.Len(t, letters.Events(), 3)
		for id, n := range sent {
			require.Equal(t, 1, n, id)
		}
	})
	t.Run("one of one, by another name", func(t *testing.T) {
		t.Parallel()
		s := newOffline(t, func(*http.Request) (*http.Response, error) {
			return respond(http.StatusOK, `{"ok":false,"receivedEvents":1,"okEvents":0,"errors":["Message ID: x: event error"]}`), nil
		}, nil)
		require.True(t, inlet.IsPermanent(inlet.ItemErrors(s.Write(t.Context(), events("a")), 1)[0]))
	})
}
