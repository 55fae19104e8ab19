package inletprom

import (
	"math"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// How histograms work. A duration is counted in a classic bucket, which the host has chosen, and in
// a native one, whose bounds are the powers of the eighth root of two, as Prometheus defines them
// for schema 3. The client library has such histograms, too; these take three additions and nothing
// else, since they have all native buckets that a duration can be in from the start, in 2 KiB.

// The native buckets: schema 3, from 2^-20 seconds, below a microsecond, to 2^12, above an hour.
const (
	schema       = 3
	perPower     = 1 << schema
	lowestPower  = -20
	highestPower = 12
	nativeCount  = (highestPower - lowestPower) * perPower
	// firstKey is the number that Prometheus has for the first bucket.
	firstKey = lowestPower*perPower + 1
)

// fractions are the bounds within a power of two, from a half on: the bounds of the native buckets
// are these, times powers of two.
var fractions = [perPower]float64{
	0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
	0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711,
}

// A histogram counts durations.
type histogram struct {
	bounds    []float64       // of the classic buckets, in seconds
	limits    []time.Duration // the same
	classic   []atomic.Uint64 // longer durations are only in native
	native    [nativeCount + 1]atomic.Uint64
	sum       atomic.Int64 // nanoseconds
	exemplars []atomic.Pointer[exemplar]
}

// An exemplar is a duration and its trace.
type exemplar struct {
	duration time.Duration
	trace    string
	at       time.Time
	since    time.Duration // the start of the metrics
}

func newHistogram(bounds []float64) *histogram {
	h := &histogram{
		bounds: bounds, limits: make([]time.Duration, len(bounds)),
		classic: make([]atomic.Uint64, len(bounds)), exemplars: make([]atomic.Pointer[exemplar], len(bounds)+1),
	}
	for i, bound := range bounds {
		h.limits[i] = time.Duration(math.Round(bound * float64(time.Second)))
	}
	return h
}

// observe counts a duration, and returns its classic bucket: len(bounds) above all bounds.
func (h *histogram) observe(d time.Duration) (bucket int) {
	for bucket < len(h.limits) && d > h.limits[bucket] {
		bucket++
	}
	h.native[nativeIndex(d)].Add(1) // first: see write
	if bucket < len(h.classic) {
		h.classic[bucket].Add(1)
	}
	h.sum.Add(int64(max(d, 0)))
	return bucket
}

// nativeIndex returns the index of the native bucket of a duration: 0 is the one around zero, and
// the last one has everything that is longer.
func nativeIndex(d time.Duration) int {
	fraction, power := math.Frexp(float64(d) / float64(time.Second))
	if fraction <= 0 {
		return 0
	}
	part := 0
	for part < perPower && fraction > fractions[part] {
		part++
	}
	return min(max(part+(power-1)*perPower-firstKey+1, 0), nativeCount)
}

// exemplarEvery is how often a classic bucket gets a new exemplar: each of them is allocated.
const exemplarEvery = time.Second

// keepExemplar keeps an exemplar, unless its bucket has got one within a second.
func (h *histogram) keepExemplar(bucket int, d time.Duration, trace string, since time.Duration) {
	kept := h.exemplars[bucket].Load()
	if kept != nil && since-kept.since < exemplarEvery || len(trace) > maxTrace || !utf8.ValidString(trace) {
		return
	}
	h.exemplars[bucket].CompareAndSwap(kept, &exemplar{duration: d, trace: trace, at: time.Now(), since: since})
}

// A collected is a histogram as the client library collects it.
type collected struct {
	*histogram
	desc   *prometheus.Desc
	labels []*dto.LabelPair
}

// Desc implements [prometheus.Metric].
func (c *collected) Desc() *prometheus.Desc { return c.desc }

// Write implements [prometheus.Metric]. The count is the sum of the native buckets. A duration that
// is counted meanwhile is added to them first and is read from them last, so no count of classic
// buckets is above it.
func (c *collected) Write(m *dto.Metric) error {
	out := &dto.Histogram{
		Schema: new(int32(schema)), ZeroThreshold: new(math.Ldexp(1, lowestPower)),
	}
	var cumulative uint64
	for i, bound := range c.bounds {
		cumulative += c.classic[i].Load()
		out.Bucket = append(out.Bucket, &dto.Bucket{
			UpperBound: new(bound), CumulativeCount: new(cumulative), Exemplar: c.exemplars[i].Load().write(),
		})
	}
	out.SampleSum = new(time.Duration(c.sum.Load()).Seconds())
	out.ZeroCount = new(c.native[0].Load())
	count := c.writeNative(out) + out.GetZeroCount()
	out.SampleCount = new(count)
	if longest := c.exemplars[len(c.bounds)].Load(); longest != nil {
		out.Bucket = append(out.Bucket, &dto.Bucket{
			UpperBound: new(math.Inf(1)), CumulativeCount: new(count), Exemplar: longest.write(),
		})
	}
	m.Label, m.Histogram = c.labels, out
	return nil
}

// writeNative writes the native buckets in spans, and returns their count.
func (h *histogram) writeNative(out *dto.Histogram) (count uint64) {
	var last int64
	next := int32(0) // the key after the last bucket
	for i := range nativeCount {
		n := h.native[i+1].Load()
		if n == 0 {
			continue
		}
		count += n
		key := int32(firstKey + i)
		if spans := len(out.PositiveSpan); spans == 0 || key != next {
			out.PositiveSpan = append(out.PositiveSpan, &dto.BucketSpan{Offset: new(key - next), Length: new(uint32(0))})
		}
		*out.PositiveSpan[len(out.PositiveSpan)-1].Length++
		out.PositiveDelta = append(out.PositiveDelta, int64(n)-last)
		last, next = int64(n), key+1
	}
	if count == 0 { // how Prometheus knows a native histogram that is empty
		out.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
	return count
}

// write returns the exemplar as the client library collects it, nil for nil.
func (e *exemplar) write() *dto.Exemplar {
	if e == nil {
		return nil
	}
	return &dto.Exemplar{
		Label:     []*dto.LabelPair{{Name: new(traceLabel), Value: new(e.trace)}},
		Value:     new(e.duration.Seconds()),
		Timestamp: timestamppb.New(e.at),
	}
}

var _ prometheus.Metric = (*collected)(nil)
