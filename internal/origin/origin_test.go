package origin

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, listed := range []string{
		"https://shop.example", "https://shop.example/", "http://localhost:3000", "HTTPS://Shop.Example", "https://shop.example:443",
		"https://[::1]:8080", "https://10.0.0.7", "https://*.shop.example", "https://*.shop.example:8443", "https://xn--bcher-kva.example",
		"capacitor://localhost", "chrome-extension://abcdefghijklmnop",
	} {
		require.NoError(t, Check("Origins[0]", listed), listed)
	}
	for _, listed := range []string{
		"", "shop.example", "www.shop.example:443", "//shop.example", "https//shop.example", "https:/shop.example", "https://",
		"https://shop.example/path", "https://shop.example/?a=b", "https://shop.example#a", "https://user@shop.example",
		"https://shop.example:", "https://shop.example:0", "https://shop.example:65536", "https://shop.example:0443", "https://:443",
		"https://*", "https://*.", "https://*.*.shop.example", "https://shop.*", "https://a*.shop.example", "*.shop.example", "*", "null",
		" https://shop.example", "https://shop.example ", "https://shop example", "https://bücher.example", "https://shop.example,https://b.example",
		"https://shop.example//",
	} {
		require.EqualError(t, Check("Origins[0]", listed), `Origins[0] is `+quote(listed)+`, must be "https://host" or "https://host:port"`)
	}
}

func quote(text string) string { return `"` + text + `"` }

func TestMatches(t *testing.T) {
	t.Parallel()
	const pattern = "https://*.shop.example"
	for _, tt := range []struct {
		listed, sent string
		want         bool
	}{
		{"https://shop.example", "https://shop.example", true},
		{"https://Shop.example/", "https://shop.EXAMPLE", true},
		{"https://shop.example:443", "https://shop.example", true},
		{"http://shop.example:80", "http://shop.example", true},
		{"http://shop.example:443", "http://shop.example", false},
		{"https://shop.example", "http://shop.example", false},
		{"https://shop.example", "https://shop.example:8443", false},
		{"https://shop.example", "https://www.shop.example", false},
		{"https://shop.example", "", false},
		{pattern, "https://www.shop.example", true},
		{pattern, "https://a.b.SHOP.example", true},
		{pattern, "https://shop.example", false},
		{pattern, "https://.shop.example", false},
		{pattern, "https://a..shop.example", false},
		{pattern, "https://evilshop.example", false},
		{pattern, "https://shop.example.evil.example", false},
		{pattern, "https://evil.example/.shop.example", false},
		{pattern, "https://evil.example#.shop.example", false},
		{pattern, "https://evil.example:80.shop.example", false},
		{pattern, "https://user@www.shop.example", false},
		{pattern, "http://www.shop.example", false},
		{pattern, "https://www.shop.example:8443", false},
		{pattern, "https://*.shop.example", false},
		{pattern, "null", false},
		{pattern, "", false},
		{"https://*.shop.example:8443", "https://www.shop.example:8443", true},
		{"https://*.shop.example:443", "https://www.shop.example", true},
		{"http://*.localhost:3000", "http://a.localhost:3000", true},
	} {
		require.Equal(t, tt.want, Matches(tt.listed, tt.sent), "%s for %s", tt.sent, tt.listed)
		var set Set
		require.False(t, set.Has(tt.sent))
		for _, listed := range []string{"https://other.example", tt.listed, "https://*.other.example"} {
			set.Add(listed)
		}
		require.Equal(t, tt.want, set.Has(tt.sent), "%s for a set with %s", tt.sent, tt.listed)
	}
}

// A text that is too long for an origin costs nothing, whatever it ends with.
func TestLongOrigin(t *testing.T) {
	t.Parallel()
	var set Set
	set.Add("https://*.shop.example")
	require.True(t, set.Has("https://"+strings.Repeat("a.", 50)+"shop.example"))
	require.False(t, set.Has("https://"+strings.Repeat("a.", 30_000)+"shop.example"))
}

// Not parallel: it counts allocations.
func TestMatchesAllocations(t *testing.T) {
	const pattern, sent = "https://*.shop.example", "https://a.b.shop.example"
	var set Set
	set.Add(pattern)
	require.Zero(t, testing.AllocsPerRun(10, func() { Matches(pattern, sent) }))
	require.Zero(t, testing.AllocsPerRun(10, func() { set.Has(sent) }))
}
