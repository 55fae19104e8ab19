package redact_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/redact"
)

func TestPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, path, want string }{
		{"settings", "/v1/projects/K/settings", "/v1/projects/*/settings"},
		{"without a version", "/projects/K/settings/", "/projects/*/settings"},
		{"below a mount", "/a/b/v1/projects/K/settings", "/a/b/v1/projects/*/settings"},
		{"doubled slashes", "//v1//projects///K//settings//", "//v1//projects///*/settings"},
		{"another case", "/V1/Projects/K/SETTINGS", "/V1/Projects/*/SETTINGS"},
		{"one project", "/v1/project/K/settings", "/v1/project/*/settings"},
		{"a trailing part", "/v1/projects/K/settings/K", "/v1/projects/*/settings"},
		{"an extension", "/v1/projects/K/settings.json", "/v1/projects/*/settings"},
		{"a key with slashes", "/v1/projects/K/K/settings", "/v1/projects/*/settings"},
		{"a key called settings", "/v1/projects/settings/settings", "/v1/projects/*/settings"},
		{"only the key", "/v1/projects/K", "/v1/projects/*"},
		{"a misspelt end", "/v1/projects/K/setings", "/v1/projects/*/setings"},
		{"twice", "/v1/projects/K/projects/K/settings", "/v1/projects/*/settings"},
		{"escaped twice", "/v1/projects%2FK%2fsettings", "/v1/projects/*/settings"},
		{"backslashes", `/v1\projects\K\settings`, "/v1/projects/*/settings"},
		{"a space", "/v1/projects /K/settings", "/v1/projects /*/settings"},
		{"the script", "/analytics.js/v1/K/analytics.min.js", "/analytics.js/v1/*/analytics.min.js"},
		{"the script not minified", "/analytics.js/v1/K/analytics.js", "/analytics.js/v1/*/analytics.js"},
		{"the script in another case", "/Analytics.js//V1/K//Analytics.Min.js/", "/Analytics.js//V1/*/Analytics.Min.js/"},
		{"the script below a mount", "/cdn/analytics.js/v1/K/analytics.min.js", "/cdn/analytics.js/v1/*/analytics.min.js"},
		{"the script without its directory", "/v1/K/analytics.min.js", "/v1/*/analytics.min.js"},
		{"the script without its version", "/analytics.js/K/analytics.min.js", "/analytics.js/*/analytics.min.js"},
		{"only the script's key", "/analytics.js/v1/K", "/analytics.js/v1/*"},
		{"something else of the script's key", "/analytics.js/v1/K/integrations", "/analytics.js/v1/*/integrations"},
		{"a query without its question mark", "/v1/track&writeKey=K", "/v1/track&writeKey=*"},
		{"an escaped question mark", "/events?token=K&a=b", "/events?token=*"},
		{"a parameter of the path", "/v1/t;WRITEKEY=K", "/v1/t;WRITEKEY=*"},
		{"no key", "/v1/track", ""},
		{"a page of the host", "/static/v1/app.js", ""},
		{"a script of the host", "/assets/analytics.js", ""},
		{"a list of projects", "/v1/projects/", ""},
		{"settings of something else", "/user/settings", ""},
		{"no path", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, found := redact.Path(tt.path, "*")
			require.Equal(t, tt.want != "", found)
			if found {
				require.Equal(t, tt.want, got)
			}
		})
	}
}

// Were anything quadratic in the length of a path, this would take minutes.
func TestPathIsLinear(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"/", "/projects", "/projects/a", "/v1/a", "/analytics.js/v1", "/analytics.js/a", "/settings", "%2F"} {
		got, _ := redact.Path(strings.Repeat(piece, 1<<20/len(piece)), "*")
		require.NotEmpty(t, got)
	}
}

// FuzzPath puts a key between any text where clients put it.
func FuzzPath(f *testing.F) {
	f.Add("/a", "/", "x")
	f.Add("/%2f", "//", "analytics.js/v1/k")
	f.Add("v1/projects", "/settings/", "")
	f.Fuzz(func(t *testing.T, before, slashes, after string) {
		const key = "4d7Kq9"
		if strings.Contains(before+slashes+after, key) || strings.Trim(slashes, `/\`) != "" || slashes == "" {
			return
		}
		if _, err := url.PathUnescape(before + after); err != nil {
			return // no server takes such a path
		}
		for _, path := range []string{
			before + "/v1/projects" + slashes + key + slashes + "settings/" + after,
			before + "/analytics.js/v1" + slashes + key + "/analytics.min.js",
		} {
			got, found := redact.Path(path, "*")
			require.True(t, found, "%q", path)
			require.NotContains(t, got, key, "%q", path)
		}
	})
}
