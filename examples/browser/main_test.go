package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// files returns a directory with a bundle.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, fstest.MapFS{"index.js": {Data: []byte("// a bundle")}}))
	return dir
}

func TestSite(t *testing.T) {
	t.Parallel()
	h := site(config{api: "http://127.0.0.1:8080", key: "demo", files: files(t)})
	for path, want := range map[string]string{
		"/":                                      `<script type="module" src="/page.js">`,
		"/page.js":                               "AnalyticsBrowser.load({ writeKey, cdnURL: api }",
		"/config.json":                           `{"api":"http://127.0.0.1:8080","writeKey":"demo"}`,
		"/t/sdk/index.js":                        "// a bundle",
		"/t/sdk/analytics-next/bundles/index.js": "// a bundle",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Contains(t, w.Body.String(), want, path)
	}
}

func TestRunNotInstalled(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), config{files: filepath.Join(t.TempDir(), "nowhere")}, new(bytes.Buffer))
	require.ErrorContains(t, err, "npm install --prefix examples/browser")
}
