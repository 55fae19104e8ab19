package osfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

var _ osfs.FS = osfs.Disk{}

func TestCreate(t *testing.T) {
	t.Parallel()
	t.Run("never opens an existing file", func(t *testing.T) {
		t.Parallel()
		name := filepath.Join(t.TempDir(), "00000000000000000001.ndjson.part")
		require.NoError(t, os.WriteFile(name, []byte("old"), 0o600))
		_, err := osfs.Disk{}.Create(name)
		require.ErrorIs(t, err, fs.ErrExist)
	})
	t.Run("appends after a truncation", func(t *testing.T) {
		t.Parallel()
		name := filepath.Join(t.TempDir(), "file")
		f, err := osfs.Disk{}.Create(name)
		require.NoError(t, err)
		requireWriteTruncateWrite(t, f)
		require.Equal(t, "abxy", content(t, name))
	})
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	_, err := osfs.Disk{}.Overwrite(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(name, []byte("123456789"), 0o600))
	f, err := osfs.Disk{}.Overwrite(name)
	require.NoError(t, err)
	requireWriteTruncateWrite(t, f)
	require.Equal(t, "abxy", content(t, name))
}

// requireWriteTruncateWrite writes "abcdef", cuts that to "ab" and adds "xy".
func requireWriteTruncateWrite(t *testing.T, f osfs.File) {
	t.Helper()
	for _, s := range []string{"abc", "def"} {
		_, err := f.Write([]byte(s))
		require.NoError(t, err)
	}
	require.NoError(t, f.Truncate(2))
	_, err := f.Write([]byte("xy"))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	size, err := f.Size()
	require.NoError(t, err)
	require.EqualValues(t, 4, size)
	require.NoError(t, f.Close())
}

func content(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}

func TestSize(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed")
	}
	name := filepath.Join(t.TempDir(), "file")
	f, err := osfs.Disk{}.Create(name)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.Rename(name, name+".moved"))
	_, err = f.Size()
	require.ErrorIs(t, err, fs.ErrNotExist, "moved away")
	require.NoError(t, os.WriteFile(name, []byte("other"), 0o600))
	_, err = f.Size()
	require.ErrorIs(t, err, fs.ErrNotExist, "another file has the name")
}

func TestLock(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := osfs.Disk{}.Lock(name)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		_, err = osfs.Disk{}.Lock(name)
		require.ErrorIs(t, err, osfs.ErrLocked)
	}
	require.NoError(t, lock.Close())
	lock, err = osfs.Disk{}.Lock(name)
	require.NoError(t, err)
	require.NoError(t, lock.Held())
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Rename(name, name+".old"))
		require.ErrorIs(t, lock.Held(), fs.ErrNotExist)
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.ErrorIs(t, lock.Held(), fs.ErrNotExist, "another file")
		require.NoError(t, os.Rename(name+".old", name))
		require.NoError(t, lock.Held())
	}
	require.NoError(t, lock.Close())
}

func TestReadEnd(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	_, _, _, err := osfs.Disk{}.ReadEnd(name, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, content := range []string{"", "12", "1234", "123456789"} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		p := make([]byte, 4)
		n, size, written, err := osfs.Disk{}.ReadEnd(name, p)
		require.NoError(t, err)
		require.Equal(t, content[max(0, len(content)-4):], string(p[:n]))
		require.EqualValues(t, len(content), size)
		_, want, err := osfs.Disk{}.Stat(name)
		require.NoError(t, err)
		require.True(t, want.Equal(written))
	}
}

func TestIrregular(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need privileges")
	}
	dir := t.TempDir()
	_, err := osfs.Disk{}.Irregular(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "directory"), 0o700))
	require.NoError(t, os.Symlink("file", filepath.Join(dir, "link")))
	names, err := osfs.Disk{}.Irregular(dir)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"directory", "link"}, names)
}

func TestCutAndSyncFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	require.Error(t, osfs.Disk{}.Cut(name, 0))
	require.Error(t, osfs.Disk{}.SyncFile(name))
	require.NoError(t, os.WriteFile(name, []byte("123456789"), 0o600))
	require.NoError(t, osfs.Disk{}.Cut(name, 4))
	require.NoError(t, osfs.Disk{}.SyncFile(name))
	require.Equal(t, "1234", content(t, name))
	size, written, err := osfs.Disk{}.Stat(name)
	require.NoError(t, err)
	require.EqualValues(t, 4, size)
	require.WithinDuration(t, time.Now(), written, time.Minute)
}

func TestMakeDir(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b", "c")
	require.NoError(t, osfs.Disk{}.MakeDir(dir))
	require.NoError(t, osfs.Disk{}.MakeDir(dir), "it exists")
	require.NoError(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	require.Error(t, osfs.Disk{}.MakeDir(filepath.Join(root, "file")))
	names, err := osfs.Disk{}.List(root)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "file"}, names)
}
