//go:build unix

package keyfile_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pipe without a writer is not waited for.
func TestPipe(t *testing.T) {
	t.Parallel()
	f, path, _ := opened(t, list("a"))
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	require.ErrorContains(t, f.Reload(), "is not a file")
	require.Equal(t, []string{"a"}, known(t, f, "a"))
}
