package httpsink_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinktest"
)

func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	batch := sinktest.Events(400)
	s := newOffline(t, answered, nil)
	few := testing.AllocsPerRun(100, func() { require.NoError(t, s.Write(t.Context(), batch[:1])) })
	many := testing.AllocsPerRun(100, func() { require.NoError(t, s.Write(t.Context(), batch)) })
	require.Less(t, many-few, 8.0, "%v for one event, %v for %d", few, many, len(batch))
	require.Less(t, few, 60.0)
}

// answered is a transport that reads a request and answers immediately, so that the
// work of the sink is what is measured.
func answered(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte(`{"success":true}`)))}, nil
}

// BenchmarkWrite writes a batch of 100 events.
func BenchmarkWrite(b *testing.B) {
	batch := sinktest.Events(100)
	size := 0
	for _, e := range batch {
		size += len(e.AppendJSON(nil))
	}
	run := func(name string, s *httpsink.Sink) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Write(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("gzip", newOffline(b, answered, nil))
	run("plain", newOffline(b, answered, &httpsink.Options{DisableCompression: true}))
	run("over loopback", newSink(b, newReceiver(b, nil, func(inlet.Sink) inlet.Sink { return discard }).url, nil))
}

var discard = inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })

// BenchmarkGzip compares the standard library's encoder with the one that the
// root package uses, on the body of such a batch.
func BenchmarkGzip(b *testing.B) {
	var text []byte
	for _, e := range sinktest.Events(100) {
		text = append(e.AppendJSON(text), ',')
	}
	var out bytes.Buffer
	type encoder interface {
		io.WriteCloser
		Reset(io.Writer)
	}
	run := func(name string, w encoder, err error) {
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				out.Reset()
				w.Reset(&out)
				_, _ = w.Write(text)
				_ = w.Close()
			}
			b.ReportMetric(float64(len(text))/float64(out.Len()), "ratio")
		})
	}
	standard, err := stdgzip.NewWriterLevel(nil, stdgzip.BestSpeed)
	run("standard", standard, err)
	other, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	run("klauspost", other, err)
}
