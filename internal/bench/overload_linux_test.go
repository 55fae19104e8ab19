package bench

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How much the overload benchmark does.
const (
	overloadTimes   = 4
	overloadClients = 4_000 // connections; the maximum number of requests in flight
	peakClients     = 64
	peakTime        = 2 * time.Second
	overloadTime    = 10 * time.Second
	recoveryTime    = 6 * time.Second
	recoveryWindow  = 250 * time.Millisecond
)

// A sent is one request of the open loop: when it was due, how long after that it was
// answered, and how.
type sent struct {
	due    time.Duration // since the start of the phase
	took   time.Duration
	status int
	retry  bool // has Retry-After
	err    error
}

// An openLoop sends requests at a rate that does not depend on the responses.
type openLoop struct {
	*client
	free chan *connection
}

func newOpenLoop(c *client) *openLoop {
	l := &openLoop{c, make(chan *connection, len(c.connections))}
	for _, conn := range c.connections {
		l.free <- conn
	}
	return l
}

// run sends at a rate for a time. It returns the outcome of each request, and how many did
// not find a free connection.
func (l *openLoop) run(rate float64, long time.Duration) (all []sent, late int) {
	n := int(rate * long.Seconds())
	all = make([]sent, n)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range all {
		due := time.Duration(float64(i) / rate * float64(time.Second))
		if wait := due - time.Since(start); wait > 0 {
			time.Sleep(wait) // about a millisecond; requests that are due by then are sent immediately
		}
		select {
		case conn := <-l.free:
			wg.Go(func() {
				all[i] = conn.ask(l.requests[i%len(l.requests)], start, due)
				l.free <- conn
			})
		default:
			late++
			all[i] = sent{due: due, status: -1}
		}
	}
	wg.Wait()
	return all, late
}

// ask sends one request.
func (c *connection) ask(request []byte, start time.Time, due time.Duration) sent {
	s := sent{due: due}
	if _, s.err = c.Write(request); s.err == nil {
		s.status, s.retry, s.err = c.response()
	}
	s.took = time.Since(start) - due
	return s
}

// response reads a response with a Content-Length.
func (c *connection) response() (status int, retry bool, err error) {
	line, err := c.responses.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	status = number10(line[len("HTTP/1.1 "):len("HTTP/1.1 200")])
	length := 0
	for {
		line, err := c.responses.ReadSlice('\n')
		if err != nil {
			return status, retry, err
		}
		if len(line) <= 2 {
			_, err := c.responses.Discard(length)
			return status, retry, err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length = number10(value)
		}
		retry = retry || bytes.HasPrefix(line, []byte("Retry-After: "))
	}
}

// A tally summarises a phase.
type tally struct {
	accepted, refused, silent, other int // silent: refused without Retry-After
	p50, p99                         time.Duration
}

func tallied(all []sent) (t tally) {
	var took []time.Duration
	for _, s := range all {
		switch {
		case s.status == http.StatusOK:
			t.accepted++
			took = append(took, s.took)
		case s.status == http.StatusServiceUnavailable && s.retry:
			t.refused++
		case s.status == http.StatusServiceUnavailable:
			t.silent++
		default:
			t.other++
		}
	}
	slices.Sort(took)
	if len(took) > 0 {
		t.p50, t.p99 = took[len(took)/2], took[len(took)*99/100]
	}
	return t
}

// BenchmarkOverload sends four times as many requests as a server can store, to
// a server that one processor serves, from another.
func BenchmarkOverload(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the server and another for the clients")
	}
	for b.Loop() {
		overload(b)
	}
	b.ReportMetric(0, "ns/op")
}

func overload(b *testing.B) {
	b.Helper()
	s := startServer(b, "slow")
	made := requests(trackPath, now().Tracks())
	loop := newOpenLoop(dial(b, s.address, overloadClients, made))
	stayOn(b, 1)
	peak := peakOf(b, s, made)
	loop.run(0.8*peak, time.Duration(1.5*overloadClients/peak*float64(time.Second))) // each connection once
	before := s.used(b, true)
	memory := watch(b, s)
	all, late := loop.run(overloadTimes*peak, overloadTime)
	heaps := memory()
	busy := float64(s.used(b, false).CPU - before.CPU)
	recovery, _ := loop.run(peak/2, recoveryTime)
	after := s.used(b, true)

	t := tallied(all)
	b.Logf("peak %.0f/s; %d late; %+v; heap and stack while overloaded, MiB: %.1f", peak, late, t, heaps)
	require.Zero(b, t.silent+t.other-late, "refusals without Retry-After, or other answers")
	results.add(result{what: "overload: peak of the server, requests/s", measured: peak})
	results.add(result{number: "overload", what: "stored at 4 × capacity over peak", bound: 0.9, atLeast: true, measured: float64(t.accepted) / overloadTime.Seconds() / peak})
	results.add(result{number: "overload", what: "p99 of what is stored at 4 × capacity, ms", bound: 250, measured: millis(t.p99)})
	results.add(result{what: "overload: part of the processor that the server used", measured: busy / float64(overloadTime)})
	results.add(result{what: "overload: p50 of the same, ms", measured: millis(t.p50)})
	results.add(result{number: "overload", what: "refusals without Retry-After", bound: 0, measured: float64(t.silent)})
	results.add(result{what: "overload: requests that found none of the connections free, of all", measured: float64(late) / float64(len(all))})
	results.add(result{number: "overload", what: "heap and stack, last third of the overload over the first", bound: 1.2, measured: flatness(heaps)})
	results.add(result{number: "overload", what: "seconds until nothing is refused any more and p99 is below 50 ms, at half of capacity", bound: 5, measured: recovered(recovery).Seconds()})
	results.add(result{what: "overload: resident after it over before", measured: float64(after.Resident) / float64(before.Resident)})
}

// What the server is sent that its processor is the bottleneck of.
const (
	busyClients   = 2_000
	busyAddresses = 250
	busyTime      = 10 * time.Second
)

// BenchmarkBusy sends three and ten times as many requests as the processor of a server with a
// journal can store, from another processor.
func BenchmarkBusy(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the server and another for the clients")
	}
	for _, load := range []struct {
		name  string
		made  [][]byte
		bound float64
	}{
		{"batches of 100", requests(batchPath, now().Batches(100)), 0.85},
		{"single events", requests(trackPath, now().Tracks()), 0.9},
	} {
		for _, addresses := range []int{busyAddresses, 1} {
			b.Run(fmt.Sprintf("%s, %d addresses", load.name, addresses), func(b *testing.B) {
				for b.Loop() {
					busy(b, fmt.Sprintf("%s, %d addresses", load.name, addresses), addresses, load.made, load.bound)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func busy(b *testing.B, name string, addresses int, made [][]byte, bound float64) {
	b.Helper()
	s := startServer(b, "journal")
	loop := newOpenLoop(dialFrom(b, addresses, s.address, busyClients, made))
	stayOn(b, 1)
	calm := dialFrom(b, peakClients, s.address, peakClients, made)
	peak := calm.peak()
	loop.run(0.8*peak, time.Duration(1.5*busyClients/peak*float64(time.Second))) // each connection once
	peak = calm.peak()
	for _, times := range []float64{3, 10} {
		before := s.used(b, true)
		all, late := loop.run(times*peak, busyTime)
		after := s.used(b, false)
		again, spread := calm.peak(), loop.peak()
		t := tallied(all)
		b.Logf("peak %.0f/s, then %.0f/s, over all connections %.0f/s; %.0f times: %d late; %+v; processor %.2f; heap and stack %d MiB", peak, again, spread, times, late, t,
			float64(after.CPU-before.CPU)/float64(busyTime), after.HeapStack>>20)
		require.Zero(b, t.silent+t.other-late, "refusals without Retry-After, or other answers")
		stored := float64(storedBefore(all, busyTime)) / busyTime.Seconds()
		what := fmt.Sprintf("%s at %.0f × the peak of the processor: ", name, times)
		results.add(result{number: "overload", what: what + "stored over peak", bound: bound, atLeast: true, measured: stored / ((peak + again) / 2)})
		results.add(result{what: "overload: " + what + "stored over the peak of 64 clients that use all its connections in turn", measured: stored / spread})
		results.add(result{number: "overload", what: what + "p99 of what is stored, ms", bound: 500, measured: millis(t.p99)})
		peak = again
	}
}

// storedBefore returns how many were stored until a time. Those that wait when the load ends are
// stored after it.
func storedBefore(all []sent, end time.Duration) (n int) {
	for _, s := range all {
		if s.status == http.StatusOK && s.due+s.took <= end {
			n++
		}
	}
	return n
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// peakOf returns how many requests per second the server stores for clients that
// wait for their answers.
func peakOf(b *testing.B, s *server, made [][]byte) float64 {
	b.Helper()
	return dial(b, s.address, peakClients, made).peak()
}

// peak returns how many requests per second are stored if peakClients wait for the answers to
// their own. Each uses its share of the connections in turn.
func (c *client) peak() float64 {
	var stored atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for n := range peakClients {
		own := c.connections[n*len(c.connections)/peakClients : (n+1)*len(c.connections)/peakClients]
		wg.Go(func() {
			for i := 0; time.Since(start) < peakTime; i++ {
				if own[i%len(own)].ask(c.requests[i%len(c.requests)], start, 0).status == http.StatusOK {
					stored.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(stored.Load()) / time.Since(start).Seconds()
}

// watch records the memory of the server ten times a second, in MiB, until the function it
// returns is called.
func watch(b *testing.B, s *server) (stop func() []float64) {
	b.Helper()
	var all []float64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				all = append(all, float64(s.used(b, false).HeapStack)/(1<<20))
			case <-end:
				return
			}
		}
	}()
	return func() []float64 { close(end); <-ended; return all }
}

// flatness returns the median of the last third over that of the first.
func flatness(values []float64) float64 {
	third := max(1, len(values)/3)
	return median(values[len(values)-third:]) / median(values[:third])
}

// recovered returns the end of the last window in which a request was refused, or the 99th
// percentile was high.
func recovered(all []sent) (end time.Duration) {
	for len(all) > 0 {
		next := all[0].due.Truncate(recoveryWindow) + recoveryWindow
		n, _ := slices.BinarySearchFunc(all, next, func(s sent, d time.Duration) int { return int(s.due - d) })
		if t := tallied(all[:n]); t.refused+t.silent+t.other > 0 || t.p99 > 50*time.Millisecond {
			end = next
		}
		all = all[n:]
	}
	return end
}

// The connections next to healthy traffic.
const (
	idleConns     = 10_000
	slowConns     = 1_000
	slowAddresses = 8 // of which none has more than its share of the bodies being read
	healthyRate   = 1_000
	healthyTime   = 6 * time.Second
	healthyConns  = 256 // a pause as long as the bound must not use up all of them
)

// BenchmarkIdleAndSlow is healthy traffic next to ten thousand idle connections and a
// thousand that send their bodies byte by byte.
func BenchmarkIdleAndSlow(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("needs a processor for the server and another for the clients")
	}
	for b.Loop() {
		idleAndSlow(b)
	}
	b.ReportMetric(0, "ns/op")
}

func idleAndSlow(b *testing.B) {
	b.Helper()
	s := startServer(b, "slow")
	made := requests(trackPath, now().Tracks())
	healthy := newOpenLoop(dial(b, s.address, healthyConns, made))
	stayOn(b, 1)
	alone, _ := healthy.run(healthyRate, healthyTime/2)
	before := s.used(b, true)
	require.NoError(b, dial(b, s.address, idleConns, made).sendOnEach())
	stop := trickle(b, dialFrom(b, slowAddresses, s.address, slowConns, made).connections, made[0])
	loaded, late := healthy.run(healthyRate, healthyTime)
	after := s.used(b, true)
	stop()
	a, t := tallied(alone), tallied(loaded)
	b.Logf("alone %+v; loaded %+v; %d late; resident %d MiB", a, t, late, after.Resident>>20)
	require.Zero(b, t.refused+t.silent+t.other, "healthy requests were refused")
	results.add(result{number: "overload", what: "p99 next to 10,000 idle and 1,000 slow connections, ms", bound: 250, measured: millis(t.p99)})
	results.add(result{what: "overload: p99 of the same traffic alone, ms", measured: millis(a.p99)})
	results.add(result{what: "overload: resident memory for each idle or slow connection, kB", measured: float64(after.Resident-before.Resident) / (idleConns + slowConns) / 1000})
}

// trickle sends the head of a request over each connection, and then its body byte by
// byte, more slowly than the server permits.
func trickle(b *testing.B, conns []*connection, request []byte) (stop func()) {
	b.Helper()
	head := bytes.Index(request, []byte("\r\n\r\n")) + 4
	for _, c := range conns {
		_, err := c.Write(request[:head])
		require.NoError(b, err)
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := head; ; i++ {
			for _, c := range conns {
				_, _ = c.Write(request[i : i+1])
			}
			select {
			case <-end:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return func() { close(end); wg.Wait() }
}
