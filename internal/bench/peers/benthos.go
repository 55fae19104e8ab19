//go:build linux && heavy

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// heavyPeers are those that take minutes to compile.
func heavyPeers() []peer {
	return []peer{
		{name: "Benthos, http_server to file", means: "in the kernel", start: withBenthos, keyless: true},
		{name: "OpenTelemetry, otlpreceiver to fileexporter", means: "in memory, up to a second", start: withCollector, keyless: true, form: otlp, read: readRecords},
	}
}

// streams are the configurations of the two endpoints. They refuse events without a messageId or
// without a user, as all others do: with 502. A mapping that assigns nothing leaves the bytes of
// an event as they are.
var streams = map[string]string{segment.single: singleStream, segment.batch: batchStream}

const (
	singleStream = `
input:
  http_server:
    path: %s
    allowed_verbs: [POST]
pipeline:
  processors:
    - mapping: |
        root = if this.messageId.or("") == "" || this.userId.or("") == "" && this.anonymousId.or("") == "" {
          throw("no messageId, or neither userId nor anonymousId")
        }
output:
  reject_errored:
    file:
      path: %s
`
	batchStream = `
input:
  http_server:
    path: %s
    allowed_verbs: [POST]
pipeline:
  processors:
    - mapping: root = this.batch
    - unarchive:
        format: json_array
    - mapping: |
        root = if this.messageId.or("") == "" || this.userId.or("") == "" && this.anonymousId.or("") == "" {
          throw("no messageId, or neither userId nor anonymousId")
        }
output:
  reject_errored:
    file:
      path: %s
`
)

// withBenthos runs streams whose inputs are on a server of the host's, as their builder offers.
func withBenthos(dir string) (stop func() error, err error) {
	mux := http.NewServeMux()
	var closers []func() error
	for path, config := range streams {
		endpoint, stop, err := runStream(path, fmt.Sprintf(config, path, filepath.Join(dir, filepath.Base(path)+".ndjson")))
		if err != nil {
			return nil, err
		}
		mux.Handle(path, endpoint)
		closers = append(closers, stop)
	}
	return serveHTTP(mux, closers...)
}

// runStream runs a stream and returns its endpoint and what stops it.
func runStream(path, config string) (endpoint http.Handler, stop func() error, err error) {
	builder := service.NewStreamBuilder()
	input := &streamInput{path: path, endpoint: make(chan http.HandlerFunc, 1)}
	builder.SetHTTPMux(input)
	if err := errors.Join(builder.SetYAML(config), builder.SetLoggerYAML("level: ERROR")); err != nil {
		return nil, nil, err
	}
	stream, err := builder.Build()
	if err != nil {
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	select {
	case endpoint = <-input.endpoint:
	case err := <-ended:
		return nil, nil, fmt.Errorf("the stream has ended: %w", err)
	}
	return endpoint, func() error { return errors.Join(stream.Stop(context.Background()), <-ended) }, nil
}

// A streamInput takes the endpoint at a path from a stream.
type streamInput struct {
	path     string
	endpoint chan http.HandlerFunc
}

// HandleFunc implements service.HTTPMultiplexer. Streams also have endpoints for figures.
func (s *streamInput) HandleFunc(path string, endpoint func(http.ResponseWriter, *http.Request)) {
	if path != s.path {
		return
	}
	select {
	case s.endpoint <- endpoint:
	default: // it is registered once
	}
}
