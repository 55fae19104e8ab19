package redact

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOrdinary looks for a path with a key that is taken for one without.
func FuzzOrdinary(f *testing.F) {
	for _, path := range []string{
		"", "/v1/track", "/v1/projects/K/settings", "/Project/K", "/ſ/projectſ/K", "/analytics.js/v1/K", "/v1/K/ANALYTICS.min.js",
		"/my-projects/K", "/v1/track&token=K", "/v1/t%2Fprojects/K", `/v1\projects\K`, "/ projects/K", "/to\u212aen=K",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if isOrdinary(path) {
			got, found := search(path, "*")
			require.False(t, found, "%q", path)
			require.Equal(t, path, got)
		}
	})
}

// Not parallel: allocations are counted for the whole process.
func TestOrdinary(t *testing.T) {
	for _, path := range []string{"/v1/track", "/t/v1/page", "/v1/alias", "/v1/pixel/track", "/events/batch"} {
		require.True(t, isOrdinary(path), path)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { Path("/t/v1/track", "*") }))
}
