package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// The endpoints that the in-process benchmarks call.
const (
	batchPath = "/v1/batch"
	trackPath = "/v1/track"
)

// singleKinds are the single events with their endpoints and the maximum ratios of goals
// 1 and 2.
var singleKinds = []struct {
	name, path          string
	pool                func(Corpus) [][]byte
	loopback, inProcess float64
}{
	{"track", trackPath, Corpus.Tracks, 1.30, 1.8},
	{"page", "/v1/page", Corpus.Pages, 1.40, 1.5},
	{"identify", "/v1/identify", Corpus.Identifies, 1.45, 1.35},
}

// now returns the corpus with events of the current time, as those that arrive have.
func now() Corpus { return Corpus{At: time.Now()} }

// shipped returns a caller of the handler with its layers, as [newHandler] makes it.
func shipped(tb testing.TB, target string) *caller {
	tb.Helper()
	handler, err := newHandler()
	require.NoError(tb, err)
	return newCaller(handler, target)
}

// validate is the floor: it checks the i-th body of a pool with the parser.
func validate(pool [][]byte) func(i int) {
	return func(i int) {
		if !jsontext.Value(pool[i%len(pool)]).IsValid() {
			panic("bench: the corpus is not valid")
		}
	}
}

// BenchmarkTarget2 is a single event in process over validation of its bytes.
func BenchmarkTarget2(b *testing.B) {
	for _, kind := range singleKinds {
		b.Run(kind.name, func(b *testing.B) {
			pool := kind.pool(now())
			c := shipped(b, kind.path)
			c.requireAccepted(b, pool)
			ratio := pair(b, validate(pool), c.over(pool))
			results.add(result{number: "2", what: kind.name + " in process over IsValid", bound: kind.inProcess, measured: ratio})
		})
	}
}

// BenchmarkTarget3 is a batch in process over validation of its bytes.
func BenchmarkTarget3(b *testing.B) {
	for _, n := range []int{20, 100, 250} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			pool := now().Batches(n)
			c := shipped(b, batchPath)
			c.requireAccepted(b, pool)
			ratio := pair(b, validate(pool), c.over(pool))
			results.add(result{number: "3", what: fmt.Sprintf("batch of %d in process over IsValid", n), bound: 1.35, measured: ratio})
		})
	}
}

// BenchmarkTarget5 counts the allocations of the Handler alone.
func BenchmarkTarget5(b *testing.B) {
	single, batch := 0.0, 0.0
	for b.Loop() {
		for _, kind := range singleKinds {
			single = max(single, allocsPerRequest(b, kind.path, kind.pool(now())))
		}
		batch = allocsPerRequest(b, batchPath, now().Batches(100))
	}
	b.ReportMetric(single, "allocs/request")
	b.ReportMetric(batch/100, "allocs/event")
	results.add(result{number: "5", what: "allocations of the Handler alone, single request", bound: 2, measured: single})
	results.add(result{number: "5", what: "allocations of the Handler alone, per event of a batch of 100", bound: 0.05, measured: batch / 100})
}

// allocsPerRequest counts the allocations of the Handler without a chain.
func allocsPerRequest(tb testing.TB, path string, pool [][]byte) float64 {
	tb.Helper()
	handler, err := newHandlerAlone()
	require.NoError(tb, err)
	c := newCaller(handler, path)
	c.requireAccepted(tb, pool)
	i := 0
	send := c.over(pool)
	return testing.AllocsPerRun(200, func() { send(i); i++ })
}

// BenchmarkTarget7 is an event of Commanders Act 1.0, migrated on the way, over
// the same event in its 2.0 form.
func BenchmarkTarget7(b *testing.B) {
	const query = "?tc_s=1&token=" + WriteKey
	for _, kind := range []struct {
		name, path string
		v1, v2     [][]byte
	}{
		{"event", "/events" + query, now().CAV1(), now().CAV2()},
		{"batch of 100", "/events/batch" + query, now().CAV1Batches(100), now().CAV2Batches(100)},
	} {
		b.Run(kind.name, func(b *testing.B) {
			c := shipped(b, kind.path)
			c.request.Header.Del("Authorization")
			c.requireAccepted(b, kind.v1)
			c.requireAccepted(b, kind.v2)
			ratio := pair(b, c.over(kind.v2), c.over(kind.v1))
			results.add(result{number: "7", what: kind.name + ", Commanders Act 1.0 over 2.0", bound: 1.10, measured: ratio})
		})
	}
}

// BenchmarkTargetKeyLast is a request whose write key is the last member of its body, as
// some mobile libraries send it, over the same with the key in a header.
func BenchmarkTargetKeyLast(b *testing.B) {
	for _, kind := range []struct {
		name, path string
		pool       [][]byte
	}{
		{"track", trackPath, keyLast(now().Tracks())},
		{"batch of 100", batchPath, keyLast(now().Batches(100))},
	} {
		b.Run(kind.name, func(b *testing.B) {
			header, last := shipped(b, kind.path), shipped(b, kind.path)
			last.request.Header.Del("Authorization")
			last.requireAccepted(b, kind.pool)
			ratio := pair(b, header.over(kind.pool), last.over(kind.pool))
			results.add(result{number: "7a", what: kind.name + " with its key last in the body over one with a header", bound: 1.3, measured: ratio})
		})
	}
}

// keyLast makes the write key of each body its last member.
func keyLast(pool [][]byte) [][]byte {
	member := []byte(`"writeKey":"` + WriteKey + `"`)
	out := make([][]byte, len(pool))
	for i, body := range pool {
		at := bytes.LastIndex(body, member)
		rest := body[at+len(member)+1 : len(body)-1] // after the comma, without the brace
		out[i] = fmt.Appendf(nil, "%s%s,%s}", body[:at], rest, member)
	}
	return out
}

// BenchmarkTargetDefaults is a batch whose context is nested as deep as those of its
// events, over ordinary batches of the same length.
func BenchmarkTargetDefaults(b *testing.B) {
	nested := func(inner string) string {
		return strings.Repeat(`{"a":`, 190) + inner + strings.Repeat("}", 190)
	}
	event := `{"type":"page","userId":"u","context":` + nested("{}") + `}`
	n := 400_000 / len(event)
	filler := `{"b":[` + strings.Repeat("0,", 100) + `0]}`
	body := []byte(`{"context":` + nested(filler) + `,"batch":[` + strings.Repeat(event+",", n-1) + event + `]}`)
	hostile, ordinary := shipped(b, batchPath), shipped(b, batchPath)
	hostile.requireAccepted(b, [][]byte{body})
	pool := now().Batches(250)
	ratio := pair(b, ordinary.over(pool), hostile.over([][]byte{body}))
	perByte := ratio * float64(len(pool[0])) / float64(len(body))
	results.add(result{what: "batch with deeply nested defaults, time per byte over batches of 250", measured: perByte})
}

// BenchmarkTarget8 is the time per byte of a larger batch over that of a smaller one,
// which must not grow.
func BenchmarkTarget8(b *testing.B) {
	worst := 0.0
	for _, sizes := range [][2]int{{1, 10}, {2, 10}, {5, 10}, {10, 20}, {10, 50}, {10, 100}, {10, 250}} {
		small, large := sizes[0], sizes[1]
		b.Run(fmt.Sprintf("%d over %d", large, small), func(b *testing.B) {
			ratio := perByte(b, small, large)
			worst = max(worst, ratio)
			if large == 250 {
				results.add(result{number: "8", what: "time per byte, batch of 250 over batch of 10", bound: 1.05, measured: ratio})
			}
		})
	}
	results.add(result{number: "8", what: "time per byte, worst from 1 to 250 events", bound: 1.05, measured: worst})
}

// perByte measures pools of batches of two sizes that hold the same number of events.
func perByte(b *testing.B, small, large int) float64 {
	b.Helper()
	c := shipped(b, batchPath)
	smalls, larges := now().Batches(small), now().Batches(large)
	c.requireAccepted(b, larges)
	each := func(pool [][]byte, calls int) func(i int) {
		send := c.over(pool)
		return func(i int) {
			for k := range calls {
				send(i*calls + k)
			}
		}
	}
	events := max(large, 60)
	ratio := pair(b, each(smalls, events/small), each(larges, events/large))
	ratio *= meanSize(smalls) * float64(events/small) / (meanSize(larges) * float64(events/large))
	reportRatio(b, ratio)
	return ratio
}

func meanSize(pool [][]byte) float64 {
	var total int
	for _, body := range pool {
		total += len(body)
	}
	return float64(total) / float64(len(pool))
}

// BenchmarkTarget10 is the worst hostile body over 500 kB of ordinary batch.
func BenchmarkTarget10(b *testing.B) {
	var slow, big worst
	ordinary := now().Batches(500)
	for _, hostile := range now().Hostile() {
		if hostile.Encoding != "" || len(hostile.Body) > 500_000 {
			continue
		}
		b.Run(hostile.Name, func(b *testing.B) {
			c := shipped(b, batchPath)
			pool := [][]byte{hostile.Body}
			slow.record(pair(b, c.over(ordinary), c.over(pool)), hostile.Name)
			allocated := allocatedPer(10, func() { c.call(hostile.Body) }) / 500_000
			b.ReportMetric(allocated, "allocated/500kB")
			big.record(allocated, hostile.Name)
		})
	}
	results.add(result{number: "10", what: "worst hostile body, time over 500 kB of batch", bound: 4, measured: slow.value, note: " (" + slow.name + ")"})
	results.add(result{number: "10", what: "worst hostile body, bytes allocated over 500 kB", bound: 4, measured: big.value, note: " (" + big.name + ")"})
}

// A worst is the largest of several values, with its name.
type worst struct {
	value float64
	name  string
}

func (w *worst) record(value float64, name string) {
	if value >= w.value {
		w.value, w.name = value, name
	}
}

// allocatedPer returns the bytes that a call of f allocates, the mean of n calls.
func allocatedPer(n int, f func()) float64 {
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}

// BenchmarkTarget10Import is the same for the maximum size of an import, 4 MiB, which
// holds up to half a million members.
func BenchmarkTarget10Import(b *testing.B) {
	const size = 4 << 20
	var slow worst
	ordinary := now().Batches(4_000)
	for _, hostile := range now().hostileImports() {
		b.Run(hostile.Name, func(b *testing.B) {
			c := shipped(b, "/v1/import")
			slow.record(pair(b, c.over(ordinary), c.over([][]byte{hostile.Body}))*meanSize(ordinary)/size, hostile.Name)
			b.ReportMetric(allocatedPer(3, func() { c.call(hostile.Body) })/size, "allocated/4MiB")
		})
	}
	results.add(result{what: "worst hostile import, time over 4 MiB of ordinary import", measured: slow.value, note: " (" + slow.name + ")"})
}

// BenchmarkTarget11 is a decompression bomb: its time over that of decompressing as much
// as a batch may have, and what the first one allocates, with all pools empty, over that
// size.
func BenchmarkTarget11(b *testing.B) {
	const limit = 512_000
	bomb := compressed(io.LimitReader(zeroReader{}, bombSize))
	lying := append(bytes.Clone(bomb[:len(bomb)-4]), 0, 0, 0, 0) // gzip ends with the size
	subtle := Compress(bytes.Repeat(now().Tracks()[0], 4*limit/len(now().Tracks()[0])))
	for _, kind := range []struct {
		name, encoding string
		body           []byte
		goal           string // "" if there is none
	}{
		{"gzip bomb", "gzip", bomb, "11"},
		{"gzip bomb that lies about its size", "gzip", lying, "11"},
		{"gzip of 4 limits below the ratio", "gzip", subtle, "11"},
		{"zstd bomb", "zstd", zstdCompressed(bytes.Repeat([]byte{0}, bombSize)), ""},
	} {
		b.Run(kind.name, func(b *testing.B) {
			c := shipped(b, batchPath).encoded(kind.encoding)
			require.Equal(b, http.StatusBadRequest, c.call(kind.body))
			ratio := pair(b, gunzip(b, bomb, limit), c.over([][]byte{kind.body}))
			cold := allocatedCold(func() { c.call(kind.body) }) / limit
			b.ReportMetric(cold, "cold-allocated/limit")
			results.add(result{number: kind.goal, what: kind.name + ", memory over the limit on plain bytes (allocated by the first)", bound: 1.2, measured: cold})
			results.add(result{number: kind.goal, what: kind.name + ", time over gunzip of the limit", bound: 1.2, measured: ratio})
		})
	}
}

// gunzip decompresses the first limit bytes of body with one reader.
func gunzip(tb testing.TB, body []byte, limit int64) func(i int) {
	tb.Helper()
	var source bytes.Reader
	source.Reset(body)
	reader, err := gzip.NewReader(&source)
	require.NoError(tb, err)
	return func(int) {
		source.Reset(body)
		if err := reader.Reset(&source); err != nil {
			panic(err)
		}
		if _, err := io.CopyN(io.Discard, reader, limit); err != nil {
			panic(err)
		}
	}
}

// allocatedCold returns the bytes that f allocates when all pools are empty.
func allocatedCold(f func()) float64 {
	runtime.GC() // pools survive one collection
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc)
}

// BenchmarkTarget12 is a compressed batch over the plain one.
func BenchmarkTarget12(b *testing.B) {
	pool := now().Batches(100)
	for encoding, compress := range map[string]func([]byte) []byte{"gzip": Compress, "zstd": zstdCompressed} {
		b.Run(encoding, func(b *testing.B) {
			small := make([][]byte, len(pool))
			for i, body := range pool {
				small[i] = compress(body)
			}
			plain, coded := shipped(b, batchPath), shipped(b, batchPath).encoded(encoding)
			coded.requireAccepted(b, small)
			ratio := pair(b, plain.over(pool), coded.over(small))
			results.add(result{number: "12", what: encoding + " batch of 100 over the plain one", bound: 2.2, measured: ratio})
		})
	}
}

// zstdCompressed returns body in zstd, as clients send it.
func zstdCompressed(body []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // the options are right
	}
	defer w.Close()
	return w.EncodeAll(body, nil)
}

// BenchmarkTargetContext compares the floors to each other. None of it is code of the
// module.
func BenchmarkTargetContext(b *testing.B) {
	for name, pool := range map[string][][]byte{"track": now().Tracks(), "batch of 100": now().Batches(100)} {
		b.Run("encoding/json.Valid, "+name, func(b *testing.B) {
			ratio := pair(b, validate(pool), func(i int) { json.Valid(pool[i%len(pool)]) })
			results.add(result{what: "encoding/json.Valid over IsValid, " + name, measured: ratio})
		})
		b.Run("bare handler, "+name, func(b *testing.B) {
			ratio := pair(b, validate(pool), newCaller(bareHandler(nil), batchPath).over(pool))
			results.add(result{what: "bare handler in process over IsValid, " + name, measured: ratio})
		})
	}
}

// Not parallel: allocations are counted for the whole process.
func TestHarnessAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	pool := Corpus{}.Tracks()
	send := newCaller(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = r.Body.Close() }), trackPath).over(pool)
	require.Zero(t, testing.AllocsPerRun(100, func() { send(1) }))
}

// A request takes two allocations at most, and a batch one more for each twenty events.
// Not parallel: allocations are counted for the whole process.
func TestHandlerAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	for _, kind := range singleKinds {
		t.Run(kind.name, func(t *testing.T) {
			require.LessOrEqual(t, allocsPerRequest(t, kind.path, kind.pool(Corpus{})), 2.0)
		})
	}
	for _, n := range []int{20, 100, 250} {
		t.Run(fmt.Sprint("batch of ", n), func(t *testing.T) {
			require.LessOrEqual(t, allocsPerRequest(t, batchPath, Corpus{}.Batches(n)), 2+0.05*float64(n))
		})
	}
}
