//go:build !linux

package bench

// serveForBenchmark is for the loopback benchmarks, which pin processes to
// processors as Linux does it and exist only there.
func serveForBenchmark() bool { return false }
