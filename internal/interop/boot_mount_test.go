package interop

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSettingsNameThePrefixOfEveryRouter(t *testing.T) {
	t.Parallel()
	for name, mount := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := newHost(t, mount)
			for _, path := range []string{"/v1/projects/k/settings", "/projects/k/settings", "/v1/projects/k/settings/"} {
				response, err := http.Get(host.URL + prefix + path)
				require.NoError(t, err)
				body, err := io.ReadAll(response.Body)
				require.NoError(t, response.Body.Close())
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
				answer := decode[struct{ Integrations map[string]map[string]string }](t, string(body))
				require.Equal(t, map[string]string{
					"apiKey": "k", "apiHost": strings.TrimPrefix(host.URL, "http://") + prefix + "/v1", "protocol": "http",
				}, answer.Integrations["Segment.io"])
			}
		})
	}
}
