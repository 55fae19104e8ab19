package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// The benchmarks of this file compare what the module costs with the least that a team could write
// itself: a bare net/http server that reads the body into pooled memory, validates it and answers
// {"success":true} as JSON.

// endpointRounds is how often the servers are measured in turn.
const endpointRounds = 21

// The kinds of servers of an endpoint contest: the floor, and the same again, whose ratio is the
// noise; then ours.
const (
	kindEndpoint     = "valid"
	kindGzipEndpoint = "valid-gzip"
	kindReadme       = "readme"
	kindLimits       = "chain"
)

// endpoint returns the floor: [bareHandler] with what a client needs to know.
func endpoint(good func(body []byte) bool) http.Handler { return answering(bareHandler(good)) }

// isValid is what a receiver has to check at least.
func isValid(body []byte) bool { return jsontext.Value(body).IsValid() }

// gunzipping returns isValid for compressed bodies, with pooled memory for all that it needs.
func gunzipping() func(body []byte) bool {
	type unzipper struct {
		source bytes.Reader
		reader gzip.Reader
		plain  bytes.Buffer
	}
	pool := sync.Pool{New: func() any { return new(unzipper) }}
	return func(body []byte) bool {
		u := pool.Get().(*unzipper)
		defer pool.Put(u)
		u.source.Reset(body)
		u.plain.Reset()
		if err := u.reader.Reset(&u.source); err != nil {
			return false
		}
		_, err := u.plain.ReadFrom(io.LimitReader(&u.reader, 512_000))
		return err == nil && isValid(u.plain.Bytes())
	}
}

// An endpointContest is between servers that have one processor, and the floor among them. Their
// clients have the other processor, and poll.
type endpointContest struct {
	kinds   []string
	servers []*server
	clients []*poller
}

func newEndpointContest(b *testing.B, n int, requests [][]byte, kinds ...string) endpointContest {
	b.Helper()
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the servers and another for the clients")
	}
	c := endpointContest{kinds: kinds}
	for _, kind := range kinds {
		s := startServer(b, kind)
		c.servers = append(c.servers, s)
		c.clients = append(c.clients, poll(b, s.address, n, requests))
	}
	stayOn(b, 1)
	return c
}

// endpointCosts has, for each kind of server, the medians over all rounds.
type endpointCosts struct {
	ratios      map[string]float64 // CPU over that of the floor
	more        map[string]float64 // CPU above that of the floor, nanoseconds per request
	allocations map[string]float64 // above those of the floor
	again       float64            // the floor over the floor
}

// run sends slices of n requests to the servers in turn. The first two are the floor.
func (c endpointContest) run(b *testing.B, n int) endpointCosts {
	b.Helper()
	slice := func(i int) cost {
		before := c.servers[i].used(b, false)
		require.NoError(b, c.clients[i].send(n))
		after := c.servers[i].used(b, false)
		return cost{
			cpu:         float64(after.CPU-before.CPU) / float64(n),
			allocations: float64(after.Allocations-before.Allocations) / float64(n),
		}
	}
	for i := range c.servers {
		slice(i) // to warm up
	}
	var again, floors []float64
	ratios, more, allocations := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for b.Loop() {
		for range endpointRounds {
			first, second := slice(0), slice(1)
			floor := (first.cpu + second.cpu) / 2
			again, floors = append(again, second.cpu/first.cpu), append(floors, floor)
			for i, kind := range c.kinds[2:] {
				ours := slice(i + 2)
				ratios[kind] = append(ratios[kind], ours.cpu/floor)
				more[kind] = append(more[kind], ours.cpu-floor)
				allocations[kind] = append(allocations[kind], ours.allocations-first.allocations)
			}
		}
	}
	b.ReportMetric(median(floors), "floor-cpu-ns")
	b.ReportMetric(0, "ns/op")
	costs := endpointCosts{map[string]float64{}, map[string]float64{}, map[string]float64{}, median(again)}
	for _, kind := range c.kinds[2:] {
		costs.ratios[kind], costs.more[kind] = median(ratios[kind]), median(more[kind])
		costs.allocations[kind] = median(allocations[kind])
		b.ReportMetric(costs.ratios[kind], kind+"-ratio")
	}
	return costs
}

// BenchmarkEndpointSinglesLoopback is a single event over the loopback: CPU time of the server with
// the README's mount, with both rate limits, and with all of the standard layers and an access log
// to a file, over that of the floor. It also counts allocations.
func BenchmarkEndpointSinglesLoopback(b *testing.B) {
	var limits, standard worst
	for i, kind := range singleKinds {
		b.Run(kind.name, func(b *testing.B) {
			made := requests(kind.path, kind.pool(now()))
			costs := newEndpointContest(b, connections, made, kindEndpoint, kindEndpoint, kindReadme, kindLimits, kindStandard, kindStandardLog).
				run(b, singlesPerSlice)
			row := func(what, server string, bound float64) {
				results.add(result{number: "b1", what: kind.name + ", " + what, bound: bound, measured: costs.ratios[server]})
			}
			row("README mount over b", kindReadme, []float64{1.12, 1.10, 1.08}[i])
			row("with both rate limits over b", kindLimits, []float64{1.16, 1.13, 1.10}[i])
			row("standard layers with an access log to a file over b", kindStandardLog, 1.30)
			results.add(result{what: kind.name + ", standard layers without an access log over b", measured: costs.ratios[kindStandard]})
			results.add(result{what: kind.name + ", b again over b", measured: costs.again})
			results.add(result{what: kind.name + ", the access log in µs per request, over loopback", measured: (costs.more[kindStandardLog] - costs.more[kindStandard]) / 1000})
			limits.record(costs.allocations[kindLimits], kind.name)
			standard.record(costs.allocations[kindStandardLog], kind.name)
		})
	}
	results.add(result{number: "b7", what: "allocations of the process per request, with both rate limits, more than b", bound: 4, measured: limits.value})
	results.add(result{number: "b7", what: "the same of the standard layers with an access log", bound: 4, measured: standard.value})
}

// BenchmarkEndpointBatchesLoopback is a batch over the loopback: CPU time of the server with the
// README's mount over that of the floor.
func BenchmarkEndpointBatchesLoopback(b *testing.B) {
	for _, n := range []int{20, 100, 250} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			made := requests(batchPath, now().Batches(n))
			costs := newEndpointContest(b, batchClients, made, kindEndpoint, kindEndpoint, kindReadme).run(b, 3*batchesPerSlice*20/n)
			results.add(result{number: "b2", what: fmt.Sprintf("batch of %d, README mount over b", n), bound: 1, measured: costs.ratios[kindReadme]})
			results.add(result{what: fmt.Sprintf("batch of %d, b again over b", n), measured: costs.again})
		})
	}
	b.Run("gzip of 100", func(b *testing.B) {
		var small [][]byte
		for _, body := range now().Batches(100) {
			small = append(small, Compress(body))
		}
		made := encodedRequests(batchPath, "gzip", small)
		costs := newEndpointContest(b, batchClients, made, kindGzipEndpoint, kindGzipEndpoint, kindReadme).run(b, batchesPerSlice/3)
		results.add(result{number: "b2", what: "gzip batch of 100, README mount over b that decompresses", bound: 0.95, measured: costs.ratios[kindReadme]})
		results.add(result{what: "gzip batch of 100, b again over b", measured: costs.again})
	})
}
