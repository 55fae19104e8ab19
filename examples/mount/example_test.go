package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// The README has this mount.
func Example() {
	mux := http.NewServeMux()
	store, err := journal.Open("inlet-data", nil)
	if err != nil {
		log.Fatal(err)
	}
	api, err := inlet.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"my-write-key": {ID: "website"}})
	layers := middleware.Standard(keys, &middleware.StandardOptions{
		Prefix:     "/t", // ad blockers know /analytics
		Origins:    []string{"https://shop.example", "https://*.shop.example"},
		PerIP:      middleware.Rate{Events: 50, Burst: 100},
		PerSource:  middleware.Rate{Events: 500, Burst: 1000},
		Migrations: []inlet.Migration{inlet.CommandersActV1()},
	})
	mux.Handle("/t/", layers(api))

	r := httptest.NewRequest("POST", "/t/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"user-1"}`))
	r.SetBasicAuth("my-write-key", "")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 {"success":true}
}

// metrics is an observer.
type metrics map[inlet.Code]int

func newMetrics() metrics { return metrics{} }

func (m metrics) ObserveRequest(_ context.Context, o *inlet.Outcome) { m[o.Code]++ }

// OPERATIONS.md has this code.
func Example_observer() {
	store := new(sinks.Memory)
	keys := inlet.MustKeys(map[string]inlet.Source{"my-write-key": {ID: "website"}})
	observer := newMetrics()
	api, err := inlet.New(store, &inlet.Options{Observer: observer})
	if err != nil {
		log.Fatal(err)
	}
	handler := middleware.Standard(keys, &middleware.StandardOptions{Observer: observer})(api)

	for _, key := range []string{"my-write-key", "other"} {
		r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"user-1"}`))
		r.SetBasicAuth(key, "")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	fmt.Println(observer)
	// Output: map[:1 unknown_key:1]
}

// OPERATIONS.md has this code.
func Example_rejects() {
	store := new(sinks.Memory)
	rejects, err := journal.Open("inlet-rejects", &journal.Options{RetainBytes: 1 << 30})
	if err != nil {
		log.Fatal(err)
	}
	api, err := inlet.New(store, &inlet.Options{Rejects: rejects})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = rejects.Close(context.Background()) }()

	err = api.Ingest(context.Background(), &inlet.Source{ID: "website"}, &inlet.Event{Type: inlet.TypeTrack})
	fmt.Println(err != nil)
	// Output: true
}

// The command that OPERATIONS.md shows prints what was refused, while the server runs and later.
func TestRejectsCommand(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not installed")
	}
	page := operations(t)
	at := strings.Index(page, "cat inlet-rejects/")
	require.Positive(t, at)
	command, _, _ := strings.Cut(page[at:], "\n")
	dir := t.TempDir()
	for _, name := range []string{"First", "Second"} {
		rejects, err := journal.Open(filepath.Join(dir, "inlet-rejects"), nil)
		require.NoError(t, err)
		api, err := inlet.New(new(sinks.Memory), &inlet.Options{Rejects: rejects, AllowAnonymous: true})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"event":"`+name+`"}`)))
		require.Equal(t, 400, w.Code)
		shell := exec.CommandContext(t.Context(), "sh", "-c", command)
		shell.Dir = dir
		printed, err := shell.CombinedOutput()
		require.NoError(t, err, "%s", printed)
		require.Contains(t, string(printed), `["no_user_anon_id","First","`)
		require.Contains(t, string(printed), `"`+name+`"`)
		require.NoError(t, rejects.Close(context.Background()))
	}
}

func operations(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(source, "..", "..", "docs", "OPERATIONS.md"))
	require.NoError(t, err)
	return string(page)
}

// source is the directory of this file. The tests run in another one, where the example may
// write.
var source string

func TestMain(m *testing.M) { os.Exit(runElsewhere(m)) }

func runElsewhere(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mount")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		if source, err = os.Getwd(); err == nil {
			err = os.Chdir(dir)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
