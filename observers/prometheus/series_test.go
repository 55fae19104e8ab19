package inletprom

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/metrics"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const repository = "../.."

// must returns a value that was made without an error.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		require.NoError(t, err)
		return value
	}
}

// newMetrics returns metrics and the registry that has them.
func newMetrics(t testing.TB, o *Options) (*Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	return must[*Metrics](t)(New(reg, o)), reg
}

// everything is a server with all that metrics can be of, after the golden requests.
func everything(t testing.TB) *prometheus.Registry {
	t.Helper()
	m, reg := newMetrics(t, nil)
	log := new(testkit.Log).Logger()
	store := must[*journal.Journal](t)(journal.Open(t.TempDir(), &journal.Options{Logger: log}))
	t.Cleanup(func() { require.NoError(t, store.Close(context.Background())) })
	_ = must[*journal.Delivery](t)(store.Deliver("warehouse", m.Sink("warehouse", new(sinks.Memory)), nil))

	timeout := must[*sinks.Timeout](t)(sinks.NewTimeout(store, time.Minute, nil))
	retry := must[*sinks.Retry](t)(sinks.NewRetry(timeout, nil))
	filter := must[*sinks.Filter](t)(sinks.NewFilter(retry, func(*inlet.Event) bool { return true }))
	dedupe := must[*sinks.Dedupe](t)(sinks.NewDedupe(filter, nil))
	m.Watch("journal", dedupe)

	memory := new(sinks.Memory)
	m.Watch("letters", must[*sinks.DeadLetter](t)(sinks.NewDeadLetter(memory, memory, &sinks.DeadLetterOptions{Name: "letters"})))
	m.Watch("legs", must[*sinks.Fanout](t)(sinks.NewFanout([]sinks.Leg{{Name: "a", Sink: memory}}, nil)))
	batch := must[*sinks.Batch](t)(sinks.NewBatch(memory, nil))
	fallback := must[*sinks.Fallback](t)(sinks.NewFallback(memory, memory, func(context.Context) error { return nil }, nil))
	m.Watch("batch", batch)
	m.Watch("fallback", fallback)
	t.Cleanup(func() {
		require.NoError(t, batch.Close(context.Background()))
		require.NoError(t, fallback.Close(context.Background()))
	})

	cache := must[*authcache.Cache](t)(authcache.New(goldenKeys(), nil))
	limiter := must[*middleware.MemoryLimiter](t)(middleware.NewMemoryLimiter(nil))
	m.WatchKeys("keys", cache)
	m.WatchLimiter("ip", limiter)
	m.WatchSharedLimiter("redis", func() SharedLimiterStats { return SharedLimiterStats{} })
	m.WatchPlan("shop", judgeOf(t, "orders", "1").Stats)

	api := must[*inlet.Handler](t)(inlet.New(m.Sink("journal", dedupe), &inlet.Options{Observer: m, Logger: log}))
	m.WatchHandler("api", api)
	handler := m.Layer(middleware.Auth(cache, &inlet.AuthOptions{Logger: log})(api))
	for _, request := range goldenRequests(t) {
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	return reg
}

// judgeOf returns a judge by a plan that has one event, Order, whose total must be a number. Events
// without it are quarantined, those with another type are rejected, and unplanned ones observed.
func judgeOf(t testing.TB, name, version string) *plan.Judge {
	t.Helper()
	p := must[*plan.Plan](t)(plan.Load(strings.NewReader(fmt.Sprintf(`{"name": %q, "version": %q,
		"modes": {"required": "quarantine", "type": "reject"}, "rules": [{"type": "track", "event": "Order", "schema": {
			"properties": {"properties": {"required": ["total"], "properties": {"total": {"type": "number"}}}}}}]}`, name, version)), nil))
	return p.Judge(&plan.JudgeOptions{Logger: new(testkit.Log).Logger()})
}

// goldenKeys are the keys of the golden requests of the root package.
func goldenKeys() *inlet.Keys {
	return inlet.MustKeys(map[string]inlet.Source{
		"abc123": {ID: "shop"}, "7a1f9c3e-52d4-4f0b-9a58-0b6d2f1c8e47": {ID: "site"},
		"NJtcKa+Yu/mGZDxRgMBMUw==": {ID: "server"}, "ILoveData123": {ID: "app"}, "id:secret": {ID: "jitsu"},
		"switched": {ID: "old", Disabled: true}, "a-browser": {ID: "bound", Origins: []string{"https://shop.example"}},
	})
}

// goldenRequests are those of the root package.
func goldenRequests(t testing.TB) (all []*http.Request) {
	t.Helper()
	files := must[[]string](t)(filepath.Glob(filepath.Join(repository, "testdata", "*", "*.golden")))
	for _, file := range files {
		if filepath.Base(filepath.Dir(file)) == "migrate" { // not of requests
			continue
		}
		text, _, ok := strings.Cut(string(must[[]byte](t)(os.ReadFile(file))), "\n--- answer\n")
		require.True(t, ok, file)
		head, body, _ := strings.Cut(text, "\n\n")
		first, header, _ := strings.Cut(head, "\n")
		wire := fmt.Sprintf("%s HTTP/1.1\nHost: in.example\nContent-Length: %d\n%s", first, len(body), header)
		wire = strings.ReplaceAll(strings.TrimSuffix(wire, "\n")+"\n\n", "\n", "\r\n") + body
		all = append(all, must[*http.Request](t)(http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))))
	}
	require.Greater(t, len(all), 150)
	return all
}

// gather returns the families of a registry by name.
func gather(t testing.TB, reg prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	byName := make(map[string]*dto.MetricFamily)
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName
}

// The table of docs/METRICS.md has the series that exist after the golden requests, and no other.
// UPDATE_GOLDEN=1 rewrites it.
func TestDocument(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- series -->\n", "<!-- /series -->"
	families := gather(t, everything(t))
	var table strings.Builder
	table.WriteString("| series | kind | labels | meaning |\n|---|---|---|---|\n")
	for m := range metrics.Count {
		name := m.PrometheusName()
		f := families[name]
		require.NotNil(t, f, "%s has no series after the golden requests", name)
		delete(families, name)
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), labelNames(t, f), f.GetHelp())
	}
	require.Empty(t, families, "series that the catalogue does not have")

	file := filepath.Join(repository, "docs", "METRICS.md")
	page := string(must[[]byte](t)(os.ReadFile(file)))
	before, rest, ok := strings.Cut(page, begin)
	require.True(t, ok)
	documented, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644))
		return
	}
	require.Equal(t, table.String(), documented)
}

// labelNames returns the labels that every series of a family has.
func labelNames(t *testing.T, f *dto.MetricFamily) string {
	t.Helper()
	var names []string
	for i, m := range f.GetMetric() {
		var own []string
		for _, l := range m.GetLabel() {
			own = append(own, "`"+l.GetName()+"`")
		}
		if i == 0 {
			names = own
		}
		require.Equal(t, names, own, f.GetName())
	}
	return strings.Join(names, " ")
}

// Every series that an alert or the dashboard names exists, and has the labels that they use.
func TestNames(t *testing.T) {
	t.Parallel()
	families := gather(t, everything(t))
	known := map[string]bool{}
	labels := map[string]bool{"le": true, "job": true, "instance": true}
	for name, f := range families {
		known[name] = true
		if f.GetType() == dto.MetricType_HISTOGRAM {
			known[name+"_bucket"], known[name+"_sum"], known[name+"_count"] = true, true, true
		}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels[l.GetName()] = true
		}
	}
	series := regexp.MustCompile(`\binlet_[a-z_]+`)
	grouped := regexp.MustCompile(`\b(?:by|without|on|ignoring) ?\(([^)]*)\)`)
	matched := regexp.MustCompile(`inlet_[a-z_]+\{([a-z_]+)=`)
	for _, file := range []string{"alerts.yaml", "grafana.json", "METRICS.md"} {
		text := string(must[[]byte](t)(os.ReadFile(filepath.Join(repository, "docs", file))))
		for _, name := range series.FindAllString(text, -1) {
			require.True(t, known[name], "%s names %s", file, name)
		}
		for _, list := range slices.Concat(grouped.FindAllStringSubmatch(text, -1), matched.FindAllStringSubmatch(text, -1)) {
			for name := range strings.SplitSeq(list[1], ",") {
				require.True(t, labels[strings.TrimSpace(name)], "%s uses the label %q", file, name)
			}
		}
	}
}

// promtool runs promtool of Debian's package prometheus.
func promtool(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		require.NotEqual(t, "1", os.Getenv("INLET_REQUIRE_CLIENTS"), "INLET_REQUIRE_CLIENTS=1, but there is no promtool")
		t.Skip("there is no promtool: it is in Debian's package prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestPromtool(t *testing.T) {
	t.Parallel()
	t.Run("a scrape", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(promhttp.HandlerFor(everything(t), promhttp.HandlerOpts{}))
		defer server.Close()
		page := scraped(t, server.URL, "text/plain")
		require.Contains(t, page, "inlet_request_duration_seconds_bucket")
		require.Empty(t, promtool(t, page, "check", "metrics"))
	})
	t.Run("the configuration", func(t *testing.T) {
		t.Parallel()
		page := string(must[[]byte](t)(os.ReadFile(filepath.Join(repository, "docs", "METRICS.md"))))
		_, rest, ok := strings.Cut(page, "```yaml\n")
		require.True(t, ok)
		config, _, _ := strings.Cut(rest, "```")
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
		alerts := must[[]byte](t)(os.ReadFile(filepath.Join(repository, "docs", "alerts.yaml")))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yaml"), alerts, 0o600))
		require.Contains(t, promtool(t, "", "check", "config", filepath.Join(dir, "prometheus.yml")), "SUCCESS")
	})
	t.Run("the alerts", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, promtool(t, "", "check", "rules", filepath.Join(repository, "docs", "alerts.yaml")), "SUCCESS")
	})
	t.Run("each alert fires, and not before", func(t *testing.T) {
		t.Parallel()
		alerts := string(must[[]byte](t)(os.ReadFile(filepath.Join(repository, "docs", "alerts.yaml"))))
		files := must[[]string](t)(filepath.Glob("testdata/*.test.yaml"))
		cases := ""
		for _, file := range files {
			cases += string(must[[]byte](t)(os.ReadFile(file)))
		}
		for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(alerts, -1) {
			require.Contains(t, cases, `alertname="`+alert[1]+`"`)
			require.Contains(t, cases, "name: "+alert[1]+", ordinary\n")
		}
		promtool(t, "", append([]string{"test", "rules"}, files...)...)
	})
}

// scraped returns a page in a format.
func scraped(t *testing.T, url, accept string) string {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var page strings.Builder
	_, err = bufio.NewReader(answer.Body).WriteTo(&page)
	require.NoError(t, err)
	return page.String()
}

// dashboardQueries returns the queries of docs/grafana.json.
func dashboardQueries(t *testing.T) (all []string) {
	t.Helper()
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text := must[[]byte](t)(os.ReadFile(filepath.Join(repository, "docs", "grafana.json")))
	require.NoError(t, json.Unmarshal(text, &dashboard))
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		require.NotEmpty(t, p.Title)
		require.False(t, ids[p.ID], "two panels have the id %d", p.ID)
		ids[p.ID] = true
		for _, target := range p.Targets {
			require.NotEmpty(t, target.Expr, p.Title)
			all = append(all, target.Expr)
		}
	}
	return all
}
