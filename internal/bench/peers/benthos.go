//go:build linux && heavy

package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// heavyPeers are those that take minutes to compile.
func heavyPeers() []peer {
	return []peer{
		{name: "Benthos, http_server to file", means: "in the kernel", start: withBenthos},
		{name: "OpenTelemetry, otlpreceiver to fileexporter", means: "in memory, up to a second", start: withCollector, form: otlp, read: readRecords},
	}
}

// benthosConfig is a stream that refuses events without a messageId and without a user, as all
// others do. A refused message is answered with 502.
const benthosConfig = `
input:
  http_server:
    path: /t/v1/{kind}
    allowed_verbs: [POST]
pipeline:
  processors:
    - switch:
        - check: this.exists("batch")
          processors:
            - mapping: root = this.batch
            - unarchive:
                format: json_array
    - mapping: |
        root = if this.messageId.or("") == "" || this.userId.or("") == "" && this.anonymousId.or("") == "" {
          throw("no messageId, or neither userId nor anonymousId")
        } else {
          this
        }
output:
  reject_errored:
    file:
      path: %q
      codec: lines
`

// withBenthos runs a stream whose input is on a server of the host's, as its builder offers.
func withBenthos(dir string) (stop func() error, err error) {
	builder := service.NewStreamBuilder()
	mux := &waitingMux{registered: make(chan struct{})}
	builder.SetHTTPMux(mux)
	if err := builder.SetYAML(fmt.Sprintf(benthosConfig, filepath.Join(dir, "events.ndjson"))); err != nil {
		return nil, err
	}
	if err := builder.SetLoggerYAML("level: ERROR"); err != nil {
		return nil, err
	}
	stream, err := builder.Build()
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	select {
	case <-mux.registered:
	case err := <-ended:
		return nil, fmt.Errorf("the stream has ended: %w", err)
	}
	return serveHTTP(mux, func() error { return stream.Stop(context.Background()) }, func() error { return <-ended })
}

// A waitingMux has the one endpoint of the stream, which waits for it. The path of the input is
// the form of another router than that of net/http.
type waitingMux struct {
	once       sync.Once
	registered chan struct{}
	endpoint   http.HandlerFunc
}

// HandleFunc implements service.HTTPMultiplexer.
func (m *waitingMux) HandleFunc(path string, endpoint func(http.ResponseWriter, *http.Request)) {
	if path != "/t/v1/{kind}" {
		return // figures and readiness
	}
	m.once.Do(func() {
		m.endpoint = endpoint
		close(m.registered)
	})
}

// ServeHTTP implements [http.Handler].
func (m *waitingMux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.endpoint(w, r) }
