package bench

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// The benchmarks of this file compare a journal behind the mount of the README with a group commit
// that a team could write itself. All of them flush what they store before they answer.

// The kinds of servers of a journal contest: the group commit by hand; ours, whose segments are
// appended to; and ours, whose segments are written ahead.
const (
	kindGrouped  = "grouped"
	kindAppended = "appended"
	kindAhead    = "ahead"
)

// beforeVariable is the environment variable with a binary of this test of another version, whose
// journal takes part, too.
const beforeVariable = "INLET_BENCH_BEFORE"

// How much a journal contest sends.
const (
	journalRounds = 15
	journalSlice  = 3_000 // requests with single events
)

// journalCosts are what the slices of a server have cost: requests per second, the 99th percentile
// of the latency in milliseconds, and microseconds of the processor for each request.
type journalCosts struct{ rate, p99, cpu []float64 }

// A journalPeer is a server with its client.
type journalPeer struct {
	server *server
	client *poller
	journalCosts
}

// slice sends n requests.
func (p *journalPeer) slice(b *testing.B, n int) {
	b.Helper()
	before, began := p.server.used(b, false), time.Now()
	require.NoError(b, p.client.send(n))
	took := time.Since(began)
	after := p.server.used(b, false)
	waits := slices.Sorted(slices.Values(p.client.took))
	p.rate = append(p.rate, float64(n)/took.Seconds())
	p.p99 = append(p.p99, waits[len(waits)*99/100].Seconds()*1e3)
	p.cpu = append(p.cpu, float64(after.CPU-before.CPU)/float64(n)/1e3)
}

// journalContest sends slices of n requests to the servers in turn and returns what they cost, by
// kind. The servers have one processor, and the client, which polls, the other.
func journalContest(b *testing.B, connections, n int, made [][]byte) map[string]journalCosts {
	b.Helper()
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the servers and another for the clients")
	}
	kinds := []string{kindGrouped, kindAppended, kindAhead}
	if os.Getenv(beforeVariable) != "" {
		kinds = append(kinds, beforeVariable+kindAppended, beforeVariable+kindAhead)
	}
	peers := map[string]*journalPeer{}
	for _, kind := range kinds {
		s := startServer(b, kind)
		peers[kind] = &journalPeer{server: s, client: poll(b, s.address, connections, made)}
	}
	stayOn(b, 1)
	for _, kind := range kinds {
		peers[kind].slice(b, n) // to warm up
		peers[kind].journalCosts = journalCosts{}
	}
	for b.Loop() {
		for round := range journalRounds {
			for i := range kinds { // which is first changes, since a slice may leave work to the disk
				peers[kinds[(round+i)%len(kinds)]].slice(b, n)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	costs := map[string]journalCosts{}
	for kind, p := range peers {
		costs[kind] = p.journalCosts
		kind = strings.Replace(kind, beforeVariable, "before-", 1)
		b.ReportMetric(median(p.rate), kind+"-requests/s")
		b.ReportMetric(median(p.p99), kind+"-p99-ms")
		b.ReportMetric(median(p.cpu), kind+"-cpu-us")
	}
	return costs
}

// ratio returns the median over all rounds of a over b.
func ratio(a, b []float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i]/b[i])
	}
	return median(all)
}

// BenchmarkEndpointJournal is single events and batches over the loopback, flushed before they are
// answered: requests per second of the journal over those of a group commit by hand, and of a
// journal that writes ahead over one that does not, with the 99th percentile of the latency.
func BenchmarkEndpointJournal(b *testing.B) {
	for _, load := range []struct {
		connections, events int
		goal                bool
	}{{64, 1, true}, {16, 1, false}, {8, 1, false}, {8, 100, false}} {
		b.Run(fmt.Sprintf("%dx%d", load.connections, load.events), func(b *testing.B) {
			made, n := requests(trackPath, now().Tracks()), journalSlice
			if load.connections < peakClients {
				n /= 2
			}
			if load.events > 1 {
				made, n = requests(batchPath, now().Batches(load.events)), journalSlice/10
			}
			costs := journalContest(b, load.connections, n, made)
			row := func(what string, bound float64, atLeast bool, measured float64) {
				r := result{what: fmt.Sprintf("%d connections × %d, %s", load.connections, load.events, what), measured: measured}
				if load.goal {
					r.number, r.bound, r.atLeast = "b5", bound, atLeast
				}
				results.add(r)
			}
			hand, ours, ahead := costs[kindGrouped], costs[kindAppended], costs[kindAhead]
			row("requests per second over a group commit by hand", 1, true, ratio(ours.rate, hand.rate))
			row("p99 over that", 1, false, ratio(ours.p99, hand.p99))
			row("written ahead over appended", 1, true, ratio(ahead.rate, ours.rate))
			row("p99 of that", 1, false, ratio(ahead.p99, ours.p99))
			if before, ok := costs[beforeVariable+kindAppended]; ok {
				row("over the version before", 1.4, true, ratio(ours.rate, before.rate))
				row("p99 over the version before", 1, false, ratio(ours.p99, before.p99))
				row("written ahead over the version before", 1.4, true, ratio(ahead.rate, costs[beforeVariable+kindAhead].rate))
			}
		})
	}
}

// newFlushing returns the mount of the README around a handler that stores in a journal. Its
// directory is that of the process, which removes it.
func newFlushing(ahead bool) (http.Handler, error) {
	store, err := journal.Open(os.Getenv(directoryVariable), &journal.Options{WriteAhead: ahead, RetainBytes: storedBytes})
	if err != nil {
		return nil, err
	}
	handler, err := inlet.New(store, nil)
	if err != nil {
		return nil, err
	}
	return readmeLayers()(handler), nil
}

// newGrouped returns an endpoint by hand with a group commit.
func newGrouped() (http.Handler, error) {
	store, err := OpenGroupCommit(os.Getenv(directoryVariable)) // until the process ends
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+trackPath, ByHand(store, false))
	mux.Handle("POST "+batchPath, ByHand(store, true))
	return mux, nil
}
