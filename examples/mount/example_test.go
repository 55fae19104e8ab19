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

// The README shows what stands between the marks.
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
	layers := middleware.Chain(middleware.Recover(nil), middleware.CORS(nil), middleware.Payload(nil), middleware.Auth(keys, nil))
	mux.Handle("/analytics/", http.StripPrefix("/analytics", layers(api)))
	// README]

	r := httptest.NewRequest("POST", "/analytics/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"user-1"}`))
	r.SetBasicAuth("my-write-key", "")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 {"success":true}
}

func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(source, "..", "..", "README.md"))
	require.NoError(t, err)
	example, err := os.ReadFile(filepath.Join(source, "example_test.go"))
	require.NoError(t, err)
	_, snippet, _ := strings.Cut(string(example), "\t// [README\n")
	snippet, _, marked := strings.Cut(snippet, "\t// README]\n")
	require.True(t, marked)
	snippet = strings.TrimPrefix(strings.ReplaceAll("\n"+snippet, "\n\t", "\n"), "\n")
	require.Contains(t, string(readme), "```go\n"+snippet+"```\n")
}

// source is the directory of this file. The tests run in one of their own, where
// the example may write.
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
