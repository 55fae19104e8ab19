package interop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A stored is the events of a journal by their messageId.
type stored map[string]line

// requireExactlyOnce checks that the journal holds each of the calls once and
// nothing else, and returns the events.
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

// requireUnchanged checks that each event says what its call said, has exactly
// its content, and needed no repair.
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

// requireEqual checks that the event says what the call said. Of the context and
// the content, to which some SDKs add members, it checks what the call gave.
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

// requireText checks a text that the call gave.
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
