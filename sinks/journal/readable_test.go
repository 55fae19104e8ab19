package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/verified"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// rawCases are raw fields, and whether an event can have them and be read back.
var rawCases = []struct {
	raw string
	ok  bool
}{
	{`{"a":1}`, true},
	{` {"a" : [1, {"b":{}}]} `, true},
	{"{\"a\":\n1}", true},
	{`{"a":1,"a":2}`, false},
	{`{"a":[[{"b":1,"\u0062":2}]]}`, false},
	{`{"a":1`, false},
	{`{"a":1}}`, false},
	{`{"a":1},"b":{"c":2}`, false},
	{`{`, false},
	{`[`, false},
	{`x`, false},
	{"{\"a\":\"\xff\"}", false},
	{`{"a":"\ud800"}`, false},
	{"{\"\xff\":1,\"\xfe\":2}", false},
	{`{"a":` + strings.Repeat("[", 8_000) + strings.Repeat("]", 8_000) + `}`, true},
	{`{"a":` + strings.Repeat("[", 9_900) + strings.Repeat("]", 9_900) + `}`, true},
	{`{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, false},
	{`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, false},
}

func TestReadable(t *testing.T) {
	t.Parallel()
	set := func(field func(*inlet.Event) *json.RawMessage, raw string) func(*inlet.Event) {
		return func(e *inlet.Event) { *field(e) = json.RawMessage(raw) }
	}
	type test struct {
		name   string
		change func(*inlet.Event)
		field  string // refused for it; "" if it is stored
	}
	extra := func(e *inlet.Event) *json.RawMessage { return &e.Extra }
	tests := []test{
		{"a value that is not an object", set(func(e *inlet.Event) *json.RawMessage { return &e.Traits }, `null`), ""},
		{"a list with a duplicate name", set(func(e *inlet.Event) *json.RawMessage { return &e.Traits }, `[{"a":1,"a":2}]`), "traits"},
		{"Extra that is not an object", set(extra, `[1]`), "extra"},
		{"Extra with the name of a field that is set", set(extra, `{"userId":"x"}`), "extra"},
		{"Extra with an escaped name of a field", set(extra, `{"\u0075serId":"x"}`), "extra"},
		{"Extra with a type", set(extra, `{"type":"page"}`), "extra"},
		{"Extra with a time that is none", set(extra, `{"sentAt":"yesterday"}`), "extra"},
		{"Extra with an id that is no text", set(extra, `{"groupId":5}`), "extra"},
		{"Extra with the name of an event of another type", set(extra, `{"name":"x"}`), ""},
		{"Extra that was read from a line", set(extra, `{"_seq":"1","_c":"2","a":3}`), ""},
		{"a time before the year 0", func(e *inlet.Event) { e.SentAt = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }, "sentAt"},
		{"a time after 9999", func(e *inlet.Event) { e.Timestamp = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200)) }, "timestamp"},
		{"the first and the last time", func(e *inlet.Event) {
			e.Timestamp, e.SentAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC)
		}, ""},
		{"invalid text in an id", func(e *inlet.Event) { e.UserID = "a\xffb" }, ""},
		{"no type and no source", func(e *inlet.Event) { e.Type, e.Source = "", nil }, ""},
	}
	for i, name := range rawNames {
		for _, c := range rawCases {
			field := name
			if c.ok {
				field = ""
			}
			tests = append(tests, test{name + " " + c.raw[:min(len(c.raw), 40)], func(e *inlet.Event) {
				*[...]*json.RawMessage{&e.Properties, &e.Traits, &e.Context, &e.Integrations, &e.Extra}[i] = json.RawMessage(c.raw)
			}, field})
		}
	}
	j := openMem(t, memfs.New(), Options{Logger: slog.New(slog.DiscardHandler)})
	refused := uint64(0)
	for _, tt := range tests {
		before, bad, after := event("before"), event("bad"), event("after")
		tt.change(bad)
		from := j.Stats().LastSeq + 1
		err := j.Write(t.Context(), []*inlet.Event{before, bad, after})
		var ids []string
		for r, err := range j.Events(t.Context(), from) {
			require.NoError(t, err, tt.name)
			ids = append(ids, r.Event.MessageID)
		}
		if tt.field == "" {
			require.NoError(t, err, tt.name)
			require.Equal(t, []string{"before", "bad", "after"}, ids, tt.name)
			continue
		}
		refused++
		errs := inlet.ItemErrors(err, 3)
		require.NoError(t, errs[0], tt.name)
		require.NoError(t, errs[2], tt.name)
		require.True(t, inlet.IsPermanent(errs[1]), tt.name)
		p, ok := errors.AsType[*inlet.Problem](errs[1])
		require.True(t, ok, tt.name)
		require.Equal(t, tt.field, p.Field, tt.name)
		require.Equal(t, []string{"before", "after"}, ids, tt.name)

		require.Error(t, j.Write(t.Context(), []*inlet.Event{bad}), "alone")
		refused++
	}
	require.Equal(t, refused, j.Stats().Refused)
}

// handledContext is the context of the write of a handler that has read the events.
func handledContext(ctx context.Context, events []*inlet.Event) context.Context {
	list := new(verified.List)
	list.Begin(len(events))
	for _, e := range events {
		marks := list.Add(&e.Properties)
		for i, raw := range rawFields(e) {
			marks.Set(i, raw)
		}
	}
	list.End()
	return verified.With(ctx, list)
}

// Only what a handler has read is not read again.
func TestReadableSkipsWhatWasRead(t *testing.T) {
	t.Parallel()
	j := openMem(t, memfs.New(), Options{Logger: slog.New(slog.DiscardHandler)})
	broken := func(id string) *inlet.Event {
		e := event(id)
		e.Properties = json.RawMessage(`{"a":`)
		return e
	}
	list := []*inlet.Event{broken("m0"), broken("m1"), broken("m2")}
	ctx := handledContext(t.Context(), list)
	r := newWriteRequest()
	require.Empty(t, j.encode(ctx, r, list), "as the handler has read it, it says")
	require.Len(t, j.encode(t.Context(), r, list), 3, "in the context of another")
	require.Len(t, j.encode(ctx, r, inlet.CloneEvents(list)), 3, "copies")
	require.Empty(t, j.encode(ctx, r, list[1:2]), "a part")

	list[1].Properties = json.RawMessage(`{"b":`)
	refused := j.encode(ctx, r, list)
	require.Len(t, refused, 1, "changed since")
	require.Equal(t, 1, refused[0].Index)
	require.Len(t, r.lines, 2)
}

func TestReadableAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	j := openMem(t, memfs.New(), Options{})
	list, r := events("m", 20), newWriteRequest()
	ctx := handledContext(t.Context(), list)
	require.Zero(t, testing.AllocsPerRun(100, func() { j.encode(ctx, r, list) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { j.encode(t.Context(), r, list) }))
}

// FuzzReadable checks that whatever is in the raw fields of an event, it is stored and can be
// read back, or is refused.
func FuzzReadable(f *testing.F) {
	for _, c := range rawCases {
		f.Add(c.raw, c.raw)
	}
	f.Add(`{"a":1}`, `{"userId":"x"}`)
	f.Add(`null`, `{"_seq":1}`)
	check := new(checker)
	f.Fuzz(func(t *testing.T, properties, extra string) {
		e := event("m")
		e.Properties, e.Extra = json.RawMessage(properties), json.RawMessage(extra)
		refused := check.refusal(e, nil)
		plain := encodable(0, e.Properties) || properties == ""
		if !plain || extra != "" && !encodable(extraField, e.Extra) {
			require.NotNil(t, refused, "it cannot be encoded")
			return
		}
		line, _ := appendLine(nil, e)
		require.NotContains(t, string(line[:len(line)-1]), "\n")
		_, err := parseLine(line)
		require.Equal(t, err != nil, refused != nil, "%v %v", err, refused)
	})
}

// BenchmarkReadable measures the check together with the encoding, for events of a
// handler, and for others.
func BenchmarkReadable(b *testing.B) {
	list, r := events("bench", 100), newWriteRequest()
	j := openTest(b, b.TempDir(), &Options{Sync: SyncNever})
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"unchecked", func() { encode(r, list) }},
		{"handled", func() { j.encode(handledContext(b.Context(), list), r, list) }},
		{"unknown", func() { j.encode(b.Context(), r, list) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/event")
		})
	}
}

// What cannot be read, although it is stored, is counted and logged: once a minute, with the
// number and the cause.
func TestDropped(t *testing.T) {
	t.Parallel()
	const unreadable = 30
	file := func() string {
		var b strings.Builder
		for seq := uint64(1); seq <= unreadable; seq++ {
			e := event("bad")
			e.Properties = json.RawMessage(`{"a":1,"a":2}`) // as an earlier version stored it
			b.Write(lineOf(e, seq))
		}
		b.Write(lineOf(event("good"), unreadable+1))
		return b.String()
	}
	for _, name := range []string{"deliver", "replay"} {
		synctest.Test(t, func(t *testing.T) {
			m, log, to := memfs.New(), new(bytes.Buffer), &target{}
			m.Put(entry{1, extSealed}.name(), file())
			j := openMem(t, m, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
			skipped := uint64(0)
			o := &DeliverOptions{MaxBytes: 1, OnSkipped: func(n uint64) { skipped += n }}
			if name == "replay" {
				n, err := j.Replay(t.Context(), to, o)
				require.NoError(t, err)
				require.EqualValues(t, 1, n)
			} else {
				d := deliver(t, j, to, o)
				drain(t, d)
				require.EqualValues(t, unreadable, d.Stats().Dropped)
				require.NoError(t, d.Stop(t.Context()))
			}
			require.EqualValues(t, unreadable, skipped)
			require.Equal(t, []string{"good"}, to.ids())
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			require.LessOrEqual(t, len(lines), 2, "the first at once, the others together")
			logged := 0
			for _, line := range lines {
				require.Contains(t, line, `msg="journal: events dropped before they were delivered"`)
				require.Contains(t, line, `cause="event unreadable"`)
				require.Contains(t, line, "duplicate")
				_, number, _ := strings.Cut(line, "atMost=")
				n := 0
				_, err := fmt.Sscan(number, &n)
				require.NoError(t, err)
				logged += n
			}
			require.Equal(t, unreadable, logged)
		})
	}
}
