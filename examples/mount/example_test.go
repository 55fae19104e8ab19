package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// The README shows the code between the marks.
func Example() {
	mux := http.NewServeMux()
	// [README
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
	// README]

	r := httptest.NewRequest("POST", "/t/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"user-1"}`))
	r.SetBasicAuth("my-write-key", "")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 {"success":true}
}

// All Go code that the README shows is compiled and run: here, or in the example of another
// directory.
func TestReadmeShowsExamples(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(source, "..", "..", "README.md"))
	require.NoError(t, err)
	compiled := snippets(t)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.Len(t, blocks, len(compiled))
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		require.Contains(t, compiled, block)
	}
}

// snippets returns the code between the marks in the tests of all examples.
func snippets(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(source, "..", "*", "example_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, part := range strings.Split(string(text), "\t// [README\n")[1:] {
			snippet, _, closed := strings.Cut(part, "\t// README]\n")
			require.True(t, closed, file)
			all = append(all, strings.ReplaceAll("\n"+snippet, "\n\t", "\n")[1:])
		}
	}
	return all
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
