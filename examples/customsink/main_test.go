package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
		go func() { ended <- run(ctx, "127.0.0.1:0", path, stdout) }()

		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, 200, send(t, strings.TrimSpace(strings.TrimPrefix(line, "listening on "))))
		stop()
		require.NoError(t, <-ended)
	}
	events := stored(t, path)
	require.Len(t, events, 2)
	require.Equal(t, `Says "hi", twice`, events[1].Name)
	require.Equal(t, "website", events[1].Source.ID)
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
