package interop

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rawClient is a request in the form of a client that cannot be installed here. It was
// written by hand after the client's source, not sent by the client: it only shows that
// the form is understood.
type rawClient struct {
	name    string
	path    string // below the mount; KEY in it and in the body is the write key
	header  map[string]string
	basic   bool // the key as a Basic user name
	gzip    bool
	chunked bool // without a Content-Length
	body    string
	stored  []string // the events' types and IDs, "new" for an ID that the server made
	text    string   // what an event must contain unchanged
	status  int      // defaults to 200
}

const (
	jsonBody = "application/json"
	utf8JSON = "application/json; charset=utf-8"
	plain    = "text/plain"
)

var rawClients = []rawClient{
	{
		name: "analytics-python 2.3.4", path: "/v1/batch",
		header: map[string]string{"Content-Type": jsonBody, "User-Agent": "analytics-python/2.3.4"},
		body:   `{"batch": [{"integrations": {}, "anonymousId": null, "properties": {"n": 12345678901234567890, "s": "\u017e"}, "timestamp": "2026-11-21T07:00:38.675+00:00", "context": {"library": {"name": "analytics-python"}}, "userId": "u", "type": "track", "event": "E", "messageId": "m1"}], "sentAt": "2026-11-21T07:00:39.175176+00:00", "writeKey": "KEY"}`,
		stored: []string{"track m1"}, text: `12345678901234567890`,
	},
	{
		name: "analytics-python 2.3.4, gzip", path: "/v1/batch", gzip: true,
		header: map[string]string{"Content-Type": jsonBody},
		body:   `{"batch": [{"userId": 7, "type": "identify", "traits": {}, "messageId": "m1"}], "writeKey": "KEY"}`,
		stored: []string{"identify m1"}, text: `"userId":"7"`,
	},
	{
		name: "analytics-python 2.3.4, NaN", path: "/v1/batch",
		header: map[string]string{"Content-Type": jsonBody},
		body:   `{"batch": [{"userId": "u", "type": "track", "event": "E", "properties": {"nan": NaN}, "messageId": "m1"}], "writeKey": "KEY"}`,
		status: http.StatusBadRequest,
	},
	{
		name: "analytics-python 2.3.4, OAuth", path: "/v1/batch",
		header: map[string]string{"Content-Type": jsonBody, "Authorization": "Bearer a.b.c"},
		body:   `{"batch": [{"userId": "u", "type": "page", "name": null, "messageId": "m1"}], "writeKey": "KEY"}`,
		stored: []string{"page m1"},
	},
	{
		name: "analytics-ruby 2.5.0", path: "/v1/import", basic: true,
		header: map[string]string{"Content-Type": jsonBody, "Accept": jsonBody, "User-Agent": "analytics-ruby/2.5.0"},
		body:   `{"sentAt":"2026-11-21T07:01:33.085+00:00","batch":[{"context":{"library":{"name":"analytics-ruby"}},"messageId":"m1","timestamp":"2026-11-21T07:01:33.084+00:00","userId":42,"type":"track","event":"E","properties":{"n":12345678901234567890}}]}`,
		stored: []string{"track m1"}, text: `12345678901234567890`,
	},
	{
		name: "analytics-php 3.8.2", path: "/v1/batch", basic: true,
		header: map[string]string{"Content-Type": jsonBody, "User-Agent": "analytics-php/3.8.2", "Expect": "100-continue"},
		body:   `{"batch":[{"userId":"u","type":"identify","traits":[],"context":{"library":{"name":"analytics-php"}},"integrations":[],"timestamp":"2026-11-21T07:01:33+00:00","messageId":"m1"}],"sentAt":"2026-11-21T07:01:34+00:00"}`,
		stored: []string{"identify m1"}, text: `"traits":{}`,
	},
	{
		name: "analytics-java 3.5.5", path: "/v1/import/", basic: true,
		header: map[string]string{"Content-Type": "application/json; charset=UTF-8", "User-Agent": "analytics-java/3.5.5"},
		body:   `{"batch":[{"type":"alias","previousId":"p","userId":"u","messageId":"m1","timestamp":"2026-11-21T07:01:33.084Z"}],"sentAt":"2026-11-21T07:01:34.084Z","context":{"library":{"name":"analytics-java"}},"sequence":1,"writeKey":"KEY"}`,
		stored: []string{"alias m1"}, text: `"analytics-java"`,
	},
	{
		name: "analytics-swift 1.9.4", path: "/v1/b",
		header: map[string]string{"Content-Type": utf8JSON, "User-Agent": "analytics-ios/1.9.4"},
		body:   `{ "batch": [{"type":"screen","name":"Main","anonymousId":"a","messageId":"m1","timestamp":"2026-11-21T07:01:33.084Z","_metadata":{"bundled":[]}}], "sentAt":"2026-11-21T07:01:34.084Z", "writeKey":"KEY"}`,
		stored: []string{"screen m1"}, text: `"_metadata":{"bundled":[]}`,
	},
	{
		name: "analytics-swift 1.9.4, host without /v1", path: "/b",
		header: map[string]string{"Content-Type": utf8JSON},
		body:   `{"batch":[{"type":"screen","name":"Main","anonymousId":"a","messageId":"m1"}],"writeKey":"KEY"}`,
		stored: []string{"screen m1"},
	},
	{
		name: "analytics-kotlin 1.24.1", path: "/v1/b", gzip: true, chunked: true,
		header: map[string]string{"Content-Type": plain, "User-Agent": "analytics-kotlin/1.24.1"},
		body:   `{"batch":[{"type":"group","groupId":"g","userId":"","anonymousId":"a","traits":{},"messageId":"m1"}],"sentAt":"2026-11-21T07:01:34.084Z","writeKey":"KEY"}`,
		stored: []string{"group m1"},
	},
	{
		name: "analytics-react-native 2.24.1", path: "/v1/b",
		header: map[string]string{"Content-Type": utf8JSON, "X-Retry-Count": "1"},
		body:   `{"batch":[{"type":"track","event":"E","anonymousId":"a","userId":null,"messageId":"m1","properties":{}}],"sentAt":"2026-11-21T07:01:34.084Z","writeKey":"KEY"}`,
		stored: []string{"track m1"},
	},
	{
		name: "Analytics-CSharp 2.6.0", path: "/v1/b", gzip: true,
		header: map[string]string{"Content-Type": "", "Accept": plain, "Connection": "close"},
		body:   `{"batch":[{"type":"track","event":"E","anonymousId":"a","messageId":"m1","timestamp":"2026-11-21T07:01:33.0842222Z","properties":{}}],"sentAt":"2026-11-21T07:01:33.0942222Z","writeKey":"KEY"}`,
		stored: []string{"track m1"}, text: `"originalTimestamp":"2026-11-21T07:01:33.0842222Z"`,
	},
	{
		name: "segment for Rust 0.2.1", path: "/v1/track", basic: true,
		header: map[string]string{"Content-Type": jsonBody},
		body:   `{"userId":"u","event":"E","properties":{"n":1},"plan":"pro"}`,
		stored: []string{"track new"}, text: `"plan":"pro"`,
	},
	{
		name: "segment for Rust 0.2.1, batch", path: "/v1/batch", basic: true,
		header: map[string]string{"Content-Type": jsonBody},
		body:   `{"batch":[{"type":"track","userId":"u","event":"E","properties":{}},{"type":"page","anonymousId":"a","name":"N","properties":{}}],"integrations":null,"context":null}`,
		stored: []string{"track new", "page new"},
	},
	{
		name: "rudder analytics-go 4.2.3", path: "/v1/batch", basic: true, gzip: true,
		header: map[string]string{"Content-Type": jsonBody, "RS-targetNode": "0", "RS-nodeCount": "1", "RS-userAgent": "analytics-go (version: 4.2.3)"},
		body:   `{"batch":[{"type":"track","userId":"u","event":"E","channel":"server","originalTimestamp":"2026-11-21T07:54:44.092125736+01:00","sentAt":"2026-11-21T07:54:44.192125736+01:00","messageId":"m1"}]}`,
		stored: []string{"track m1"}, text: `"originalTimestamp":"2026-11-21T06:54:44.092125736Z"`,
	},
	{
		name: "rudder-sdk-python 2.1.4", path: "/v1/batch", basic: true, gzip: true,
		header: map[string]string{"Content-Type": jsonBody, "User-Agent": "analytics-python/2.1.4"},
		body:   `{"batch": [{"type": "identify", "userId": "u", "anonymousId": null, "channel": "server", "context": {"traits": {"plan": "pro"}}, "originalTimestamp": "2026-11-21T07:00:38.675176+00:00", "messageId": "m1"}], "sentAt": "2026-11-21T07:00:39+00:00"}`,
		stored: []string{"identify m1"}, text: `"traits":{"plan": "pro"}`,
	},
	{
		name: "Hightouch events-sdk-js-browser 1.5.1", path: "/v1/track",
		header: map[string]string{"Content-Type": jsonBody, "Accept": jsonBody},
		body:   `{"type":"track","event":"E","anonymousId":"a","context":{"sessionId":1795244966709},"messageId":"m1","writeKey":"KEY","sentAt":"2026-11-21T07:01:34.084Z"}`,
		stored: []string{"track m1"}, text: `"sessionId":1795244966709`,
	},
	{
		name: "Hightouch events-sdk-js-node 1.1.0", path: "/v1/batch", basic: true,
		header: map[string]string{"Content-Type": jsonBody, "User-Agent": "events-sdk-js-node/latest"},
		body:   `{"batch":[{"type":"track","event":"E","userId":"u","messageId":"m1","timestamp":"2026-11-21T07:01:34.084Z"}],"sentAt":"2026-11-21T07:01:34.084Z"}`,
		stored: []string{"track m1"},
	},
	{
		name: "@segment/analytics-node 2.2.1", path: "/v1/batch",
		header: map[string]string{"Content-Type": jsonBody, "User-Agent": "analytics-node-next/latest"},
		body:   `{"batch":[{"type":"track","event":"E","userId":"u","messageId":"m1","_metadata":{"nodeVersion":"v20.20.2"}}],"writeKey":"KEY","sentAt":"2026-11-21T07:01:34.084Z"}`,
		stored: []string{"track m1"},
	},
	{
		name: "@segment/analytics-next 1.76.0", path: "/v1/p",
		header: map[string]string{"Content-Type": plain},
		body:   `{"timestamp":"2026-11-21T07:01:34.084Z","integrations":{},"type":"page","properties":{"path":"/%C4%8Daj"},"category":"Docs","name":"N","context":{"page":{"path":"/"}},"anonymousId":"a","messageId":"m1","userId":null,"writeKey":"KEY","sentAt":"2026-11-21T07:01:34.094Z","_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`,
		stored: []string{"page m1"}, text: `"category":"Docs"`,
	},
	{
		name: "MetaRouter react-native-sdk", path: "/v1/batch",
		header: map[string]string{"Content-Type": jsonBody, "Trace": "true"},
		body:   `{"batch":[{"type":"screen","name":"Main","anonymousId":"a","messageId":"1795244966709-0b0c","sentAt":"2026-11-21T07:01:34.084Z","writeKey":"KEY"},{"type":"track","event":"E","anonymousId":"a","messageId":"m2","writeKey":"KEY"}]}`,
		stored: []string{"screen 1795244966709-0b0c", "track m2"},
	},
	{
		name: "RudderStack's beacon, by an older browser SDK", path: "/beacon/v1/batch?writeKey=KEY",
		header: map[string]string{"Content-Type": "text/plain;charset=UTF-8"},
		body:   `{"batch":[{"type":"track","event":"E","anonymousId":"a","messageId":"m1","originalTimestamp":"2026-11-21T07:01:34.084Z"}],"sentAt":"2026-11-21T07:01:34.084Z"}`,
		stored: []string{"track m1"},
	},
	{
		name: "Jitsu, browser mode", path: "/api/s/page",
		header: map[string]string{"Content-Type": jsonBody, "X-Write-Key": "KEY", "X-Enable-Debug": "false"},
		body:   `{"type":"page","properties":{"name":"N"},"anonymousId":"a","timestamp":"2026-11-21T07:01:34.084Z","messageId":"m1","writeKey":"InteropKey:***","context":{"page":{}}}`,
		stored: []string{"page m1"}, text: `"properties":{"name":"N"}`,
	},
	{
		name: "SegmentStream digital-data-manager", path: "/collect",
		header: map[string]string{"Content-Type": "text/plain;charset=UTF-8"},
		body:   `{"type":"event","event":{"name":"Viewed Page","category":"Content"},"website":{"type":"desktop"},"hitId":"m1","projectId":"KEY","anonymousId":"a","context":{},"sentAt":"2026-11-21T07:01:34.084Z"}`,
		stored: []string{"track m1"}, status: http.StatusNoContent,
	},
	{
		name: "Commanders Act HTTP tracking API 2.0, as documented", path: "/events?tc_s=3311&token=KEY",
		header: map[string]string{"Content-Type": jsonBody},
		body:   `{"event_name":"purchase","context":{"event_id":"m1","event_timestamp":"1795244494000","page":{"url":"https://shop.example/"}},"user":{"id":"u","consistent_anonymous_id":"a"},"revenue":12.5}`,
		stored: []string{"track m1"}, text: `"revenue":12.5`,
	},
	{
		name: "analytics-next's metrics", path: "/v1/m",
		header: map[string]string{"Content-Type": plain},
		body:   `{"series":[{"type":"Counter","metric":"analytics_js.invoke","value":1,"tags":{}}]}`,
	},
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	for _, c := range rawClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := newHost(t, func(h http.Handler) http.Handler { return h })
			response := c.send(t, host.URL)
			answer, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, cmp.Or(c.status, http.StatusOK), response.StatusCode, "%s", answer)
			c.requireResponse(t, response, string(answer))
			c.requireStored(t, host)
		})
	}
}

// send sends the request. The caller reads the response.
func (c rawClient) send(t *testing.T, url string) *http.Response {
	t.Helper()
	replace := func(s string) string { return strings.ReplaceAll(s, "KEY", writeKey) }
	var body io.Reader = strings.NewReader(replace(c.body))
	if c.gzip {
		body = compressed(t, replace(c.body))
	}
	if c.chunked {
		body = io.MultiReader(body) // net/http does not know its length
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+replace(c.path), body)
	require.NoError(t, err)
	for name, value := range c.header {
		r.Header.Set(name, replace(value))
	}
	if c.gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	if c.basic {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(writeKey+":")))
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func compressed(t *testing.T, text string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return &b
}

// requireResponse checks the parts of a response that clients read.
func (c rawClient) requireResponse(t *testing.T, response *http.Response, answer string) {
	t.Helper()
	switch c.status {
	case 0:
		require.Equal(t, jsonBody, response.Header.Get("Content-Type"))
		require.JSONEq(t, `{"success":true}`, answer)
	case http.StatusNoContent:
		require.Empty(t, answer)
	default:
		body := decode[map[string]any](t, answer)
		for _, member := range []string{"code", "message", "error"} {
			require.NotEmpty(t, body[member], member)
		}
	}
}

func (c rawClient) requireStored(t *testing.T, h host) {
	t.Helper()
	var stored []string
	var lines strings.Builder
	for _, e := range h.sink.Events() {
		id := e.MessageID
		if e.GeneratedID() {
			id = "new"
		}
		stored = append(stored, string(e.Type)+" "+id)
		lines.Write(append(e.AppendJSON(nil), '\n'))
	}
	require.Equal(t, c.stored, stored)
	require.Contains(t, lines.String(), c.text)
	require.NotContains(t, lines.String(), writeKey)
}
