package inlet_test

import (
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks"
)

// silentWriter is a writer that allocates nothing, as that of net/http does not
// once its connection is warm.
type silentWriter struct{ header http.Header }

func (w *silentWriter) Header() http.Header             { return w.header }
func (w *silentWriter) Write(b []byte) (int, error)     { return len(b), nil }
func (w *silentWriter) WriteHeader(int)                 {}
func (w *silentWriter) SetReadDeadline(time.Time) error { return nil }

// vouchedAllocations returns how many allocations it costs to take in a body that
// an authentication layer has vouched for.
func vouchedAllocations(t *testing.T, path, body string) float64 {
	h := mustNew(t, new(sinks.Discard), nil)
	r := vouched(path, body)
	w := &silentWriter{http.Header{}}
	reader := strings.NewReader(body)
	closer := io.NopCloser(reader)
	return testing.AllocsPerRun(200, func() {
		clear(w.header)
		reader.Reset(body)
		r.Body = closer
		h.ServeHTTP(w, r)
	})
}

// underRace reports whether the race detector is on, which allocates by itself.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestDialectsCostNoMoreAllocationsThanSegment(t *testing.T) {
	if underRace() {
		t.Skip("the race detector allocates")
	}
	acts := strings.Replace(goodActs, `"login"`, `"login","search_term":"x","items":[{"id":"1"}]`, 1)
	single := vouchedAllocations(t, "/v1/track", goodTrack)
	batch := vouchedAllocations(t, "/v1/batch", batchOf(repeated(100, `{"type":"track",`+goodTrack[1:])...))
	for _, tt := range []struct {
		name, path, body string
		most             float64
	}{
		{"a hit", "/track", goodHit, single},
		{"a hit with members that no field holds", "/collect", `{"type":"event","website":{},` + goodHit[1:], single},
		{"a hit without an id", "/track", `{"event":{"name":"Registered","user":{"anonymousId":"a1"}}}`, single},
		{"an event", "/events", acts, single},
		{"an event of a site", actsPath, acts, single},
		{"a batch of a hundred events", "/events/batch?tc_s=3311", batchOf(repeated(100, acts)...), batch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := vouchedAllocations(t, tt.path, tt.body)
			t.Logf("%v allocations, of %v", n, tt.most)
			require.LessOrEqual(t, n, tt.most)
		})
	}
}
