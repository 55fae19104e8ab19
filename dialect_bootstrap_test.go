package inlet_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

func TestSettingsGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/bootstrap")
}

// settings is what SDKs read of the answer.
type settings struct {
	Integrations map[string]segmentSettings
	Metrics      map[string]int
	HTTPConfig   json.RawMessage
}

type segmentSettings struct {
	APIKey, APIHost, Protocol string
	HTTPConfig                json.RawMessage
}

// askSettings asks a handler, which layer may mount, by an URL.
func askSettings(t *testing.T, o *inlet.Options, layer func(http.Handler) http.Handler, url string) (*httptest.ResponseRecorder, settings) {
	t.Helper()
	h, err := inlet.New(inlet.SinkFunc(nil), o)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, url, nil)
	w := httptest.NewRecorder()
	layer(middleware.Auth(dialectKeys, nil)(h)).ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	var got settings
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	return w, got
}

func stripped(prefix string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler { return http.StripPrefix(prefix, h) }
}

func unmounted(h http.Handler) http.Handler { return h }

// rewritten is a layer that changes the path beyond recognition.
func rewritten(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		again := r.Clone(r.Context())
		again.URL.Path = "/v1/projects/k/settings"
		h.ServeHTTP(w, again)
	})
}

func TestSettingsPointToWhereTheHandlerIsMounted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		publicURL string
		layer     func(http.Handler) http.Handler
		url       string
		protocol  string
		apiHost   string
	}{
		{"at the root", "", unmounted, "http://in.example/v1/projects/k/settings", "http", "in.example/v1"},
		{"at a port", "", unmounted, "http://127.0.0.1:8080/v1/projects/k/settings", "http", "127.0.0.1:8080/v1"},
		{"over TLS", "", unmounted, "https://in.example/v1/projects/k/settings", "https", "in.example/v1"},
		{"below a prefix", "", stripped("/a/ingest"), "http://in.example/a/ingest/v1/projects/k/settings", "http", "in.example/a/ingest/v1"},
		{"below a prefix that takes the slash, too", "", stripped("/ingest/"), "http://in.example/ingest/v1/projects/k/settings", "http", "in.example/ingest/v1"},
		{"below a prefix, with doubled slashes", "", stripped("/ingest"), "http://in.example/ingest//v1//projects/k/settings/", "http", "in.example/ingest/v1"},
		{"below a prefix, without the version", "", stripped("/ingest"), "http://in.example/ingest/projects/k/settings", "http", "in.example/ingest/v1"},
		{"below a prefix with a space", "", stripped("/in gest"), "http://in.example/in%20gest/v1/projects/k/settings", "http", "in.example/in%20gest/v1"},
		{"below a layer that rewrites the path", "", rewritten, "http://in.example/elsewhere", "http", "in.example/v1"},
		{"with a public URL", "https://shop.example/ingest/", stripped("/x"), "http://10.0.0.7:8080/x/v1/projects/k/settings", "https", "shop.example/ingest/v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, got := askSettings(t, &inlet.Options{PublicURL: tt.publicURL}, tt.layer, tt.url)
			require.Equal(t, map[string]segmentSettings{"Segment.io": {APIKey: "k", APIHost: tt.apiHost, Protocol: tt.protocol}}, got.Integrations)
			require.Equal(t, map[string]int{"sampleRate": 0}, got.Metrics)
			require.Nil(t, got.HTTPConfig)
			noStore := ""
			if tt.publicURL == "" {
				noStore = "no-store"
			}
			require.Equal(t, noStore, w.Header().Get("Cache-Control"))
		})
	}
}

func TestSettingsBelowTwoPrefixes(t *testing.T) {
	t.Parallel()
	layer := func(h http.Handler) http.Handler {
		return http.StripPrefix("/outer", http.StripPrefix("/inner", h))
	}
	_, got := askSettings(t, nil, layer, "http://in.example/outer/inner/v1/projects/k/settings")
	require.Equal(t, "in.example/outer/inner/v1", got.Integrations["Segment.io"].APIHost)
}

func TestSettingsSteerTheRetriesOfSDKsInBothPlaces(t *testing.T) {
	t.Parallel()
	config := json.RawMessage(`{"rateLimitConfig":{"enabled":true,"maxRetryCount":5}}`)
	o := &inlet.Options{HTTPConfig: config}
	_, got := askSettings(t, o, unmounted, "http://in.example/v1/projects/k/settings")
	require.JSONEq(t, string(config), string(got.HTTPConfig))
	require.JSONEq(t, string(config), string(got.Integrations["Segment.io"].HTTPConfig))
}

func TestSettingsOptionsAreCheckedAtConstruction(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options inlet.Options
		field   string
	}{
		{"a host without a scheme", inlet.Options{PublicURL: "shop.example/ingest"}, "PublicURL"},
		{"another scheme", inlet.Options{PublicURL: "ftp://shop.example"}, "PublicURL"},
		{"no host", inlet.Options{PublicURL: "https:///ingest"}, "PublicURL"},
		{"a query", inlet.Options{PublicURL: "https://shop.example/?a=b"}, "PublicURL"},
		{"a password", inlet.Options{PublicURL: "https://u:p@shop.example/"}, "PublicURL"},
		{"no URL at all", inlet.Options{PublicURL: "https://%zz"}, "PublicURL"},
		{"a configuration that is no object", inlet.Options{HTTPConfig: json.RawMessage(`[]`)}, "HTTPConfig"},
		{"a configuration that is no JSON", inlet.Options{HTTPConfig: json.RawMessage(`{"a":}`)}, "HTTPConfig"},
		{"an empty configuration", inlet.Options{HTTPConfig: json.RawMessage{}}, "HTTPConfig"},
		{"a configuration with a name twice", inlet.Options{HTTPConfig: json.RawMessage(`{"a":1,"a":2}`)}, "HTTPConfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := inlet.New(inlet.SinkFunc(nil), &tt.options)
			require.ErrorContains(t, err, tt.field)
		})
	}
}

func TestSettingsAreTheSameForAnyKey(t *testing.T) {
	t.Parallel()
	var answers []string
	for _, key := range []string{hitToken, "an-unknown", "switched"} {
		w, got := askSettings(t, nil, unmounted, "http://in.example/v1/projects/"+key+"/settings")
		require.Equal(t, key, got.Integrations["Segment.io"].APIKey)
		answers = append(answers, strings.ReplaceAll(w.Body.String(), key, "KEY"))
	}
	require.Equal(t, []string{answers[0], answers[0], answers[0]}, answers)
}

func TestSettingsOverARealConnection(t *testing.T) {
	t.Parallel()
	h, err := inlet.New(inlet.SinkFunc(nil), nil)
	require.NoError(t, err)
	server := httptest.NewTLSServer(http.StripPrefix("/ingest", h))
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS13
	response, err := client.Get(server.URL + "/ingest/v1/projects/k/settings?v=1")
	require.NoError(t, err)
	defer response.Body.Close()
	var got settings
	require.NoError(t, json.NewDecoder(response.Body).Decode(&got))
	require.Equal(t, server.URL+"/ingest/v1", got.Integrations["Segment.io"].Protocol+"://"+got.Integrations["Segment.io"].APIHost)
}
