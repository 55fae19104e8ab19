package inlet_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, url, want string }{
		{"a key", "/v1/t?writeKey=secret&page=2", "/v1/t?writeKey=REDACTED&page=2"},
		{"keys of every dialect", "/x?writekey=secret&token=secret&b=1", "/x?writekey=REDACTED&token=REDACTED&b=1"},
		{"a key in another case", "/v1/t?WRITEKEY=secret", "/v1/t?WRITEKEY=REDACTED"},
		{"a key whose name is escaped", "/v1/t?%77riteKey=secret", "/v1/t?%77riteKey=REDACTED"},
		{"a name that cannot be read", "/v1/t?%zz=secret", "/v1/t?%zz=REDACTED"},
		{"a key without a value", "/v1/t?writeKey=&writeKey", "/v1/t?writeKey=&writeKey"},
		{"a key with signs of its own", "/v1/t?writeKey=sec=ret==", "/v1/t?writeKey=REDACTED"},
		{"a pixel's data", "/v1/pixel/track?data=c2VjcmV0", "/v1/pixel/track?data=REDACTED"},
		{"all values of a pixel", "/v1/pixel/track?userId=secret&traits.email=secret", "/v1/pixel/track?userId=REDACTED&traits.email=REDACTED"},
		{"a pixel below a mount, with slashes", "/analytics//pixel/page/?userId=secret", "/analytics//pixel/page/?userId=REDACTED"},
		{"a key in a path", "/v1/projects/secret/settings", "/v1/projects/REDACTED/settings"},
		{"a key in a path below a mount", "/analytics/projects/sec%2Fret/settings/?a=1", "/analytics/projects/REDACTED/settings?a=1"},
		{"a user and a fragment", "https://secret:secret@shop.example/a%2Fb?x=1#secret", "https://shop.example/a%2Fb?x=1"},
		{"nothing to hide", "https://shop.example/search?q=a+b&page=2", "https://shop.example/search?q=a+b&page=2"},
		{"no query", "/v1/t", "/v1/t"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(tt.url)
			require.NoError(t, err)
			require.Equal(t, tt.want, inlet.RedactURL(u))
			require.Equal(t, tt.url, u.String(), "the URL is read-only")
		})
	}
	require.Empty(t, inlet.RedactURL(nil))
}

func TestFillAnonymousID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, id, body string
		status         int
		want           []string // user id and anonymous id of each event
	}{
		{"an event without ids", "id", `{"event":"E"}`, 200, []string{"", "id"}},
		{"an event with a user", "id", `{"event":"E","userId":"u"}`, 200, []string{"u", ""}},
		{"an event with an id of its own", "id", `{"event":"E","anonymousId":"a"}`, 200, []string{"", "a"}},
		{"without an id there is none", "", `{"event":"E"}`, 400, nil},
		{"the events of a batch", "id", `{"batch":[{"type":"track","event":"E"},{"type":"track","event":"E","userId":"u"}]}`, 200, []string{"", "id", "u", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			memory := new(sinks.Memory)
			h, err := inlet.New(memory, &inlet.Options{AllowAnonymous: true, FillAnonymousID: true})
			require.NoError(t, err)
			path := "/v1/track"
			if strings.Contains(tt.body, "batch") {
				path = "/v1/batch"
			}
			r := inlet.WithVisitor(httptest.NewRequest("POST", path, strings.NewReader(tt.body)), inlet.Visitor{AnonymousID: tt.id})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			var got []string
			for _, e := range memory.Events() {
				got = append(got, e.UserID, e.AnonymousID)
			}
			require.Equal(t, tt.want, got)
		})
	}
}
