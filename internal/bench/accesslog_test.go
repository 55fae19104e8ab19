package bench

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
)

// The kinds of standard layers: without an access log, and with one to a file.
const (
	kindStandard     = "standard"
	kindStandardLog  = "standard-log"
	kindStandardJSON = "standard-json"
)

// newStandard returns the handler with all standard layers, both limits, and an access log, unless
// that is nil.
func newStandard(log slog.Handler) (http.Handler, error) {
	const never = 1e8 // requests per second
	limit := middleware.Rate{Requests: never}
	o := &middleware.StandardOptions{PerIP: limit, PerSource: limit, Migrations: []inlet.Migration{inlet.CommandersActV1()}, NoAccessLog: log == nil}
	if log != nil {
		o.Logger = slog.New(log)
	}
	return newMount(middleware.Standard(benchKeys(), o))
}

// newStandardOf returns the standard layers of a kind, and what closes its log, which is a file
// in a directory.
func newStandardOf(kind, directory string) (handler http.Handler, closeLog func(), err error) {
	if kind == kindStandard {
		handler, err = newStandard(nil)
		return handler, func() {}, err
	}
	file, err := os.Create(filepath.Join(directory, "access.log"))
	if err != nil {
		return nil, nil, err
	}
	log, err := middleware.NewBufferedLog(file, &middleware.BufferedLogOptions{JSON: kind == kindStandardJSON})
	if err != nil {
		return nil, nil, err
	}
	handler, err = newStandard(log)
	return handler, func() { _, _ = log.Close(), file.Close() }, err
}

// BenchmarkEndpointLog is the time of the access log in process: of a request with it, to a file,
// less that of one without it.
func BenchmarkEndpointLog(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	pool := now().Tracks()
	for _, kind := range []string{kindStandardLog, kindStandardJSON} {
		b.Run(kind, func(b *testing.B) {
			var sends [2]func(i int)
			for i, k := range []string{kindStandard, kind} {
				handler, closeLog, err := newStandardOf(k, b.TempDir())
				require.NoError(b, err)
				b.Cleanup(closeLog)
				c := newCaller(handler, trackPath)
				c.requireAccepted(b, pool)
				sends[i] = c.over(pool)
			}
			n := calibrated(sends[0], sends[1])
			var more []float64
			for b.Loop() {
				for i := range pairSlices {
					without, with := timed(i*n, n, sends[0]), timed(i*n, n, sends[1])
					more = append(more, float64(with-without)/float64(n)/1000)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(more), "µs/request")
			results.add(result{number: "b4", what: kind + " in µs per request, in process", bound: 1.5, measured: median(more)})
		})
	}
}

// All standard layers, with an access log, take four allocations more than the bare handler.
// Not parallel: allocations are counted for the whole process.
func TestStandardAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	allocs := func(t *testing.T, handler http.Handler, path string, pool [][]byte) float64 {
		c := newCaller(handler, path)
		c.requireAccepted(t, pool)
		i := 0
		send := c.over(pool)
		return testing.AllocsPerRun(200, func() { send(i); i++ })
	}
	for _, kind := range singleKinds {
		t.Run(kind.name, func(t *testing.T) {
			pool := kind.pool(Corpus{})
			standard, closeLog, err := newStandardOf(kindStandardLog, t.TempDir())
			require.NoError(t, err)
			t.Cleanup(closeLog)
			more := allocs(t, standard, kind.path, pool) - allocs(t, bareHandler(nil), kind.path, pool)
			require.LessOrEqual(t, more, 4.0)
		})
	}
}
