package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// What is sent is stored, delivered and counted. Clients of the API do not see that.
func TestObserved(t *testing.T) {
	t.Parallel()
	c := config{addr: "127.0.0.1:0", operators: "127.0.0.1:0", dir: t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, c, write)
		ended <- err
		write.CloseWithError(io.EOF)
	}()
	api, operators := addresses(t, read)

	require.Contains(t, send(t, api, writeKey, `{"event":"Signed Up","userId":"user-1"}`), `"success":true`)
	require.Contains(t, send(t, api, writeKey, `{"userId":"user-1"}`), "event_not_defined")
	require.Contains(t, send(t, api, "guessed", `{"event":"Signed Up","userId":"user-1"}`), "unknown_key")

	for _, line := range []string{ // a request is counted after its answer
		`inlet_requests_total{code="",dialect="segment",path="/v1/track",source="observed",status="200"} 1`,
		`inlet_requests_total{code="event_not_defined",dialect="segment",path="/v1/track",source="observed",status="400"} 1`,
		`inlet_requests_total{code="unknown_key",dialect="segment",path="/v1/track",source="",status="401"} 1`,
		`inlet_sink_events_total{outcome="stored",sink="journal"} 1`,
		`inlet_journal_events_total{journal="journal"} 1`,
		`inlet_delivery_delivered_total{destination="file",journal="journal"} 1`,
		`inlet_memory_limit_bytes{handler="api"}`,
		"go_goroutines ", "process_start_time_seconds ",
	} {
		for deadline := time.Now().Add(time.Minute); !strings.Contains(get(t, operators+"/metrics"), line); {
			require.True(t, time.Now().Before(deadline), line)
		}
	}
	trace := exemplar(t, operators+"/metrics")
	require.Contains(t, get(t, operators+"/"), "<title>")
	require.Contains(t, get(t, api+"/metrics"), "missing_key")

	stop()
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, <-ended)
	lines, err := os.ReadFile(filepath.Join(c.dir, "delivered.ndjson"))
	require.NoError(t, err)
	require.Contains(t, string(lines), "Signed Up")
	spans, err := os.ReadFile(filepath.Join(c.dir, "spans.json"))
	require.NoError(t, err)
	for _, part := range []string{`"Name":"POST"`, `"Name":"write journal"`, `"Name":"deliver file"`, trace} {
		require.Contains(t, string(spans), part)
	}
}

// exemplar returns the trace of the last exemplar in the metrics.
func exemplar(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	found := regexp.MustCompile(`inlet_request_duration_seconds_bucket.* # {trace_id="(\w+)"}`).FindStringSubmatch(text(t, answer))
	require.NotNil(t, found)
	return found[1]
}

// addresses returns those that the greeting has, and reads on.
func addresses(t *testing.T, greeting io.Reader) (api, operators string) {
	t.Helper()
	lines := bufio.NewScanner(greeting)
	address := regexp.MustCompile(`http://[^/ ]+`)
	for operators == "" && lines.Scan() {
		switch line := lines.Text(); {
		case strings.Contains(line, "curl "):
			api = address.FindString(line)
		case strings.Contains(line, "/metrics"):
			operators = address.FindString(line)
		}
	}
	require.NotEmpty(t, operators)
	go func() { _, _ = io.Copy(io.Discard, greeting) }()
	return api, operators
}

func send(t *testing.T, api, key, event string) string {
	t.Helper()
	answer, err := http.Post(api+"/v1/track?writeKey="+key, "application/json", strings.NewReader(event))
	require.NoError(t, err)
	return text(t, answer)
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	return text(t, answer)
}

func text(t *testing.T, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(all)
}
