//go:build !linux

package bench

// serveForBenchmark is for the loopback benchmarks, which exist on Linux only: they pin
// processes to processors.
func serveForBenchmark() bool { return false }
