package memfs_test

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

var _ osfs.FS = (*memfs.FS)(nil)

const name = memfs.Dir + "/a"

func create(t *testing.T, m *memfs.FS, content string) osfs.File {
	t.Helper()
	f, err := m.Create(name)
	require.NoError(t, err)
	_, err = f.Write([]byte(content))
	require.NoError(t, err)
	return f
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "flushed")
	require.NoError(t, f.Sync())
	require.Empty(t, m.PowerCut().Names(), "the name was not flushed")
	require.NoError(t, m.SyncDir(memfs.Dir))
	_, err := f.Write([]byte(" and not"))
	require.NoError(t, err)
	require.NoError(t, m.Rename(name, name+".new"))
	require.Equal(t, "flushed", m.PowerCut().Content("a"))
	require.Equal(t, []string{"a.new"}, m.Kill().Names())
	require.Equal(t, "flushed and not", m.Kill().Content("a.new"))
	torn := map[string]bool{}
	for seed := range uint64(50) {
		after := m.TornPowerCut(rand.New(rand.NewPCG(1, seed)))
		torn[after.Content("a")] = true
		for _, name := range after.Names() {
			torn[name] = true
		}
	}
	require.Contains(t, torn, "flushed")
	require.Contains(t, torn, "a.new")
}

func TestFault(t *testing.T) {
	t.Parallel()
	m, on := memfs.New(), new(memfs.Switch)
	m.Fault = memfs.Failing("write", syscall.EIO, on)
	f := create(t, m, "whole")
	on.Set(true)
	n, err := f.Write([]byte("half"))
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, 2, n)
	require.Equal(t, "wholeha", m.Content("a"))
	require.Equal(t, []string{"create a", "write a", "write a"}, m.Ops())
	require.Empty(t, m.Ops())
}

func TestFiles(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "abcdef")
	_, err := m.Create(name)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NoError(t, f.Truncate(2))
	_, err = f.Write([]byte("xy"))
	require.NoError(t, err)
	over, err := m.Overwrite(name)
	require.NoError(t, err)
	_, err = over.Write([]byte("AB"))
	require.NoError(t, err)
	require.Equal(t, "ABxy", m.Content("a"))
	r, err := m.Open(name)
	require.NoError(t, err)
	_, err = r.Seek(-2, io.SeekEnd)
	require.NoError(t, err)
	end, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "xy", string(end))
	require.NoError(t, m.Remove(name))
	_, err = f.Size()
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, open := range []func(string) error{
		m.Remove,
		func(name string) error { _, err := m.Open(name); return err },
		func(name string) error { _, err := m.Overwrite(name); return err },
		func(name string) error { return m.Rename(name, "b") },
		func(name string) error { _, _, err := m.Stat(name); return err },
	} {
		require.ErrorIs(t, open(name), fs.ErrNotExist)
	}
	lock, err := m.Lock("LOCK")
	require.NoError(t, err)
	_, err = m.Lock("LOCK")
	require.ErrorIs(t, err, osfs.ErrLocked)
	require.NoError(t, lock.Close())
}
