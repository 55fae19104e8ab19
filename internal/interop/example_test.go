package interop

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An exampleReport is the report of testdata/node/example.mjs.
type exampleReport struct {
	Hosts  []string // that the page sent requests to
	Paths  []string // of all requests
	Lines  []string
	Failed int
	Posts  []string // their paths, until the page was left
	Error  string
}

func TestExamplePage(t *testing.T) {
	t.Parallel()
	buttons := []string{"identify", "group", "page", "screen", "track", "alias"}

	t.Run("each button", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		s := startServer(t)
		page := startExamplePage(t, "-api", s.URL)
		report := pressButtons(t, b, page, "/")
		require.Len(t, report.Posts, len(buttons), "%v", report.Posts)
		require.ElementsMatch(t, buttons, types(s.stop(t)))
		require.ElementsMatch(t, []string{hostOf(page), hostOf(s.URL)}, report.Hosts, "the page must not use another host")
	})

	t.Run("batch when the page is left", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		s := startServer(t)
		report := pressButtons(t, b, startExamplePage(t, "-api", s.URL), "/?batch")
		require.Empty(t, report.Posts, "the batch must be kept until then")
		require.ElementsMatch(t, buttons, types(s.stop(t)))
	})

	t.Run("all from one origin, below names that ad blockers do not know", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		page := startExamplePage(t, "-dir", t.TempDir())
		report := pressButtons(t, b, page, "/")
		require.Len(t, report.Posts, len(buttons), "%v", report.Posts)
		require.Equal(t, []string{hostOf(page)}, report.Hosts)
		for _, path := range report.Paths {
			require.NotRegexp(t, `(?i)analytics|segment|track|collect|pixel|beacon|telemetry|metrics`, path)
		}
	})
}

// pressButtons presses every button of the page and leaves it.
func pressButtons(t *testing.T, b browser, page, path string) exampleReport {
	t.Helper()
	job := map[string]string{"chromium": b.chromium, "url": page + path, "leave": newSite(t).URL + "/left.html"}
	report := runNode[exampleReport](t, b.node, "example.mjs", job)
	require.Empty(t, report.Error, "%+v", report)
	require.Zero(t, report.Failed, "%v", report.Lines)
	require.Len(t, report.Lines, 6)
	report.Hosts = withoutHost(report.Hosts, job["leave"])
	return report
}

func withoutHost(hosts []string, url string) (others []string) {
	for _, h := range hosts {
		if h != hostOf(url) {
			others = append(others, h)
		}
	}
	return others
}

// hostOf is the host and port of a URL.
func hostOf(url string) string {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	return r.URL.Host
}

func types(lines []line) (types []string) {
	for _, l := range lines {
		types = append(types, l["type"].(string))
	}
	return types
}

// startExamplePage runs examples/browser with more flags until the end of the test and
// returns its address.
func startExamplePage(t *testing.T, flags ...string) string {
	t.Helper()
	bin, err := buildExamplePage()
	require.NoError(t, err)
	files := filepath.Join(nodeDir, "node_modules", "@segment/analytics-next/dist/umd")
	cmd := exec.Command(bin, append([]string{"-addr", "127.0.0.1:0", "-key", writeKey, "-files", files}, flags...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	text, err := bufio.NewReader(stdout).ReadString('\n')
	require.True(t, kill.Stop())
	require.NoError(t, err)
	return pageAddress.FindString(strings.TrimSpace(text))
}

var pageAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

var buildExamplePage = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "browser")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("..", "..", "examples", "browser")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return path, build.Run()
})
