package httpsink_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

func TestNewNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		endpoint, key string
		o             *httpsink.Options
		want          string
	}{
		{"", writeKey, nil, "httpsink: endpoint: its scheme must be https"},
		{"events.example", writeKey, nil, "endpoint: its scheme must be https"},
		{"ftp://events.example", writeKey, nil, "endpoint: its scheme must be https"},
		{"http://events.example", writeKey, nil, "Options.AllowHTTP"},
		{"https:///v1/batch", writeKey, nil, "endpoint: it has no host"},
		{"https://:443", writeKey, nil, "endpoint: it has no host"},
		{"https://events.example:port", writeKey, nil, "endpoint: it is no URL"},
		{"https://user@events.example", writeKey, nil, "endpoint: it has user information"},
		{"https://events.example?a=b", writeKey, nil, "endpoint: it has a query"},
		{"https://events.example/?", writeKey, nil, "endpoint: it has a query"},
		{"https://events.example#", writeKey, nil, "endpoint: it has a query or a fragment"},
		{"https://127.0.0.1", writeKey, nil, "endpoint: 127.0.0.1 is no address of the public internet"},
		{"https://events.example", "", nil, "writeKey: it is empty"},
		{"https://events.example", "a:b", nil, "writeKey: it has a colon"},
		{"https://events.example", "key\r\n", nil, "writeKey: it has a character"},
		{"https://events.example", "k\u00e9y", nil, "writeKey: it has a character"},
		{"https://events.example", writeKey, &httpsink.Options{MaxEvents: -1}, "Options.MaxEvents: -1 is negative"},
		{"https://events.example", writeKey, &httpsink.Options{MaxBytes: 48}, "Options.MaxBytes: 48 leaves no room"},
		{"https://events.example", writeKey, &httpsink.Options{MaxBytes: -1}, "Options.MaxBytes"},
		{"https://events.example", writeKey, &httpsink.Options{MaxEventBytes: -1}, "Options.MaxEventBytes"},
		{"https://events.example", writeKey, &httpsink.Options{MaxConcurrent: -1}, "Options.MaxConcurrent"},
		{"https://events.example", writeKey, &httpsink.Options{Timeout: -time.Second}, "Options.Timeout: -1s is negative"},
		{"https://events.example", writeKey, &httpsink.Options{ConnectTimeout: -1}, "Options.ConnectTimeout"},
		{"https://events.example", writeKey, &httpsink.Options{MaxRetryAfter: -1}, "Options.MaxRetryAfter"},
		{"https://events.example", writeKey, &httpsink.Options{Durability: 5}, "Options.Durability"},
		{"https://events.example", writeKey, &httpsink.Options{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS11}}, "Options.TLSConfig"},
		{"https://events.example", writeKey,
			&httpsink.Options{TLSConfig: new(tls.Config), Transport: http.DefaultTransport}, "Options.TLSConfig: has no effect"},
	} {
		s, err := httpsink.New(row.endpoint, row.key, row.o)
		require.ErrorContains(t, err, row.want, "%+v", row)
		require.Nil(t, s)
	}
}

func TestTheEndpointIsABaseOrABatchAPI(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://events.example":                 "https://events.example/v1/batch",
		"https://events.example/":                "https://events.example/v1/batch",
		"HTTPS://events.example:8443//":          "https://events.example:8443/v1/batch",
		"https://shop.example/analytics":         "https://shop.example/analytics/v1/batch",
		"https://shop.example/a%2Fb/":            "https://shop.example/a%2Fb/v1/batch",
		"https://events.example/v1/batch":        "https://events.example/v1/batch",
		"https://events.example/v1/batch/":       "https://events.example/v1/batch",
		"https://events.example/v1/b":            "https://events.example/v1/b",
		"https://events.example/v1/import":       "https://events.example/v1/import",
		"https://events.example/api/s/s2s/batch": "https://events.example/api/s/s2s/batch",
		"https://events.example/v1":              "https://events.example/v1/batch",
	} {
		s, err := httpsink.New(endpoint, writeKey, nil)
		require.NoError(t, err, endpoint)
		require.Equal(t, "httpsink to "+want, s.String())
	}
}

func TestTheHostSaysWhatTheReceiverIsWorth(t *testing.T) {
	t.Parallel()
	s := newSink(t, "https://events.example", nil)
	require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(s))
	require.NoError(t, inlet.Check(t.Context(), s), "it does not connect")
	s = newSink(t, "https://events.example", &httpsink.Options{Durability: inlet.DurabilityFsync})
	require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(s))
}
