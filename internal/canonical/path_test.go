package canonical_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/canonical"
)

func TestSplitPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"userId":            {"userId"},
		"context.page.path": {"context", "page", "path"},
		"properties.0.a":    {"properties", "0", "a"},
		`properties.a\.b.c`: {"properties", "a.b", "c"},
		`a\\.b`:             {`a\`, "b"},
		`\..\\`:             {".", `\`},
		"é.日本":              {"é", "日本"},
		"":                  nil,
		".":                 nil,
		"a.":                nil,
		".a":                nil,
		"a..b":              nil,
		`a\`:                nil,
		`a\b`:               nil,
		`a\\.`:              nil,
	} {
		names, err := canonical.SplitPath(path)
		require.Equal(t, want, names, path)
		require.Equal(t, want == nil, err != nil, path)
	}
}
