package main

import (
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			s, err := openCSV(filepath.Join(t.TempDir(), "events.csv"))
			require.NoError(t, err)
			return s
		},
		Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return stored(t, s.(*csvSink).file.Name()) },
		Features: sinktest.Features{Durability: inlet.DurabilityOSBuffer, Ordered: true},
	})
}

// stored returns the events in the last column of a file.
func stored(t testing.TB, path string) []*inlet.Event {
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Equal(t, header, records[0])
	var events []*inlet.Event
	for _, record := range records[1:] {
		e := new(inlet.Event)
		require.NoError(t, e.UnmarshalJSON([]byte(record[len(record)-1])))
		events = append(events, e)
	}
	return events
}

func TestRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.csv")
	for range 2 { // the second run continues the file of the first
		ctx, stop := context.WithCancel(t.Context())
		out, stdout := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, config{addr: "127.0.0.1:0", file: path}, stdout) }()

		require.Equal(t, 200, send(t, address(t, out)))
		stop()
		require.NoError(t, <-ended)
	}
	events := stored(t, path)
	require.Len(t, events, 2)
	require.Equal(t, `Says "hi", twice`, events[1].Name)
	require.Equal(t, "website", events[1].Source.ID)
}

// address returns the URL in what the program prints.
func address(t *testing.T, out io.Reader) string {
	t.Helper()
	printed := make([]byte, 4096)
	n, err := out.Read(printed)
	require.NoError(t, err)
	url := regexp.MustCompile(`http://[\d.:]+`).Find(printed[:n])
	require.NotEmpty(t, url, "%s", printed[:n])
	return string(url)
}

func send(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url+"/v1/track", strings.NewReader(`{"event":"Says \"hi\", twice","userId":"u"}`))
	require.NoError(t, err)
	r.SetBasicAuth("my-write-key", "")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
