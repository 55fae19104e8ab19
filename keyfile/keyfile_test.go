package keyfile_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/keyfile"
	"github.com/inlet-go/inlet/middleware"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// list is the text of a file with plain keys, each of the source "s".
func list(keys ...string) string {
	entries := make([]string, len(keys))
	for i, key := range keys {
		entries[i] = fmt.Sprintf(`{"key":%q,"source":"s"}`, key)
	}
	return `{"keys":[` + strings.Join(entries, ",") + `]}`
}

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// known returns which of the keys a file knows.
func known(t testing.TB, f *keyfile.File, keys ...string) (found []string) {
	t.Helper()
	for _, key := range keys {
		source, err := f.Authenticate(t.Context(), inlet.Credentials{Key: key})
		if err == nil {
			require.NotNil(t, source)
			found = append(found, key)
			continue
		}
		require.ErrorIs(t, err, inlet.ErrUnknownKey)
	}
	return found
}

// opened is a file in a directory of the test, and its log.
func opened(t testing.TB, text string) (*keyfile.File, string, *testkit.Log) {
	t.Helper()
	path, log := filepath.Join(t.TempDir(), "keys.json"), new(testkit.Log)
	write(t, path, text)
	f, err := keyfile.Open(path, &keyfile.Options{Logger: log.Logger()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f, path, log
}

// betweenReads is the time from a read of the file to the moment at which it is changed, so that a
// read never meets a file that is only begun.
const betweenReads = time.Second / 2

// Whatever the way in which a file changes, its keys are those in use two seconds later.
func TestFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, path string)
		want   []string // of the keys a, b and c; a was in the file
		log    string
	}{
		{"rewritten", func(t *testing.T, path string) { write(t, path, list("b", "c")) }, []string{"b", "c"}, "keys=2 added=2 removed=1"},
		{"rewritten with the same size and time", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			write(t, path, list("b"))
			require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}, []string{"b"}, "keys=1 added=1 removed=1"},
		{"renamed over", func(t *testing.T, path string) {
			write(t, path+".new", list("a", "b"))
			require.NoError(t, os.Rename(path+".new", path))
		}, []string{"a", "b"}, "keys=2 added=1 removed=0"},
		{"no keys", func(t *testing.T, path string) { write(t, path, list()) }, nil, "keys=0 added=0 removed=1"},
		{"with a byte order mark", func(t *testing.T, path string) { write(t, path, "\uFEFF"+list("b")) }, []string{"b"}, "keys=1"},
		{"the same keys written otherwise", func(t *testing.T, path string) { write(t, path, " "+list("a")) }, []string{"a"}, "added=0 removed=0"},
		{"removed", func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, []string{"a"}, "no such file"},
		{"empty", func(t *testing.T, path string) { write(t, path, "") }, []string{"a"}, "is not JSON"},
		{"half", func(t *testing.T, path string) { write(t, path, list("b")[:20]) }, []string{"a"}, "unexpected end of JSON input at byte 20"},
		{"a directory", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}, []string{"a"}, "is not a file"},
		{"too large", func(t *testing.T, path string) { write(t, path, strings.Repeat(" ", 17<<20)+list("b")) }, []string{"a"}, "is larger than 16 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, path, log := opened(t, list("a"))
				time.Sleep(time.Minute + betweenReads)
				require.Empty(t, log.String(), "nothing has changed")
				tt.change(t, path)
				time.Sleep(2 * time.Second)
				require.Equal(t, tt.want, known(t, f, "a", "b", "c"))
				require.Contains(t, log.String(), tt.log)
				time.Sleep(time.Minute)
				require.Equal(t, 1, strings.Count(log.String(), "\n"), log)
			})
		})
	}
	t.Run("after an error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f, path, log := opened(t, list("a"))
			write(t, path, "{")
			time.Sleep(2*time.Second + betweenReads)
			require.ErrorContains(t, f.Err(), "is not JSON")
			write(t, path, list("b"))
			time.Sleep(2 * time.Second)
			require.NoError(t, f.Err())
			require.Equal(t, []string{"b"}, known(t, f, "a", "b"))
			require.Contains(t, log.String(), "keyfile: file in use again")
		})
	})
	t.Run("back to the last good file", func(t *testing.T) {
		t.Parallel()
		f, path, _ := opened(t, list("a"))
		write(t, path, "{")
		require.Error(t, f.Reload())
		write(t, path, list("a"))
		require.NoError(t, f.Reload())
		require.Equal(t, []string{"a"}, known(t, f, "a"))
	})
	t.Run("Close ends it and keeps the keys", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f, path, _ := opened(t, list("a"))
			require.NoError(t, f.Close())
			require.NoError(t, f.Close())
			write(t, path, list("b"))
			time.Sleep(time.Minute)
			require.Equal(t, []string{"a"}, known(t, f, "a", "b"))
		})
	})
	t.Run("concurrent use", func(t *testing.T) {
		t.Parallel()
		f, path, _ := opened(t, list("a", "b"))
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for range 200 {
					if i == 0 {
						_ = f.Reload()
					}
					found := known(t, f, "a")
					require.Len(t, found, 1, "a is in every version")
					_ = f.Err()
				}
			})
		}
		for i := range 50 {
			write(t, path+".new", list("a", fmt.Sprint("b", i)))
			require.NoError(t, os.Rename(path+".new", path))
		}
		group.Wait()
	})
}

// A Kubernetes volume has the file behind two symbolic links, of which the inner one is swapped.
func TestSymlinkSwap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		swap := func(version, text string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			write(t, filepath.Join(dir, version, "keys.json"), text)
			require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
			require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		}
		swap("..2026_01", list("a"))
		require.NoError(t, os.Symlink(filepath.Join("..data", "keys.json"), filepath.Join(dir, "keys.json")))
		f, err := keyfile.Open(filepath.Join(dir, "keys.json"), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		require.Equal(t, []string{"a"}, known(t, f, "a", "b"))
		swap("..2026_02", list("b"))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"b"}, known(t, f, "a", "b"))
	})
}

// What an entry may say. No error has a key or a hash in it.
func TestParse(t *testing.T) {
	t.Parallel()
	const hash = "c7d995d86244b62abe266b831aa0ea8e2529f3748925f50a1356f42ce8189878" // of ILoveData123
	good := map[string]struct {
		text string
		want inlet.Source
	}{
		"a key":          {`{"key":"ILoveData123","source":"web"}`, inlet.Source{ID: "web"}},
		"a hash":         {`{"sha256":"` + hash + `","source":"web"}`, inlet.Source{ID: "web"}},
		"in upper case":  {`{"sha256":"` + strings.ToUpper(hash) + `","source":"web"}`, inlet.Source{ID: "web"}},
		"everything":     {`{"key":"ILoveData123","source":"web","disabled":true,"origins":["https://shop.example"],"rate":1.5,"burst":2,"eventRate":3,"byteRate":4e3}`, inlet.Source{ID: "web", Disabled: true, Origins: []string{"https://shop.example"}, Rate: 1.5, Burst: 2, EventRate: 3, ByteRate: 4000}},
		"escaped in key": {`{"key":"ILove\u0044ata123","source":"web"}`, inlet.Source{ID: "web"}},
	}
	for name, tt := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _, _ := opened(t, `{"keys":[`+tt.text+`]}`)
			source, err := f.Authenticate(t.Context(), inlet.Credentials{Key: "ILoveData123"})
			require.NoError(t, err)
			require.Equal(t, &tt.want, source)
			require.Empty(t, known(t, f, hash, "ILoveData12", ""), "the hash is no key")
		})
	}
	const other = `{"key":"secret-other","source":"s"},`
	for _, tt := range []struct{ text, want string }{
		{`[]`, `must be an object with the one member "keys"`},
		{`{}`, `must be an object with the one member "keys"`},
		{`null`, `must be an object with the one member "keys"`},
		{`{"secret-1":"web"}`, `must be an object with the one member "keys"`},
		{`{"keys":[],"keys":[]}`, `must be an object with the one member "keys"`},
		{`{"keys":{"secret-1":"web"}}`, `"keys" is not a list`},
		{`{"keys":null}`, `"keys" is not a list`},
		{`{"keys":["secret-1"]}`, "entry 1: is not an object"},
		{`{"keys":[` + other + `null]}`, "entry 2: is not an object"},
		{`{"keys":[` + other + `{"source":"s"}]}`, `entry 2: must have either "key" or "sha256"`},
		{`{"keys":[{"key":"","source":"s"}]}`, `must have either "key" or "sha256"`},
		{`{"keys":[{"key":"secret-1","sha256":"` + hash + `","source":"s"}]}`, `must have either "key" or "sha256"`},
		{`{"keys":[{"key":"secret-1"}]}`, "a source has no ID"},
		{`{"keys":[{"key":"   ","source":"s"}]}`, `the key of source "s" is empty`},
		{`{"keys":[{"key":"secret-1","source":"s","rate":-1}]}`, `the rate of source "s" is negative`},
		{`{"keys":[{"key":12345678,"source":"s"}]}`, `"key" must be a string`},
		{`{"keys":[{"key":"secret-1","source":"s","origins":"https://a.example"}]}`, `"origins" must be a`},
		{`{"keys":[{"key":"secret-1","source":"s","burst":1.5}]}`, `"burst" must be a`},
		{`{"keys":[{"key":"secret-1","source":"s","origins":null}]}`, `"origins" is null; leave it out`},
		{`{"keys":[{"key":"secret-1","source":"s","orgins":[]}]}`, "has a member other than key, sha256, source,"},
		{`{"keys":[{"key":"secret-1","source":"s","Origins":[]}]}`, "has a member other than key, sha256, source,"},
		{`{"keys":[{"secret-1":"web"}]}`, "has a member other than"},
		{`{"keys":[{"key":"secret-1","source":"s","origins":["https://a.example"],"origins":[]}]}`, "without invalid text and names that occur twice"},
		{`{"keys":[{"sha256":"secret-1","source":"s"}]}`, `"sha256" is not a SHA-256 hash: 64 hexadecimal digits`},
		{`{"keys":[{"sha256":"` + hash + `  -","source":"s"}]}`, `"sha256" is not a SHA-256 hash`},
		{`{"keys":[{"sha256":"` + hash + `00","source":"s"}]}`, `"sha256" is not a SHA-256 hash`},
		{`{"keys":[{"sha256":"` + hash[2:] + `","source":"s"}]}`, `"sha256" is not a SHA-256 hash`},
		{`{"keys":[` + other + `{"key":"ILoveData123","source":"a"},{"sha256":"` + hash + `","source":"b"}]}`, "entry 3 has the same key as entry 2"},
		{`{"keys":[{"key":"secret-1" "source":"s"}]}`, "is not JSON: invalid character '\"' after object key:value pair at byte 28"},
		{list("secret-1") + "x", "is not JSON"},
		{list("secret-1") + list("secret-2"), "is not JSON"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys.json")
			write(t, path, tt.text)
			_, err := keyfile.Open(path, nil)
			require.ErrorContains(t, err, "keyfile: "+path+": ")
			require.ErrorContains(t, err, tt.want)
			for _, secret := range []string{"secret", "12345678", "ILoveData", hash[2:20]} {
				require.NotContains(t, strings.TrimPrefix(err.Error(), "keyfile: "+path), secret)
			}
		})
	}
}

// Pages may send from the origins of the keys that the file has now.
func TestAllowsOrigin(t *testing.T) {
	t.Parallel()
	file := func(entries ...string) string { return `{"keys":[` + strings.Join(entries, ",") + `]}` }
	const (
		bound    = `{"key":"a","source":"a","origins":["https://shop.example","https://*.shop.example"]}`
		disabled = `{"key":"b","source":"b","origins":["https://old.example"],"disabled":true}`
		other    = `{"key":"c","source":"c","origins":["https://new.example:8443"]}`
	)
	origins := []string{"https://shop.example", "https://www.shop.example", "https://old.example", "https://new.example:8443", "https://evil.example", "null", ""}
	f, path, _ := opened(t, file(`{"key":"x","source":"x"}`, bound, disabled))
	allowed := func() (found []string) {
		layers := middleware.Standard(f, &middleware.StandardOptions{SourceOrigins: true, NoAccessLog: true})
		for _, origin := range origins {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodOptions, "/v1/track", http.NoBody)
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", http.MethodPost)
			layers(http.NotFoundHandler()).ServeHTTP(w, r)
			require.Equal(t, f.AllowsOrigin(t.Context(), origin), w.Header().Get("Access-Control-Allow-Origin") == origin && origin != "", origin)
			if f.AllowsOrigin(t.Context(), origin) {
				found = append(found, origin)
			}
		}
		return found
	}
	require.Equal(t, origins[:2], allowed())
	write(t, path, file(disabled, other))
	require.NoError(t, f.Reload())
	require.Equal(t, origins[3:4], allowed())
	write(t, path, file(other, "{}"))
	require.Error(t, f.Reload())
	require.Equal(t, origins[3:4], allowed(), "those of the last good file")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	_, err := keyfile.Open(filepath.Join(t.TempDir(), "keys.json"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = keyfile.Open("", &keyfile.Options{Interval: -1})
	require.ErrorContains(t, err, "keyfile: Options: Interval is -1ns, must be at least 1ns")
}

// The documented command prints the documented hash.
func TestHashCommand(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^//\t(printf .*)$`).FindSubmatch(doc)[1]
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("there is no sha256sum")
	}
	printed, err := exec.CommandContext(t.Context(), "sh", "-c", string(command)).Output()
	require.NoError(t, err)
	hash, _, _ := strings.Cut(string(printed), " ")
	require.Contains(t, string(doc), `"sha256": "`+hash+`"`)

	// The sample in the documentation is a good file.
	_, sample, _ := strings.Cut(string(doc), "//\t{\n")
	sample, _, _ = strings.Cut(sample, "//\t}\n")
	sample = "{\n" + strings.ReplaceAll(sample, "//\t", "") + "}\n"
	f, _, _ := opened(t, sample)
	require.Equal(t, []string{"my-write-key", "another-key"}, known(t, f, "my-write-key", "another-key"))
	page, err := os.ReadFile(filepath.Join("..", "docs", "OPERATIONS.md"))
	require.NoError(t, err)
	require.Contains(t, string(page), "<!-- keyfile -->\n```json\n"+sample+"```\n<!-- /keyfile -->")
	require.Contains(t, string(page), "`"+string(command)+"`")
}

func TestAllocs(t *testing.T) {
	f, _, _ := opened(t, list("a"))
	for _, key := range []string{"a", "none"} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			_, _ = f.Authenticate(context.Background(), inlet.Credentials{Key: key})
		}))
	}
}
