package interop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRudderBrowser(t *testing.T) {
	t.Parallel()
	modes := []struct {
		name    string
		options map[string]any
		events  int // as the driver counts them: a beacon is one
	}{
		{"one request for each event", map[string]any{}, 5},
		{"a beacon", map[string]any{"useBeacon": true, "beaconQueueOptions": map[string]any{"maxItems": 5}}, 1},
	}
	for _, mode := range modes {
		t.Run("boots from the server's answer and every call arrives once, in "+mode.name, func(t *testing.T) {
			t.Parallel()
			b := requireBrowser(t)
			site := newSite(t)
			s := startServer(t, "-origins", site.URL)
			var calls []call
			for _, c := range everyCall(map[string]any{"title": "čaj 🍵", "list": []any{"a", "b"}}) {
				if c.Type != "screen" { // a call that the SDK does not have
					calls = append(calls, c)
				}
			}
			mode.options["configUrl"] = s.URL
			site.config = map[string]any{"writeKey": writeKey, "url": s.URL, "options": mode.options, "calls": calls}

			openPage[struct{}](t, b, site.URL+"/rudder.html", mode.events)
			requireRudder(t, calls, s.stop(t))
		})
	}
}

// requireRudder checks that there is one event of each call. The SDK puts the
// traits of identify and group into the context.
func requireRudder(t *testing.T, calls []call, lines []line) {
	t.Helper()
	byType := make(map[any]line, len(lines))
	for _, event := range lines {
		byType[event["type"]] = event
	}
	require.Len(t, lines, len(calls))
	require.Len(t, byType, len(calls))
	for _, c := range calls {
		event := byType[c.Type]
		requireText(t, c.UserID, event, "userId")
		requireText(t, c.GroupID, event, "groupId")
		requireText(t, c.PreviousID, event, "previousId")
		switch c.Type {
		case "identify":
			requireMembers(t, map[string]any{"traits": c.Content}, event["context"])
		case "alias":
		default:
			requireMembers(t, c.Content, event[c.contentMember()])
		}
	}
}
