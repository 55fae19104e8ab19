//go:build linux && heavy

package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

// otlp is requests of OpenTelemetry's own format. An event is the text of a log record. The binary
// form costs a server less than JSON.
var otlp = &form{single: "/v1/logs", batch: "/v1/logs", contentType: "application/x-protobuf", encode: encodeRecords}

func encodeRecords(body []byte) ([]byte, error) {
	var b struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	if b.Batch == nil {
		b.Batch = []json.RawMessage{body}
	}
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, event := range b.Batch {
		records.AppendEmpty().Body().SetStr(string(event))
	}
	return plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
}

// readRecords reads the requests that the exporter has kept, one per line, and the event in the
// text of each record.
func readRecords(line []byte, found func(id string)) error {
	logs, err := new(plog.JSONUnmarshaler).UnmarshalLogs(line)
	if err != nil {
		return err
	}
	for _, r := range logs.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			for _, record := range s.LogRecords().All() {
				if err := readEvent([]byte(record.Body().Str()), found); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// withCollector connects the receiver to the exporter without a processor between them, which is
// the cheapest pipeline that a collector can have.
func withCollector(dir string) (stop func() error, err error) {
	ctx, host := context.Background(), componenttest.NewNopHost()
	exporters := fileexporter.NewFactory()
	files := exporters.CreateDefaultConfig().(*fileexporter.Config)
	// What a configuration without a section about rotation becomes.
	files.Path, files.Rotation, files.FlushInterval = filepath.Join(dir, "events.ndjson"), nil, time.Second
	out, err := exporters.CreateLogs(ctx, exporter.Settings{
		ID: component.NewID(exporters.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}, files)
	if err != nil {
		return nil, err
	}
	receivers := otlpreceiver.NewFactory()
	protocols := receivers.CreateDefaultConfig().(*otlpreceiver.Config)
	protocols.Protocols.GRPC = configoptional.None[configgrpc.ServerConfig]()
	protocols.Protocols.HTTP.GetOrInsertDefault().ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	in, err := receivers.CreateLogs(ctx, receiver.Settings{
		ID: component.NewID(receivers.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}, protocols, out)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(out.Start(ctx, host), in.Start(ctx, host)); err != nil {
		return nil, err
	}
	return func() error { return errors.Join(in.Shutdown(ctx), out.Shutdown(ctx)) }, nil
}
