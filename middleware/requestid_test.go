package middleware_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	const ours = `^[A-Z2-7]{26}$`
	trusting := &middleware.RequestIDOptions{TrustIncoming: true}
	for _, tt := range []struct {
		name     string
		options  *middleware.RequestIDOptions
		incoming string
		pattern  string
	}{
		{"without an incoming id it is ours", nil, "", ours},
		{"an incoming id is not trusted by default", nil, "abc-1", ours},
		{"an incoming id is taken if it is trusted", trusting, "a.B_c-1", `^a\.B_c-1$`},
		{"an incoming id of 128 is taken", trusting, strings.Repeat("a", 128), `^a{128}$`},
		{"an incoming id of 129 is not", trusting, strings.Repeat("a", 129), ours},
		{"an incoming id with a space is not", trusting, "a b", ours},
		{"an incoming id with a newline is not", trusting, "a\nb", ours},
		{"an incoming id that is empty is not", trusting, "", ours},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var inside string
			h := middleware.RequestID(tt.options)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				inside = inlet.RequestIDFromContext(r.Context())
			}))
			w := call{header: map[string]string{"X-Request-Id": tt.incoming}}.do(h)
			require.Regexp(t, tt.pattern, inside)
			require.Equal(t, inside, w.Header().Get("X-Request-Id"))
		})
	}
	t.Run("every request has another", func(t *testing.T) {
		t.Parallel()
		h := middleware.RequestID(nil)(status(200))
		require.NotEqual(t, call{}.do(h).Header(), call{}.do(h).Header())
	})
}
