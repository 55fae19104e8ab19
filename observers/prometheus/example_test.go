package inletprom_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	inletprom "github.com/inlet-go/inlet/observers/prometheus"
	"github.com/inlet-go/inlet/sinks/journal"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "inlet")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := journal.Open(dir, &journal.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"write-key": {ID: "shop"}})
	limits, err := middleware.NewMemoryLimiter(nil)
	if err != nil {
		log.Fatal(err)
	}

	metrics, err := inletprom.New(prometheus.DefaultRegisterer, nil)
	if err != nil {
		log.Fatal(err)
	}
	api, err := inlet.New(metrics.Sink("journal", store), &inlet.Options{Observer: metrics})
	if err != nil {
		log.Fatal(err)
	}
	metrics.Watch("journal", store)    // the journal and its deliveries
	metrics.WatchHandler("api", api)   // the memory of requests
	metrics.WatchLimiter("ip", limits) // a MemoryLimiter

	mux := http.NewServeMux()
	mux.Handle("/v1/", metrics.Layer(middleware.Standard(keys, nil)(api)))
	mux.Handle("/metrics", promhttp.Handler())

	event := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"userId":"u","event":"Signed Up"}`))
	event.SetBasicAuth("write-key", "")
	mux.ServeHTTP(httptest.NewRecorder(), event)

	page := httptest.NewRecorder()
	mux.ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "inlet_requests_total") || strings.HasPrefix(line, "inlet_journal_events_total") {
			fmt.Print(line)
		}
	}
	if err := inlet.Close(event.Context(), store); err != nil {
		log.Fatal(err)
	}
	// Output:
	// inlet_journal_events_total{journal="journal"} 1
	// inlet_requests_total{code="",dialect="segment",path="/v1/track",source="shop",status="200"} 1
}
