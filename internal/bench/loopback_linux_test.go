package bench

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// How much a loopback benchmark sends. Slices to the bare server and to ours alternate.
const (
	loopbackSlices  = 15
	connections     = 16
	batchClients    = 8
	singlesPerSlice = 3_000
	batchesPerSlice = 300
	idleConnections = 1_000
	idleRounds      = 3
)

// A contender is a server process with its client.
type contender struct {
	server *server
	client *client
}

// A contest is between the bare server; the bare server that validates what it reads and
// answers as SDKs need, the minimum cost of a receiver on this machine; ours; and ours with
// all layers. The servers have one processor, their clients another.
type contest struct{ bare, valid, ours, chain contender }

func newContest(b *testing.B, n int, path string, bodies [][]byte) contest {
	b.Helper()
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the servers and another for the clients")
	}
	made := requests(path, bodies)
	start := func(kind string) contender {
		s := startServer(b, kind)
		return contender{s, dial(b, s.address, n, made)}
	}
	c := contest{start("bare"), start("valid"), start("ours"), start("chain")}
	stayOn(b, 1)
	return c
}

// A cost is what one request costs a server: nanoseconds and allocations.
type cost struct{ cpu, allocations float64 }

// slice sends n requests and returns the cost of one.
func (c contender) slice(b *testing.B, n int) cost {
	b.Helper()
	before := c.server.used(b, false)
	require.NoError(b, c.client.send(n))
	after := c.server.used(b, false)
	return cost{
		cpu:         float64(after.CPU-before.CPU) / float64(n),
		allocations: float64(after.Allocations-before.Allocations) / float64(n),
	}
}

// An outcome has the medians over the slices of a contest.
type outcome struct {
	ratio, validRatio, chainRatio float64 // CPU over that of the bare server
	allocations                   float64 // of the chain, less those of the bare server
	bare, ours                    float64 // CPU in nanoseconds
}

// run sends slices of n requests to the servers in turn.
func (c contest) run(b *testing.B, n int) outcome {
	b.Helper()
	for _, r := range []contender{c.bare, c.valid, c.ours, c.chain} {
		r.slice(b, n) // to warm up
	}
	var ratios, valids, chains, extra, bares, oursAll []float64
	for b.Loop() {
		for range loopbackSlices {
			bare, valid, ours, chain := c.bare.slice(b, n), c.valid.slice(b, n), c.ours.slice(b, n), c.chain.slice(b, n)
			ratios, valids = append(ratios, ours.cpu/bare.cpu), append(valids, valid.cpu/bare.cpu)
			chains = append(chains, chain.cpu/bare.cpu)
			extra = append(extra, chain.allocations-bare.allocations)
			bares, oursAll = append(bares, bare.cpu), append(oursAll, ours.cpu)
		}
	}
	o := outcome{median(ratios), median(valids), median(chains), median(extra), median(bares), median(oursAll)}
	o.report(b)
	return o
}

func (o outcome) report(b *testing.B) {
	b.Helper()
	reportRatio(b, o.ratio)
	b.ReportMetric(o.validRatio, "IsValid-ratio")
	b.ReportMetric(o.allocations, "more-allocs/request")
	b.ReportMetric(o.bare, "bare-cpu-ns")
	b.ReportMetric(o.ours, "ours-cpu-ns")
}

// BenchmarkTarget1Loopback is a single event over the loopback: CPU time of the server
// over that of a bare net/http server. It also counts allocations, for goal 6.
func BenchmarkTarget1Loopback(b *testing.B) {
	var most worst
	for _, kind := range singleKinds {
		b.Run(kind.name, func(b *testing.B) {
			o := newContest(b, connections, kind.path, kind.pool(now())).run(b, singlesPerSlice)
			results.add(result{number: "1", what: kind.name + " over loopback, CPU over bare net/http", bound: kind.loopback, measured: o.ratio})
			results.add(result{what: kind.name + " over loopback, bare net/http that validates and answers JSON over bare net/http", measured: o.validRatio})
			results.add(result{what: kind.name + " over loopback, the whole chain over bare net/http", measured: o.chainRatio})
			most.record(o.allocations, kind.name)
		})
	}
	results.add(result{number: "6", what: "allocations of the process per request, with the whole chain, more than bare", bound: 8, measured: most.value})
}

// BenchmarkTarget4Loopback is a batch of 100 over the loopback.
func BenchmarkTarget4Loopback(b *testing.B) {
	o := newContest(b, batchClients, batchPath, now().Batches(100)).run(b, batchesPerSlice)
	results.add(result{number: "4", what: "batch of 100 over loopback, CPU over bare net/http", bound: 9, measured: o.ratio})
	results.add(result{what: "batch of 100 over loopback, bare net/http that validates and answers JSON over bare net/http", measured: o.validRatio})
	results.add(result{what: "batch of 100 over loopback, CPU per event in µs", measured: o.ours / 100 / 1000})
	results.add(result{what: "the same of the bare server in µs", measured: o.bare / 100 / 1000})
}

// BenchmarkTarget17Loopback is the memory of an idle connection that has sent a
// request before, ours less bare. Each round has servers of its own.
func BenchmarkTarget17Loopback(b *testing.B) {
	var heaps, residents []float64
	for b.Loop() {
		for range idleRounds {
			c := newContest(b, connections, trackPath, now().Tracks())
			bareHeap, bareResident := c.bare.idle(b)
			oursHeap, oursResident := c.ours.idle(b)
			heaps, residents = append(heaps, oursHeap-bareHeap), append(residents, oursResident-bareResident)
			b.ReportMetric(bareHeap, "bare-B/conn")
		}
	}
	b.ReportMetric(0, "ns/op")
	results.add(result{number: "17", what: "memory per idle connection more than bare, bytes of heap and stack", bound: 512, measured: median(heaps)})
	results.add(result{what: "memory per idle connection more than bare, bytes resident (by pages)", measured: median(residents)})
}

// idle returns the heap and stack, and the resident memory, that one idle
// connection costs the server.
func (c contender) idle(b *testing.B) (heap, residentSet float64) {
	b.Helper()
	require.NoError(b, c.client.send(singlesPerSlice))
	before := c.server.used(b, true)
	require.NoError(b, dial(b, c.server.address, idleConnections, c.client.requests).sendOnEach())
	after := c.server.used(b, true)
	return (float64(after.HeapStack) - float64(before.HeapStack)) / idleConnections,
		float64(after.Resident-before.Resident) / idleConnections
}

// BenchmarkRequestLoopback is the CPU time of a server with the whole chain for each single event
// of 64 connections, to compare two versions of the module with each other: see
// docs/PERFORMANCE.md. It is no goal by itself.
func BenchmarkRequestLoopback(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the server and another for the clients")
	}
	s := startServer(b, "chain")
	c := contender{s, dial(b, s.address, peakClients, requests(trackPath, now().Tracks()))}
	stayOn(b, 1)
	c.slice(b, singlesPerSlice) // to warm up
	var costs []float64
	for b.Loop() {
		for range loopbackSlices {
			costs = append(costs, c.slice(b, singlesPerSlice).cpu)
		}
	}
	b.ReportMetric(median(costs), "ns/op")
}
