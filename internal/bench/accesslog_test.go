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
	"github.com/inlet-go/inlet/middleware"
)

// The kinds of standard layers: without an access log, and with one to a file.
const (
	kindStandard     = "standard"
	kindStandardLog  = "standard-log"
	kindStandardJSON = "standard-json"
)

// newStandard returns the handler with all standard layers, both limits, and an access log of a
// kind to a file in a directory.
func newStandard(kind, directory string) (http.Handler, error) {
	const never = 1e8 // requests per second
	limit := middleware.Rate{Requests: never}
	o := &middleware.StandardOptions{
		PerIP: limit, PerSource: limit, Migrations: []inlet.Migration{inlet.CommandersActV1()}, NoAccessLog: kind == kindStandard,
	}
	if !o.NoAccessLog {
		file, err := os.Create(filepath.Join(directory, "access.log"))
		if err != nil {
			return nil, err
		}
		log, err := middleware.NewBufferedLog(file, &middleware.BufferedLogOptions{JSON: kind == kindStandardJSON})
		if err != nil {
			return nil, err
		}
		o.Logger = slog.New(log)
	}
	return newMount(middleware.Standard(benchKeys(), o))
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
				handler, err := newStandard(k, b.TempDir())
				require.NoError(b, err)
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
