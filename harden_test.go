package inlet_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

func ExampleHarden() {
	server := inlet.Harden(&http.Server{Addr: ":8080", IdleTimeout: 90 * time.Second})
	fmt.Println(server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes)
	// Output: 5s 1m30s 65536
}

func TestHardenSetsOnlyWhatIsZero(t *testing.T) {
	t.Parallel()
	given := &http.Server{
		ReadHeaderTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
		IdleTimeout: 4 * time.Second, MaxHeaderBytes: 5,
	}
	require.Same(t, given, inlet.Harden(given))
	require.Equal(t, time.Second, given.ReadHeaderTimeout)
	require.Equal(t, 4*time.Second, given.IdleTimeout)
	require.Equal(t, 5, given.MaxHeaderBytes)
	require.Equal(t, 2*time.Second, given.ReadTimeout)
	require.Equal(t, 3*time.Second, given.WriteTimeout)
	require.Zero(t, inlet.Harden(new(http.Server)).ReadTimeout)
	require.Zero(t, inlet.Harden(new(http.Server)).WriteTimeout)
}

func TestAServerWithoutATimeForHeadersIsWarnedAboutOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config func(*http.Server)
		warns  int
	}{
		{"as it comes", func(*http.Server) {}, 1},
		{"with a negative time, which is none", func(s *http.Server) { s.ReadHeaderTimeout = -1 }, 1},
		{"hardened", func(s *http.Server) { inlet.Harden(s) }, 0},
		{"with a time for the whole request", func(s *http.Server) { s.ReadTimeout = time.Minute }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer // slog's handlers lock
			h := mustNew(t, new(keeper), &inlet.Options{AllowAnonymous: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			s := httptest.NewUnstartedServer(h)
			test.config(s.Config)
			s.Start()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					resp, err := s.Client().Post(s.URL+"/v1/track", "application/json", strings.NewReader(goodTrack))
					if err == nil {
						resp.Body.Close()
					}
				})
			}
			wg.Wait()
			s.Close()
			require.Equal(t, test.warns, strings.Count(log.String(), "ReadHeaderTimeout"), "%s", log.String())
			if test.warns > 0 {
				require.Contains(t, log.String(), "level=WARN")
			}
		})
	}
}

func TestAHandlerThatNoServerCallsWarnsOfNone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := mustNew(t, new(keeper), &inlet.Options{AllowAnonymous: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	requireTaken(t, serve(h, request("POST", "/v1/track", strings.NewReader(goodTrack))))
	require.Empty(t, log.String())
}
