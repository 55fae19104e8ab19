//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// requireNoText requires that no file below a directory has the text.
func requireNoText(t *testing.T, dir, text string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		require.NotContains(t, string(content), text, name)
		return err
	}))
}

func TestErase(t *testing.T) {
	t.Parallel()
	w := withLetters(t) // m5, of user-2, and m24, of user-3, are dead letters
	p := startWith(t, w.dir, nil)
	for _, body := range []string{
		`{"userId":"user-2","anonymousId":"device-2"}`, // without a name
		`{"event":"E","anonymousId":"user-2"}`,
		`{"event":"E","userId":"user-22"}`,
		`{"event":"E","userId":["user-2"]}`,
		`{"event":"E","userId":["user-22"]}`,
		`{"event":"E","userId":"user-2","anonymousId":"device-2"}`,
		`{"event":"E","userId":"other","anonymousId":"device-2"}`,
	} {
		p.post(t, "/v1/track", body)
	}
	p.post(t, "/v1/alias", `{"userId":"user-2","previousId":"before-2"}`)
	p.post(t, "/v1/alias", `{"userId":"next","previousId":"user-2"}`)
	_, stderr, status := w.inlet("erase", "-user", "user-2")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "in use by another journal: stop the server first")
	p.stop(t)
	quarantine := filepath.Join(w.dir, "quarantine")
	require.NoError(t, os.MkdirAll(quarantine, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(quarantine, "x"), []byte(`{"type":"track","userId":"user-2","ev`+"\nother\n"), 0o600))

	facts := map[string]string{}
	for _, row := range cells(w.succeed(t, "erase", "-user", "user-2")) {
		facts[row[0]] = strings.Join(row[1:], " ")
	}
	require.Equal(t, map[string]string{
		"erased events": "11", "erased dead letters": "1", "erased refused events": "2", "erased violations": "0", "erased from quarantine": "1",
		"erased damaged lines": "0", "unreadable lines left": "1", "anonymous id": "device-2",
		"destination": "backup received 8 pending 3 dead letters 1",
	}, facts)
	require.Empty(t, w.succeed(t, "tail", "-n", "0", "-user", "user-2", "-type", "alias"))
	require.Contains(t, w.succeed(t, "verify"), "faults\t0\n")
	kept := w.succeed(t, "tail", "-n", "0", "-json")
	require.NotContains(t, kept, `"userId":"user-2"`)
	require.Contains(t, kept, `"anonymousId":"user-2"`, "which is the anonymousId of somebody else")
	require.Contains(t, kept, `"userId":"user-22"`)
	require.Equal(t, 1, strings.Count(kept, "device-2"))

	require.Contains(t, w.succeed(t, "erase", "-anonymous", "device-2", "-damaged"), "erased events\t1\n")
	requireNoText(t, w.dir, "device-2")
	require.NoFileExists(t, filepath.Join(quarantine, "x"))

	// The server goes on, with higher numbers.
	p = startWith(t, w.dir, nil)
	p.post(t, "/v1/track", `{"event":"E","userId":"new"}`)
	require.Equal(t, "31", cells(w.succeed(t, "tail", "-n", "1"))[0][0])
}

func TestEraseFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		args   []string
		status int
		text   string
	}{
		{nil, 2, "-user or -anonymous is missing"},
		{[]string{"-anonymous", ""}, 2, "must not be empty"},
		{[]string{"-user", "u", "-dir", filepath.Join(w.dir, "none")}, 1, "no such file"},
	} {
		_, stderr, status := w.inlet(append([]string{"erase"}, tt.args...)...)
		require.Equal(t, tt.status, status)
		require.Contains(t, stderr, tt.text)
	}
	require.NoDirExists(t, filepath.Join(w.dir, "none"))
	require.Contains(t, w.succeed(t, "erase", "-user", "unknown"), "erased events\t0\n")
	require.Len(t, cells(w.succeed(t, "tail", "-n", "0")), 24)
}

// Ids of every kind are erased, and others that contain them are not.
func TestEraseIDs(t *testing.T) {
	t.Parallel()
	for i, id := range []string{"1", `q"u\o`, "žluť/+?&#%20", "<a&b>", strings.Repeat("x", 300), " a b "} {
		w := newWorld(t)
		var more []*inlet.Event
		for n, user := range []string{id, id + "0", "0" + id} {
			e := *w.events[0]
			e.MessageID, e.UserID = fmt.Sprintf("id-%d", n), user
			more = append(more, &e)
		}
		w.write(t, more, 3)
		w.dir = copyDir(t, w.dir)
		w.succeed(t, "erase", "-user", id)
		var kept []string
		for line := range strings.Lines(w.succeed(t, "tail", "-n", "2", "-json")) {
			var e inlet.Event
			require.NoError(t, json.Unmarshal([]byte(line), &e))
			kept = append(kept, e.UserID)
		}
		require.Equal(t, []string{id + "0", "0" + id}, kept, "%d", i)
	}
}

// What was refused and cannot be read as an event is searched for ids as text.
func TestMentions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, id string
		want     bool
	}{
		{`{"userId":["user-1"]}`, "user-1", true},
		{`{"userId":["user-12"]}`, "user-1", false},
		{`{"userId":["a-user-1"]}`, "user-1", false},
		{`{"userId":["user-1-2"]}`, "user-1", false},
		{`{"userId":["user-1ž"]}`, "user-1", false},
		{`{"userId":["user-12","user-1"]}`, "user-1", true},
		{`{"userId":["user-1-2","x-user-1"],"a":user-1`, "user-1", true},
		{`userId=user-1&event=E`, "user-1", true},
		{`userId=user-12&event=E`, "user-1", false},
		{`data=%22user-1%22`, "user-1", true},
		{`data=%22user-1%32%22`, "user-1", false},
		{`data=%61user-1`, "user-1", false},
		{`data=%C5%BEuser-1`, "user-1", false},
		{`{"a":"\u0022user-1\u0022"}`, "user-1", true},
		{`{"a":"\u0061user-1"}`, "user-1", false},
		{`{"a":"x\nuser-1\n"}`, "user-1", true},
		{`{"a":"{\"userId\":\"user-1\"}"}`, "user-1", true},
		{`user-1`, "user-1", true},
		{`{"userId":["maria"]}`, "maria", true},
		{`{"userId":["mariana"]}`, "maria", false},
		{`{"userId":["maria@shop.example"]}`, "maria@shop.example", true},
		{`userId=maria%40shop.example`, "maria@shop.example", true},
		{`userId=ana-maria%40shop.example`, "maria@shop.example", false},
		{`x+/id==y`, "+/id==", true},
		{strings.Repeat("user-1", 1000), "user-1", false},
	} {
		require.Equal(t, tt.want, mentions(tt.text, tt.id), "%.60s", tt.text)
	}
}
