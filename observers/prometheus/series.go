package inletprom

import (
	"hash/maphash"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/metrics"
)

// A table finds entries by key without a lock and without an allocation. Entries are added with the
// lock of its owner held, and never removed.
type table[K comparable, V any] struct {
	buckets []atomic.Pointer[entry[K, V]] // a power of two
	length  int                           // changed by add only
}

// newTable returns a table that has room for most entries.
func newTable[K comparable, V any](most int) table[K, V] {
	return table[K, V]{buckets: make([]atomic.Pointer[entry[K, V]], 1<<bits.Len(uint(most)/2))}
}

// bucket returns the first entry of those with that hash.
func (t *table[K, V]) bucket(hash uint64) *atomic.Pointer[entry[K, V]] {
	return &t.buckets[hash&uint64(len(t.buckets)-1)]
}

type entry[K comparable, V any] struct {
	key   K
	value *V
	next  *entry[K, V]
}

// get returns the value of a key with that hash, or nil.
func (t *table[K, V]) get(hash uint64, key *K) *V {
	for e := t.bucket(hash).Load(); e != nil; e = e.next {
		if e.key == *key {
			return e.value
		}
	}
	return nil
}

// add adds a key that the table does not have.
func (t *table[K, V]) add(hash uint64, key K, value *V) {
	bucket := t.bucket(hash)
	bucket.Store(&entry[K, V]{key, value, bucket.Load()})
	t.length++
}

// A source is what is known of the owner of requests.
type source struct {
	label  string
	hash   uint64
	series int         // it has, guarded by mu
	full   atomic.Bool // it has as many as it may
}

// source returns the source of an ID, that of others if there are too many.
func (m *Metrics) source(id string) *source {
	hash := maphash.String(m.seed, id)
	if s := m.sources.get(hash, &id); s != nil {
		return s
	}
	if m.closed.Load() {
		return &m.other
	}
	return m.addSource(hash, id)
}

func (m *Metrics) addSource(hash uint64, id string) *source {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sources.get(hash, &id); s != nil {
		return s
	}
	if m.closed.Load() {
		return &m.other
	}
	id = strings.Clone(id)
	label := metrics.Label(id)
	s := m.bySource[label]
	if s == nil {
		s = &source{label: label, hash: hash}
		m.bySource[label] = s
	}
	m.sources.add(hash, id, s)
	m.closed.Store(m.sources.length > m.o.MaxSources) // "" is that of requests without one
	return s
}

// A seriesKey is what requests are told apart by. Its texts are as the handler has them, which
// need not be labels; several keys may belong to one series.
type seriesKey struct {
	source        *source
	dialect, path string
	code          inlet.Code
	status        int
}

// A series counts the requests of the same labels.
type series struct {
	labels   seriesLabels
	duration *histogram

	requests, accepted, rejected, wireBytes, bytes atomic.Uint64
}

// seriesLabels are the labels of inlet_requests_total.
type seriesLabels struct{ dialect, path, source, status, code string }

// durationLabels are those of inlet_request_duration_seconds, which has many series for each of
// them, and so has no source.
type durationLabels struct{ dialect, path, status string }

// find returns the series of a key, or of what the key is counted with if there are too many.
func (m *Metrics) find(k seriesKey) *series {
	for {
		hash := k.hash()
		if s := m.series.get(hash, &k); s != nil {
			return s
		}
		if s := m.addSeries(hash, &k); s != nil {
			return s
		}
		if k.source != &m.other {
			k.source = &m.other
		} else {
			k = seriesKey{source: &m.other, dialect: metrics.Other, path: metrics.Other, code: metrics.Other, status: k.status}
		}
	}
}

// hash returns the hash of a key: that of its source, which is a good one, and lengths and letters
// of what each source has only a few of, none of which a client can choose.
func (k *seriesKey) hash() uint64 {
	const odd = 0x9e3779b97f4a7c15
	mixed := uint64(k.status) + uint64(len(k.code))<<10 + uint64(len(k.dialect))<<16 + uint64(len(k.path))<<22
	if n := len(k.path); n > 0 {
		mixed += uint64(k.path[n-1])<<32 + uint64(k.path[n/2])<<40
	}
	if n := len(k.code); n > 0 {
		mixed += uint64(k.code[n-1]) << 48
	}
	return k.source.hash ^ mixed*odd>>32
}

// mayAdd reports whether a key may have a series of its own. The last that a key becomes always
// may: there is one for each status.
func (m *Metrics) mayAdd(k *seriesKey) bool {
	last := k.source == &m.other && k.dialect == metrics.Other && k.path == metrics.Other
	return last || !m.full.Load() && !k.source.full.Load()
}

// addSeries adds the series of a key, or returns nil if there are too many.
func (m *Metrics) addSeries(hash uint64, k *seriesKey) *series {
	if !m.mayAdd(k) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.series.get(hash, k); s != nil {
		return s
	}
	if !m.mayAdd(k) {
		return nil
	}
	kept := seriesKey{
		source: k.source, status: k.status,
		dialect: strings.Clone(k.dialect), path: strings.Clone(k.path), code: inlet.Code(strings.Clone(string(k.code))),
	}
	s := m.seriesOf(&kept)
	m.series.add(hash, kept, s)
	m.full.Store(m.series.length >= m.o.MaxSeries)
	k.source.series++
	k.source.full.Store(k.source != &m.other && k.source.series >= metrics.SourceSeries)
	return s
}

// seriesOf returns the series of the labels that a key has. It is called with mu held.
func (m *Metrics) seriesOf(k *seriesKey) *series {
	l := seriesLabels{
		dialect: metrics.Label(k.dialect), path: metrics.Label(k.path), source: k.source.label, status: statusLabel(k.status),
		code: metrics.Label(string(k.code)),
	}
	if s := m.labelled[l]; s != nil {
		return s
	}
	d := durationLabels{l.dialect, l.path, l.status}
	h := m.durations[d]
	if h == nil {
		h = newHistogram(m.o.Buckets)
		m.durations[d] = h
	}
	s := &series{labels: l, duration: h}
	m.labelled[l] = s
	return s
}

// statusLabel returns a status as the value of a label.
func statusLabel(status int) string {
	if status < 100 || status > 599 {
		return metrics.Other
	}
	return strconv.Itoa(status)
}
