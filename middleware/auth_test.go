package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// sourceID is a handler that is not ours: it answers with its source and body.
var sourceID = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if source := inlet.SourceFromContext(r.Context()); source != nil {
		w.Header().Set("Source", source.ID)
	}
	echo(w, r)
})

func TestAuthAroundAHandlerThatIsNotOurs(t *testing.T) {
	t.Parallel()
	inBody := `{"writeKey":"` + writeKey + `"}`
	down := inlet.AuthenticatorFunc(func(context.Context, inlet.Credentials) (*inlet.Source, error) {
		return nil, errors.New("the key store is down")
	})
	for _, tt := range []struct {
		name   string
		auth   inlet.Authenticator
		call   call
		source string
		code   inlet.Code
		status int
	}{
		{"a key in a header", keys, call{key: writeKey, body: "hello"}, "web", "", 200},
		{"a key in the query", keys, call{path: "/x?writeKey=" + writeKey, body: "hello"}, "web", "", 200},
		{"a key in the body, which the handler reads, too", keys, call{body: inBody}, "web", "", 200},
		{"no key", keys, call{}, "", inlet.CodeMissingKey, 401},
		{"a key that is not known", keys, call{key: "nope"}, "", inlet.CodeUnknownKey, 401},
		{"a disabled source", keys, call{key: disabledKey}, "", inlet.CodeSourceDisabled, 403},
		{"another origin", keys, call{key: boundKey, header: map[string]string{"Origin": "https://evil.example"}}, "", inlet.CodeOriginNotAllowed, 403},
		{"its own origin", keys, call{key: boundKey, header: map[string]string{"Origin": shop}}, "shop", "", 200},
		{"a key store that is down", down, call{key: writeKey}, "", inlet.CodeAuthUnavailable, 503},
		{"an open route needs no key", keys, call{path: "/v1/m", body: "hello"}, "", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.call.do(middleware.Auth(tt.auth, nil)(sourceID))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.source, w.Header().Get("Source"))
			if tt.code != "" {
				require.Equal(t, tt.code, code(t, w))
			} else {
				require.Equal(t, tt.call.body, w.Body.String())
			}
		})
	}
}
