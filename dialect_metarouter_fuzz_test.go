package inlet_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

func FuzzCustomEvent(f *testing.F) {
	_, bodies := goldenRequests(f, "testdata/metarouter")
	for _, body := range bodies {
		f.Add(body, "", "")
		f.Add(`{"a":1}`, body, "")
	}
	f.Add(`{"_metarouter":{"eventName":"B","userID":"b"},"writeKey":"K"}`, `{"userID":7,"x":null,"\u0069p":"y"}`, "Q")
	f.Add(`{"a":1}`, ` {"userID":"u"}`, "Q")
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body, metadata, name string) {
		r := vouched("/v1/custom/event?eventName="+url.QueryEscape(name), body)
		r.Header.Set("X-Event-Metadata", metadata)
		got := do(t, r)
		if got.status != 200 {
			require.Equal(t, 400, got.status)
			require.Empty(t, got.events)
			return
		}
		require.Len(t, got.events, 1)
		requireCanonical(t, got.events[0])
		requireCustom(t, got.events[0])
	})
}

// requireCustom checks what holds of every custom event that is stored.
func requireCustom(t *testing.T, e *inlet.Event) {
	t.Helper()
	require.Equal(t, inlet.TypeTrack, e.Type)
	require.NotEmpty(t, e.Name)
	require.NotEmpty(t, e.UserID+e.AnonymousID)
	var properties map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(e.Properties, &properties))
	for _, name := range []string{"_metarouter", "writeKey", "appId"} {
		require.NotContains(t, properties, name)
	}
}
