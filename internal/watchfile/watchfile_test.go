package watchfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/watchfile"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// maxBytes is how large the files of the tests may be.
const maxBytes = 1 << 20

// calls are what a file has called, as texts, in their order.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) add(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, call)
}

// take returns the calls since the last take.
func (c *calls) take() (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, c.list = c.list, nil
	return list
}

// options note all calls. A text that begins with "bad" cannot be used.
func (c *calls) options() *watchfile.Options {
	return &watchfile.Options{
		Package: "pkg", MaxBytes: maxBytes, Interval: time.Second,
		Failed: func(err error) { c.add("failed: " + err.Error()) },
		Usable: func() { c.add("usable") },
		Use: func(text []byte, first bool) error {
			if strings.HasPrefix(string(text), "bad") {
				return errors.New("has " + string(text))
			}
			if first {
				c.add("first " + string(text))
			} else {
				c.add("used " + string(text))
			}
			return nil
		},
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// opened returns a file in use that has the text "a".
func opened(t *testing.T) (f *watchfile.File, path string, c *calls) {
	t.Helper()
	path, c = filepath.Join(t.TempDir(), "file"), new(calls)
	write(t, path, "a")
	f, err := watchfile.Open(path, c.options())
	require.NoError(t, err)
	t.Cleanup(f.Close)
	require.Equal(t, []string{"first a"}, c.take())
	return f, path, c
}

// A text is used once, when it differs from the last one that was.
func TestUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, path string)
		want   []string
	}{
		{"not changed", func(*testing.T, string) {}, nil},
		{"written again", func(t *testing.T, path string) { write(t, path, "a") }, nil},
		{"changed", func(t *testing.T, path string) { write(t, path, "b") }, []string{"used b"}},
		{"emptied", func(t *testing.T, path string) { write(t, path, "") }, []string{"used "}},
		{"with a byte order mark", func(t *testing.T, path string) { write(t, path, "\uFEFFb") }, []string{"used b"}},
		{"with nothing but a byte order mark", func(t *testing.T, path string) { write(t, path, "\uFEFFa") }, nil},
		{"renamed over", func(t *testing.T, path string) {
			write(t, path+".new", "b")
			require.NoError(t, os.Rename(path+".new", path))
		}, []string{"used b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, path, c := opened(t)
				time.Sleep(time.Minute + time.Second/2)
				tt.change(t, path)
				time.Sleep(time.Minute)
				require.Equal(t, tt.want, c.take())
				require.NoError(t, f.Err())
			})
		})
	}
}

// A file that cannot be used changes nothing, and is reported once for each reason.
func TestFailed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, path string)
		reason string
	}{
		{"removed", func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, ": "},
		{"a directory", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}, ": is not a file"},
		{"too large", func(t *testing.T, path string) { write(t, path, strings.Repeat(" ", maxBytes+1)) }, ": is larger than 1 MiB"},
		{"with an error", func(t *testing.T, path string) { write(t, path, "bad 1") }, ": has bad 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, path, c := opened(t)
				time.Sleep(time.Second / 2)
				tt.change(t, path)
				time.Sleep(time.Minute)
				reported := c.take()
				require.Len(t, reported, 1)
				require.True(t, strings.HasPrefix(reported[0], "failed: pkg: "+path+tt.reason), reported[0])
				require.EqualError(t, f.Err(), strings.TrimPrefix(reported[0], "failed: "))
				require.EqualError(t, f.Reload(), f.Err().Error())
				require.Empty(t, c.take())

				require.NoError(t, os.RemoveAll(path))
				write(t, path, "bad 2")
				time.Sleep(time.Minute)
				require.Equal(t, []string{"failed: pkg: " + path + ": has bad 2"}, c.take(), "another reason")

				write(t, path, "a")
				time.Sleep(time.Minute)
				require.Equal(t, []string{"usable"}, c.take(), "it was in use all the time")
				require.NoError(t, f.Err())
			})
		})
	}
}

// A file that is missing can be told from others, and one of exactly the limit is read.
func TestOpen(t *testing.T) {
	t.Parallel()
	path, c := filepath.Join(t.TempDir(), "file"), new(calls)
	_, err := watchfile.Open(path, c.options())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, 1, strings.Count(err.Error(), path))
	write(t, path, "bad")
	_, err = watchfile.Open(path, c.options())
	require.EqualError(t, err, "pkg: "+path+": has bad")
	require.Empty(t, c.take(), "Open returns it")
	write(t, path, strings.Repeat(" ", maxBytes))
	f, err := watchfile.Open(path, c.options())
	require.NoError(t, err)
	f.Close()
}

// Reload does not wait for the interval, and may be called concurrently; a closed file is read by
// it alone.
func TestReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, path, c := opened(t)
		write(t, path, "b")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := f.Reload(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Equal(t, []string{"used b"}, c.take())
		f.Close()
		f.Close()
		write(t, path, "c")
		time.Sleep(time.Minute)
		require.Empty(t, c.take())
		require.NoError(t, f.Reload())
		require.Equal(t, []string{"used c"}, c.take())
	})
}
