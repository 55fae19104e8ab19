package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

var errDown = errors.New("the destination is down")

// A target is a destination that records what it accepted, and answers as configured.
type target struct {
	mu     sync.Mutex
	answer func(ids []string) error // of a Write; nil takes everything
	taken  []string
	calls  []call
}

type call struct {
	ids []string
	at  time.Time
}

func (d *target) Write(_ context.Context, events []*inlet.Event) error {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.MessageID
	}
	d.mu.Lock()
	d.calls = append(d.calls, call{ids, time.Now()})
	answer := d.answer
	d.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ids)
	}
	errs := inlet.ItemErrors(err, len(ids))
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, id := range ids {
		if errs == nil || errs[i] == nil {
			d.taken = append(d.taken, id)
		}
	}
	return err
}

// ids returns the ids that the target accepted.
func (d *target) ids() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.taken)
}

// writes returns what was written to it, and when.
func (d *target) writes() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// answers sets the answer.
func (d *target) answers(answer func(ids []string) error) {
	d.mu.Lock()
	d.answer = answer
	d.mu.Unlock()
}

// refuses returns an answer that rejects some events with the given error.
func refuses(err error, refused ...string) func([]string) error {
	return func(ids []string) error {
		var items []inlet.ItemError
		for i, id := range ids {
			if slices.Contains(refused, id) {
				items = append(items, inlet.ItemError{Index: i, Err: err})
			}
		}
		if items == nil {
			return nil
		}
		return &inlet.BatchError{Items: items}
	}
}

func down([]string) error { return errDown }

// deliver starts a delivery to sink with the name "d".
func deliver(t testing.TB, j *Journal, sink inlet.Sink, o *DeliverOptions) *Delivery {
	t.Helper()
	d, err := j.Deliver("d", sink, o)
	require.NoError(t, err)
	return d
}

// drain waits until d has delivered everything.
func drain(t testing.TB, d *Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	require.NoError(t, d.Drain(ctx))
}

// closeNow closes a journal that the test will open again.
func closeNow(t testing.TB, j *Journal) {
	t.Helper()
	require.NoError(t, j.Close(context.Background()))
}

// writeAt writes an event that was received at that time.
func writeAt(t testing.TB, j *Journal, id string, at time.Time) {
	t.Helper()
	e := event(id)
	e.ReceivedAt = at
	require.NoError(t, j.Write(t.Context(), []*inlet.Event{e}))
}

var (
	errNoSpace = &fs.PathError{Op: "write", Path: "segment", Err: syscall.ENOSPC}
	errIO      = &fs.PathError{Op: "write", Path: "segment", Err: syscall.EIO}
)

// switchedOn returns a switch that is on.
func switchedOn() *memfs.Switch {
	var on memfs.Switch
	on.Set(true)
	return &on
}

var day = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// event returns a track event of about the usual size.
func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "u1", AnonymousID: "a1",
		Timestamp: day, ReceivedAt: day, Source: &inlet.Source{ID: "web"}, Dialect: "segment",
		Properties: json.RawMessage(`{"orderId":"50314b8e9bcf000000000000","total":27.50,"currency":"EUR","products":[{"sku":"G-32","price":19,"quantity":1}]}`),
		Context:    json.RawMessage(`{"page":{"url":"https://shop.example/checkout?step=3&coupon=MAYDEALS","title":"Thank you"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64)","locale":"de-DE"}`),
	}
}

// events returns n events whose ids begin with prefix.
func events(prefix string, n int) []*inlet.Event {
	list := make([]*inlet.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("%s-%d", prefix, i))
	}
	return list
}

// openTest opens a journal for the duration of the test.
func openTest(t testing.TB, dir string, o *Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close(context.Background())) })
	return j
}

// openMem opens a journal on m.
func openMem(t testing.TB, m *memfs.FS, o Options) *Journal {
	t.Helper()
	o.fs = m
	return openTest(t, memfs.Dir, &o)
}

// write writes events of those ids, one by one.
func write(t testing.TB, j *Journal, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, j.Write(t.Context(), []*inlet.Event{event(id)}))
	}
}

// stored returns the ids of everything in j.
func stored(t testing.TB, j *Journal) []string {
	t.Helper()
	var ids []string
	last := uint64(0)
	for r, err := range j.Events(context.Background(), 0) {
		require.NoError(t, err)
		require.Greater(t, r.Seq, last)
		last = r.Seq
		ids = append(ids, r.Event.MessageID)
	}
	return ids
}

// lineOf returns the line of an event, complete.
func lineOf(e *inlet.Event, seq uint64) []byte {
	line, mark := appendLine(nil, e)
	completeLine(line, mark.crc, seq)
	return line
}

// names returns the names of all files except for LAST, which test of their own look at.
func names(m *memfs.FS) []string {
	return slices.DeleteFunc(m.Names(), func(name string) bool { return path.Base(name) == lastName })
}

// ops returns the operations on them.
func ops(m *memfs.FS) []string {
	list := m.Ops()
	var kept []string
	for i := 0; i < len(list); i++ {
		if strings.Contains(list[i], " "+lastName) {
			if strings.HasPrefix(list[i], "rename ") {
				i++ // the flush of the directory
			}
			continue
		}
		kept = append(kept, list[i])
	}
	return kept
}

// encode writes the lines of events to a request.
func encode(r *writeRequest, events []*inlet.Event) {
	r.reset()
	for _, e := range events {
		r.addLine(e)
	}
}

// lines returns the lines of events numbered from first on, with ids "m"+number.
func lines(first, n int) string {
	var b strings.Builder
	for seq := first; seq < first+n; seq++ {
		b.Write(lineOf(event(fmt.Sprintf("m%d", seq)), uint64(seq)))
	}
	return b.String()
}

// files returns the names in dir.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// named returns events with those ids.
func named(ids ...string) []*inlet.Event {
	list := make([]*inlet.Event, len(ids))
	for i, id := range ids {
		list[i] = event(id)
	}
	return list
}

// numbered returns n ids, prefix with a number from 0 on.
func numbered(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(prefix, i))
	}
	return ids
}

// failing returns an answer that fails every Write with one of the ids in it.
func failing(bad ...string) func([]string) error {
	return func(ids []string) error {
		if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(bad, id) }) {
			return errDown
		}
		return nil
	}
}

// reasonsOf returns the reasons of a destination's dead letters, by id.
func reasonsOf(t *testing.T, m *memfs.FS, name string) map[string]string {
	t.Helper()
	j, err := Open(memfs.Dir+"/dead/"+name, &Options{fs: m})
	require.NoError(t, err)
	defer closeNow(t, j)
	reasons := map[string]string{}
	for r, err := range j.Events(context.Background(), 0) {
		require.NoError(t, err)
		refusal, ok := sinks.RefusalOf(r.Event)
		require.True(t, ok)
		reasons[r.Event.MessageID] = refusal.Error
	}
	return reasons
}

// lettersOf returns the ids of a destination's dead letters.
func lettersOf(t *testing.T, m *memfs.FS, name string) []string {
	t.Helper()
	j, err := Open(memfs.Dir+"/dead/"+name, &Options{fs: m})
	require.NoError(t, err)
	defer closeNow(t, j)
	return stored(t, j)
}
