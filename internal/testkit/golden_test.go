package testkit_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// Not parallel: it sets an environment variable.
func TestGolden(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "one.golden")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	run := func(update, result string) (seen []string) {
		t.Setenv("UPDATE_GOLDEN", update)
		t.Run("files", func(t *testing.T) {
			testkit.Golden(t, filepath.Join(dir, "*.golden"), func(t *testing.T, file, content string) string {
				seen = append(seen, t.Name(), file, content)
				return result
			})
		})
		return seen
	}
	require.Equal(t, []string{"TestGolden/files/one", file, "old"}, run("", "old"))
	run("1", "new")
	require.Equal(t, "new", run("", "new")[2])
}
