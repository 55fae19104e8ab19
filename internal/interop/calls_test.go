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

// contentMember is the name under which an event holds the call's content.
func (c call) contentMember() string {
	switch c.Type {
	case "identify", "group":
		return "traits"
	}
	return "properties"
}

// nameMember is the name under which an event holds the call's name.
func (c call) nameMember() string {
	if c.Type == "track" {
		return "event"
	}
	return "name"
}

// awkward is content that careless servers change: see the file. The members of
// extra are added to it.
func awkward(t *testing.T, extra map[string]any) map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/awkward.json")
	require.NoError(t, err)
	content := decode[map[string]any](t, string(data))
	content["deep"] = decode[any](t, strings.Repeat(`{"d":[`, 40)+`"bottom"`+strings.Repeat(`]}`, 40))
	maps.Copy(content, extra)
	return content
}

// everyCall is one call of each type, with content and context.
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

// manyTracks is n small calls.
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
