package interop

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A call is one call of an SDK, in the form in which the JavaScript drivers read
// it. Content is the traits of identify and group and the properties of the rest.
type call struct {
	Type        string         `json:"type"`
	Name        string         `json:"name,omitempty"`
	MessageID   string         `json:"messageId"`
	UserID      string         `json:"userId,omitempty"`
	AnonymousID string         `json:"anonymousId,omitempty"`
	PreviousID  string         `json:"previousId,omitempty"`
	GroupID     string         `json:"groupId,omitempty"`
	Timestamp   time.Time      `json:"timestamp"`
	Content     map[string]any `json:"content,omitempty"`
	Context     map[string]any `json:"context,omitempty"`
}

// contentMember returns the name under which an event holds the call's content.
func (c call) contentMember() string {
	switch c.Type {
	case "identify", "group":
		return "traits"
	}
	return "properties"
}

// nameMember returns the name under which an event holds the call's name.
func (c call) nameMember() string {
	if c.Type == "track" {
		return "event"
	}
	return "name"
}

// awkward returns content that careless servers change: see the file. The members of extra
// are added to it.
func awkward(t *testing.T, extra map[string]any) map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/awkward.json")
	require.NoError(t, err)
	content := decode[map[string]any](t, string(data))
	content["deep"] = decode[any](t, strings.Repeat(`{"d":[`, 40)+`"bottom"`+strings.Repeat(`]}`, 40))
	maps.Copy(content, extra)
	return content
}

// everyCall returns one call of each type, with content and context.
func everyCall(content map[string]any) []call {
	base := call{
		UserID: "user-ž1", AnonymousID: "anon-1",
		Timestamp: time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond),
		Context:   map[string]any{"awkward": content, "locale": "sl-SI"},
	}
	identify, group, track, page, screen, alias := base, base, base, base, base, base
	identify.Type, identify.Content = "identify", content
	group.Type, group.Content, group.GroupID = "group", content, "group 1"
	track.Type, track.Content, track.Name = "track", content, "Order ✅ placed\n"
	page.Type, page.Content, page.Name = "page", content, "Pošta"
	screen.Type, screen.Content, screen.Name = "screen", content, "Main / screen"
	alias.Type, alias.PreviousID, alias.AnonymousID = "alias", "anon-1", ""
	return numbered("every", []call{identify, group, track, page, screen, alias})
}

// manyTracks returns n small calls.
func manyTracks(n int) []call {
	calls := make([]call, n)
	for i := range calls {
		calls[i] = call{
			Type: "track", Name: "Item viewed", UserID: fmt.Sprint("user-", i%7), AnonymousID: "anon-1",
			Timestamp: time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond),
			Content:   map[string]any{"n": json.Number(fmt.Sprint(i)), "title": strings.Repeat("čaj ", i%50)},
		}
	}
	return numbered("many", calls)
}

// numbered gives each call a messageId of its own.
func numbered(prefix string, calls []call) []call {
	for i := range calls {
		calls[i].MessageID = fmt.Sprintf("%s-%s-%d", prefix, calls[i].Type, i)
	}
	return calls
}

// A stored is the events of a journal by their messageId.
type stored map[string]line

// requireExactlyOnce checks that the journal has each of the calls once and nothing else,
// and returns the events.
func requireExactlyOnce(t *testing.T, calls []call, lines []line) stored {
	t.Helper()
	events := make(stored, len(lines))
	for _, event := range lines {
		id, _ := event["messageId"].(string)
		require.NotContains(t, events, id, "stored twice")
		events[id] = event
	}
	for _, c := range calls {
		require.Contains(t, events, c.MessageID, "not stored")
	}
	require.Len(t, events, len(calls), "stored, but never sent")
	return events
}

// requireUnchanged checks that each event equals its call, has exactly its content, and was
// not repaired.
func requireUnchanged(t *testing.T, calls []call, events stored) {
	t.Helper()
	for _, c := range calls {
		event := events[c.MessageID]
		requireEqual(t, c, event)
		require.NotContains(t, event, "warnings")
		if c.Content != nil {
			require.Equal(t, c.Content, event[c.contentMember()])
		}
	}
}

// requireEqual checks that the event equals the call. Some SDKs add members to the context
// and the content; only the members of the call are checked.
func requireEqual(t *testing.T, c call, event line) {
	t.Helper()
	require.Equal(t, c.Type, event["type"])
	requireText(t, c.Name, event, c.nameMember())
	requireText(t, c.UserID, event, "userId")
	requireText(t, c.AnonymousID, event, "anonymousId")
	requireText(t, c.PreviousID, event, "previousId")
	requireText(t, c.GroupID, event, "groupId")
	requireTime(t, c.Timestamp, event, "timestamp")
	require.WithinDuration(t, time.Now(), timeOf(t, event, "receivedAt"), time.Minute)
	require.NotEmpty(t, event["sourceId"])
	require.Equal(t, "segment", event["dialect"])
	requireMembers(t, c.Context, event["context"])
	if c.Content != nil {
		requireMembers(t, c.Content, event[c.contentMember()])
	}
}

// requireText checks a text of the call, unless it is empty.
func requireText(t *testing.T, want string, event line, member string) {
	t.Helper()
	if want != "" {
		require.Equal(t, want, event[member], member)
	}
}

func requireTime(t *testing.T, want time.Time, event line, member string) {
	t.Helper()
	require.True(t, want.Equal(timeOf(t, event, member)), "%s is %v, not %v", member, event[member], want)
}

func timeOf(t *testing.T, event line, member string) time.Time {
	t.Helper()
	text, _ := event[member].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err, member)
	return at
}

// requireMembers checks that got has every member of want with an equal value.
func requireMembers(t *testing.T, want map[string]any, got any) {
	t.Helper()
	object, _ := got.(map[string]any)
	for name, value := range want {
		require.Contains(t, object, name)
		require.Equal(t, value, object[name], name)
	}
}
