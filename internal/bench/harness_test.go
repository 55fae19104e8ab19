package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
)

// TestMain prints the table of results after the benchmarks. A process that a benchmark
// started as a server serves instead.
func TestMain(m *testing.M) {
	if serveForBenchmark() {
		return
	}
	testkit.Main(m, func() { results.print(os.Stdout) })
}

// A pair is measured in short alternating slices, so that what happens to the machine
// affects both sides.
const (
	pairSlices = 41
	sliceTime  = 2 * time.Millisecond
)

// pair reports the time of ours over that of floor as "ratio", the median over
// the slices, on one processor. Both are called with the same numbers i.
func pair(b *testing.B, floor, ours func(i int)) float64 {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := calibrated(floor, ours)
	var ratios []float64
	for b.Loop() {
		for range pairSlices {
			ratios = append(ratios, sliceRatio(len(ratios), n, floor, ours))
		}
	}
	ratio := median(ratios)
	reportRatio(b, ratio)
	return ratio
}

// sliceRatio times one slice of n calls of each side. Which side is first alternates,
// since the second finds the bodies in the cache.
func sliceRatio(slice, n int, floor, ours func(i int)) float64 {
	from := slice * n
	if slice%2 == 0 {
		f := timed(from, n, floor)
		return float64(timed(from, n, ours)) / float64(f)
	}
	o := timed(from, n, ours)
	return float64(o) / float64(timed(from, n, floor))
}

// calibrated returns how many calls of floor take the time of a slice. It also warms up
// both sides.
func calibrated(floor, ours func(i int)) int {
	for n := 1; ; n *= 2 {
		timed(0, n, ours)
		if timed(0, n, floor) >= sliceTime {
			return n
		}
	}
}

func timed(from, n int, f func(i int)) time.Duration {
	start := time.Now()
	for i := from; i < from+n; i++ {
		f(i)
	}
	return max(time.Since(start), 1)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// reportRatio reports the ratio instead of the time per operation, which has no meaning
// here.
func reportRatio(b *testing.B, ratio float64) {
	b.Helper()
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(0, "ns/op")
}

// A caller calls a handler in process with one request that it reuses, so that it does not
// allocate itself. Not for concurrent use.
type caller struct {
	handler  http.Handler
	request  *http.Request
	body     body
	response response
}

// newCaller returns a caller of the path, a batch endpoint for example, with
// the headers that a client library sends.
func newCaller(handler http.Handler, target string) *caller {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	c := &caller{handler: handler, response: response{header: http.Header{}}}
	c.request = &http.Request{
		Method: http.MethodPost, URL: u, RequestURI: target, Host: "collect.example.com",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: "192.0.2.7:43210", Header: clientHeader(), Body: &c.body,
	}
	return c
}

// clientHeader returns the headers that a server library sends.
func clientHeader() http.Header {
	return http.Header{
		"Accept":          {"*/*"},
		"Accept-Encoding": {"gzip"},
		"Authorization":   {"Basic " + base64.StdEncoding.EncodeToString([]byte(WriteKey+":"))},
		"Content-Type":    {"application/json"},
		"User-Agent":      {"analytics-node-next/latest"},
	}
}

// call sends body and returns the status.
func (c *caller) call(body []byte) int {
	c.body.reader.Reset(body)
	c.request.Body = &c.body
	c.request.ContentLength = int64(len(body))
	clear(c.response.header)
	c.response.status = http.StatusOK
	c.handler.ServeHTTP(&c.response, c.request)
	return c.response.status
}

// over returns a function that sends the i-th body of a pool, for [pair].
func (c *caller) over(pool [][]byte) func(i int) {
	return func(i int) { c.call(pool[i%len(pool)]) }
}

// requireAccepted fails unless every body of the pool is answered with 200: refusing is
// fast and must not be measured by mistake.
func (c *caller) requireAccepted(tb testing.TB, pool [][]byte) {
	tb.Helper()
	for _, body := range pool {
		require.Equal(tb, http.StatusOK, c.call(body), "%.300s", body)
	}
}

// encoded sets the Content-Encoding of the caller's requests.
func (c *caller) encoded(encoding string) *caller {
	c.request.Header.Set("Content-Encoding", encoding)
	return c
}

// A body can be read again after a Reset. It hides the other methods of a bytes.Reader,
// which the body of a real request does not have.
type body struct{ reader bytes.Reader }

func (b *body) Read(p []byte) (int, error) { return b.reader.Read(p) }

func (b *body) Close() error { return nil }

// A response discards what is written to it. Deadlines can be set, as on a real
// connection.
type response struct {
	header http.Header
	status int
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) { r.status = status }

func (r *response) Write(p []byte) (int, error) { return len(p), nil }

func (r *response) SetReadDeadline(time.Time) error { return nil }

func (r *response) SetWriteDeadline(time.Time) error { return nil }

var _ io.ReadCloser = (*body)(nil)

// newHandler returns the handler that the goals are about: with authentication, a rate
// limit by source that is never reached, migration of payloads of an older version,
// validation, normalisation and metrics, and a sink that counts.
func newHandler() (http.Handler, error) {
	handler, err := newHandlerAlone()
	if err != nil {
		return nil, err
	}
	return middleware.Chain(authLayer(), limitLayer(middleware.BySource), migrateLayer())(handler), nil
}

// newMount returns the handler with layers around it.
func newMount(layers func(http.Handler) http.Handler) (http.Handler, error) {
	handler, err := newHandlerAlone()
	if err != nil {
		return nil, err
	}
	return layers(handler), nil
}

// allLayers returns the layers of the documented mount.
func allLayers() func(http.Handler) http.Handler {
	return middleware.Chain(
		middleware.Recover(nil),
		middleware.CORS(nil),
		limitLayer(middleware.ByIP),
		middleware.Payload(nil),
		authLayer(),
		limitLayer(middleware.BySource),
		migrateLayer(),
	)
}

// migrateLayer passes on everything except Commanders Act's events without reading it.
func migrateLayer() func(http.Handler) http.Handler {
	return middleware.Migrate(inlet.CommandersActV1(), nil)
}

func authLayer() func(http.Handler) http.Handler {
	return middleware.Auth(benchKeys(), nil)
}

// benchKeys has the key of the corpus.
func benchKeys() *inlet.Keys {
	return inlet.MustKeys(map[string]inlet.Source{WriteKey: {ID: "bench"}})
}

func limitLayer(key func(*http.Request) (middleware.RateKey, bool)) func(http.Handler) http.Handler {
	const never = 1e8 // requests per second
	return middleware.RateLimit(&middleware.RateLimitOptions{Rate: never, Key: key})
}

// newHandlerAlone returns the handler without layers. It accepts unauthenticated requests.
func newHandlerAlone() (http.Handler, error) {
	c := new(counter)
	return inlet.New(c, &inlet.Options{AllowAnonymous: true, Observer: c})
}

// A counter is a sink and an observer that count.
type counter struct{ events, requests atomic.Int64 }

func (c *counter) Write(_ context.Context, events []*inlet.Event) error {
	c.events.Add(int64(len(events)))
	return nil
}

func (c *counter) ObserveRequest(context.Context, *inlet.Outcome) { c.requests.Add(1) }

// bareHandler returns the floor for a handler: it reads the body into pooled memory and
// answers 200 if it is good. A nil function means that every body is.
func bareHandler(good func(body []byte) bool) http.Handler {
	pool := sync.Pool{New: func() any { return new([]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := pool.Get().(*[]byte)
		defer pool.Put(body)
		if n := int(r.ContentLength); cap(*body) < n {
			*body = make([]byte, n)
		}
		buf := (*body)[:r.ContentLength]
		_, err := io.ReadFull(http.MaxBytesReader(w, r.Body, 512_000), buf)
		if err != nil || good != nil && !good(buf) {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
}

// A result is a row of the table that is printed at the end.
type result struct {
	number   string // of the goal; "" for a row that is only context
	what     string
	bound    float64
	atLeast  bool // bound is the minimum, not the maximum
	measured float64
	note     string
}

// order returns the position of the row: goals by number, then what is not a goal.
func (r result) order() int {
	n, err := strconv.Atoi(r.number)
	if err != nil {
		return math.MaxInt32
	}
	return n
}

// verdict returns whether the goal is met.
func (r result) verdict() string {
	switch {
	case r.number == "":
		return "context"
	case r.atLeast && r.measured >= r.bound, !r.atLeast && r.measured <= r.bound:
		return "ok"
	}
	return "miss"
}

func (r result) String() string {
	bound := "–"
	if r.number != "" {
		bound = fmt.Sprintf("%.4g", r.bound)
		if r.atLeast {
			bound = "at least " + bound
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %.4g%s | %s |", r.number, r.what, bound, r.measured, r.note, r.verdict())
}

// A table gathers the results of all benchmarks of a run.
type table struct {
	mu   sync.Mutex
	rows []result
}

// results is filled by the benchmarks and printed by TestMain.
var results table

// add adds r to the table. It replaces an earlier result of the same name: benchmarks are
// run more than once.
func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	same := func(old result) bool { return old.number == r.number && old.what == r.what }
	if i := slices.IndexFunc(t.rows, same); i >= 0 {
		t.rows[i] = r
		return
	}
	t.rows = append(t.rows, r)
}

// print writes the table in Markdown, unless it is empty.
func (t *table) print(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	rows := slices.SortedStableFunc(slices.Values(t.rows), func(a, b result) int { return a.order() - b.order() })
	lines := []string{"", "| # | goal | at most | measured | |", "|---|---|--:|--:|---|"}
	for _, r := range rows {
		lines = append(lines, r.String())
	}
	_, _ = fmt.Fprintln(w, strings.Join(lines, "\n"))
}
