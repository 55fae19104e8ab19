//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// startFake starts the fake, and returns its lines after the first.
func startFake(t *testing.T, args ...string) (*process, *bufio.Scanner) {
	t.Helper()
	p := &process{log: new(bytes.Buffer), key: "any-key"}
	p.cmd = exec.Command(binary, append([]string{"fake", "-addr", "127.0.0.1:0"}, args...)...)
	p.cmd.Stderr = p.log
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan())
	p.url = strings.Fields(lines.Text())[3]
	return p, lines
}

// asked returns the events that the fake has.
func (p *process) asked(t *testing.T, path string) (events []*inlet.Event) {
	t.Helper()
	body, status := get(t, p.url+path)
	require.Equal(t, 200, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &events))
	return events
}

func TestFake(t *testing.T) {
	t.Parallel()
	p, lines := startFake(t)
	require.Empty(t, p.asked(t, "/events"))
	for i, body := range []string{`{"event":"Signed Up","userId":"u1"}`, `{"event":"Order Completed","userId":"u2","properties":{"total":9007199254740993}}`} {
		p.key = []string{"web", "app"}[i]
		status, _ := p.post(t, "/v1/track", body)
		require.Equal(t, 200, status)
		require.True(t, lines.Scan())
	}
	require.Regexp(t, `^2\t\S+\ttrack\tapp\tsegment\tu2\tOrder Completed$`, lines.Text())
	status, _ := p.post(t, "/v1/track", `{"event":"No user"}`)
	require.Equal(t, 400, status)

	for path, want := range map[string]int{
		"/events": 2, "/events?wait=2": 2, "/events?name=Order+Completed": 1, "/events?user=u1&type=track": 1, "/events?source=web": 1,
		"/events?type=page": 0, "/events?wait=3&timeout=1ms": 2, "/rejects": 1,
	} {
		require.Len(t, p.asked(t, path), want, path)
	}
	require.JSONEq(t, `{"total":9007199254740993}`, string(p.asked(t, "/events?user=u2")[0].Properties))
	refused, _ := get(t, p.url+"/rejects")
	require.Contains(t, refused, `"code":"no_user_anon_id"`)
	for _, path := range []string{"/events?wait=x", "/events?wait=-1", "/events?timeout=1h", "/events?event=x", "/events?type=trak"} {
		_, status := get(t, p.url+path)
		require.Equal(t, 400, status, path)
	}

	r, err := http.NewRequest(http.MethodDelete, p.url+"/events", nil)
	require.NoError(t, err)
	status, _ = do(t, r)
	require.Equal(t, 204, status)
	require.Empty(t, p.asked(t, "/events"))
	require.Empty(t, p.asked(t, "/rejects"))
	p.stop(t)
	require.Contains(t, p.log.String(), "refused\tapp\tno_user_anon_id\t")
}

// A question waits for events that are still to come, and for no longer than the server runs.
func TestFakeWait(t *testing.T) {
	t.Parallel()
	p, _ := startFake(t, "-json")
	ask := func(path string) <-chan int {
		got := make(chan int, 1)
		go func() {
			defer close(got)
			answer, err := http.Get(p.url + path)
			if err != nil {
				return
			}
			defer func() { _ = answer.Body.Close() }()
			var events []json.RawMessage
			if json.NewDecoder(answer.Body).Decode(&events) == nil {
				got <- len(events)
			}
		}()
		return got
	}
	two := ask("/events?wait=2&timeout=30s")
	for range 2 {
		status, _ := p.post(t, "/v1/track", event)
		require.Equal(t, 200, status)
	}
	require.Equal(t, 2, <-two)
	three := ask("/events?wait=3&timeout=30s")
	p.stop(t) // within 20 seconds
	if n, answered := <-three; answered {
		require.Equal(t, 2, n)
	}
}

// An SDK that asks for its settings when it starts is sent to the fake, whatever its key is, and a
// page of any origin may use it.
func TestFakeSettings(t *testing.T) {
	t.Parallel()
	p, _ := startFake(t)
	body, status := get(t, p.url+"/v1/projects/some-key/settings")
	require.Equal(t, 200, status)
	var settings struct {
		Integrations map[string]struct{ APIHost, APIKey, Protocol string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &settings))
	sdk := settings.Integrations["Segment.io"]
	p.url, p.key = sdk.Protocol+"://"+strings.TrimSuffix(sdk.APIHost, "/v1"), sdk.APIKey
	status, _ = p.post(t, "/v1/t", event)
	require.Equal(t, 200, status)
	require.Equal(t, "some-key", p.asked(t, "/events?wait=1")[0].Source.ID)
	require.NotEmpty(t, preflight(t, p, "https://shop.example").Get("Access-Control-Allow-Origin"))
}

// Pages may ask, and forget, and send to the path that another vendor has in common with that.
func TestFakePages(t *testing.T) {
	t.Parallel()
	p, _ := startFake(t)
	for _, method := range []string{http.MethodDelete, http.MethodPost} {
		r, err := http.NewRequest(http.MethodOptions, p.url+"/events", nil)
		require.NoError(t, err)
		r.Header.Set("Origin", "https://shop.example")
		r.Header.Set("Access-Control-Request-Method", method)
		answer, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.NotEmpty(t, answer.Header.Get("Access-Control-Allow-Origin"), method)
		require.Contains(t, answer.Header.Get("Access-Control-Allow-Methods"), method)
	}
	r, err := http.NewRequest(http.MethodPost, p.url+"/events?tc_s=1&token=k", strings.NewReader(`{"event_name":"purchase","user":{"id":"u"}}`))
	require.NoError(t, err)
	status, answer := do(t, r)
	require.Equal(t, 200, status, "%v", answer)
	require.Len(t, p.asked(t, "/events"), 1)
}

// Only the newest events are kept.
func TestFakeKeep(t *testing.T) {
	t.Parallel()
	p, _ := startFake(t, "-keep", "2")
	for _, id := range []string{"a", "b", "c"} {
		p.post(t, "/v1/track", `{"event":"E","userId":"u","messageId":"`+id+`"}`)
	}
	kept := p.asked(t, "/events")
	require.Len(t, kept, 2)
	require.Equal(t, "b", kept[0].MessageID)
	out, err := exec.Command(binary, "fake", "-keep", "0").CombinedOutput()
	require.Equal(t, statusUsage, exitCode(err), "%s", out)
}
