package httpsink_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

// Each form of key reaches a receiver as it is, and is in no error.
func TestWriteKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ key, user, password string }{
		"Segment":                          {"aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE", "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE", ""},
		"RudderStack":                      {"2bX9f0QwErTyUiOpAsDfGhJkLzX", "2bX9f0QwErTyUiOpAsDfGhJkLzX", ""},
		"Jitsu":                            {"kid0123456789:s3cr3tS3cr3tS3cr3t", "kid0123456789", "s3cr3tS3cr3tS3cr3t"},
		"Jitsu, a secret with a colon":     {"kid0123456789:s3cr3t:S3cr3t", "kid0123456789", "s3cr3t:S3cr3t"},
		"Astronomer":                       {"4ffe93f0-5f3c-4f0c-8a4e-6f9d3c1b2a70", "4ffe93f0-5f3c-4f0c-8a4e-6f9d3c1b2a70", ""},
		"another Inlet, base64":            {"q83vASNFZ4k+/w==", "q83vASNFZ4k+/w==", ""},
		"another Inlet, of all characters": {"!#$%&'()*+,-./;<=>?@[]^_`{|}~key", "!#$%&'()*+,-./;<=>?@[]^_`{|}~key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stored testsink.Keeper
			api, err := inlet.New(&stored, &inlet.Options{Logger: quiet})
			require.NoError(t, err)
			keys := inlet.MustKeys(map[string]inlet.Source{tt.key: {ID: "upstream"}, "another": {ID: "another"}})
			next := link{Handler: middleware.Auth(keys, nil)(api)}
			var user, password, refusal string
			s, err := httpsink.New("https://events.example", tt.key, &httpsink.Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
				user, password, _ = r.BasicAuth()
				if refusal != "" {
					return respond(http.StatusUnauthorized, refusal), nil
				}
				return next.transport(r)
			})})
			require.NoError(t, err)
			require.NoError(t, s.Write(t.Context(), events("a")))
			require.Equal(t, []string{tt.user, tt.password}, []string{user, password})
			require.Len(t, stored.Events(), 1)
			require.Equal(t, "upstream", stored.Events()[0].Source.ID)

			refusal = `{"message":"bad key ` + tt.key + ` or ` + tt.password + `"}`
			text := s.Write(t.Context(), events("a")).Error()
			require.NotContains(t, text, tt.key)
			if tt.password != "" {
				require.NotContains(t, text, tt.password)
			}
		})
	}
}
