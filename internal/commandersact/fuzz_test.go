package commandersact_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/commandersact"
	"github.com/inlet-go/inlet/internal/wire"
)

// FuzzMigrate checks what the migration promises for any payload.
func FuzzMigrate(f *testing.F) {
	for _, seed := range []string{
		`{"event":"x","eventId":1,"properties":{"a":1,"event_name":"y","context":{"page":{"url":"u"}},"user":{"id":1,"consent_categories":[1,"2"]}},"user":{"id":2,"b":3},"context":{"page":{"url":"v"},"version":1},"page":{"location":"w"},"device":{"userAgent":"a","user_agent":"b","cookies":"c"},"locale":"fr","userAgent":"d","event_timestamp":"2022-01-01T10:00:00","extra":{"a":1}}`,
		`{"batch":[{"event_name":"a","properties":{}},{"event_name":"b"},3,{"event_name":"c","context":{},"event_timestamp":5,"event_id":"e"}],"x":1}`,
		`{"event":"x","page":{},"event_Id":"i","eventId":"j","event_timestamp":1}`,
		`{"event_name":"x","version":1,"batch":[1],"type":"t"}`,
		`{"event_name":"x","properties":{"event_id":"data","batch":[{"properties":{}}],"\u0075ser":{}}}`,
		`{"event_name":"\ud800","properties":{"a":"\ud800"}}`,
		`{"event_name":" ","event":"x","event_id":"","eventId":"i","event_timestamp":"soon","eventTimestamp":1639044446636,"properties":[],"user":[],"page":{"url":"","location":"w"},"device":{"user_agent":[],"userAgent":"a","cookie":" ","cookies":"c","lang":{}},"locale":"fr","context":[]}`,
		`{"event_name":"x","event_timestamp":"soon","properties":{"user":"","integrations":[]},"user":{"id":"1"},"device":[],"userAgent":"d","page":"","context":{"page":{"url":"u"},"device":{"lang":"fr"}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) { requirePromises(t, payload) })
}

// requirePromises checks what the migration promises, and reports whether the payload was
// changed.
func requirePromises(t *testing.T, payload string) (changed bool) {
	t.Helper()
	requirePromisesWith(t, payload, commandersact.Options{})
	return requirePromisesWith(t, payload, onArrival)
}

func requirePromisesWith(t *testing.T, payload string, o commandersact.Options) (changed bool) {
	t.Helper()
	once, report, err := migrate(nil, []byte(payload), o)
	if err != nil {
		return false
	}
	twice, again, err := migrate(nil, once, o)
	require.NoError(t, err)
	require.Equal(t, string(once), string(twice), "not idempotent: %s", payload)
	require.Zero(t, again.Migrated)
	if report.Migrated == 0 {
		require.Equal(t, payload, string(once), "a payload without changes was not copied")
	}
	if jsontext.Value(payload).IsValid() {
		require.True(t, jsontext.Value(once).IsValid(), "not valid: %s\nof %s", once, payload)
		requireKept(t, payload, once, report)
		requireComposed(t, payload, once, o)
	}
	return report.Migrated > 0
}

// requireKept checks that every string and number of the payload is in the result or in
// the report. Empty strings may be dropped, and a time may be written in another form.
func requireKept(t *testing.T, payload string, result []byte, report commandersact.Report) {
	t.Helper()
	kept := map[string]bool{}
	for leaf := range leaves(result) {
		kept[leaf] = true
	}
	for _, note := range report.Notes {
		for leaf := range leaves(note.Value) {
			kept[leaf] = true
		}
	}
	for leaf, raw := range leaves([]byte(payload)) {
		if _, code := commandersact.ReadTime(raw); kept[leaf] || leaf == "" || leaf == "1" || leaf == "2" ||
			code != commandersact.CodeTimestampInvalid && code != commandersact.CodeTimestampMissing {
			continue
		}
		require.Fail(t, "a value is lost", "%q of %s\nin %s\n%+v", leaf, payload, result, report)
	}
}

// leaves yields the strings and numbers of a value, unquoted and as they are written.
func leaves(value []byte) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		dec := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true))
		for {
			kind := dec.PeekKind()
			depth := dec.StackDepth()
			at, n := dec.StackIndex(depth)
			isName := at == jsontext.KindBeginObject && n%2 == 0
			if kind != jsontext.KindString && kind != jsontext.KindNumber || isName {
				if _, err := dec.ReadToken(); err != nil {
					return
				}
				continue
			}
			raw, err := dec.ReadValue()
			if err != nil {
				return
			}
			raw = raw.Clone()
			leaf := string(raw)
			if kind == jsontext.KindString {
				leaf = wire.Text(raw)
			}
			if !yield(leaf, raw) {
				return
			}
		}
	}
}

// requireComposed checks that the document that the migration makes of the result equals
// the one that is read from it.
func requireComposed(t *testing.T, payload string, result []byte, o commandersact.Options) {
	t.Helper()
	var m commandersact.Migrator
	var from, into, want wire.Document
	limits := wire.Limits{Depth: 100, Items: 100}
	if m.Load(&from, []byte(payload), limits) != nil {
		return
	}
	meter := &meter{left: -1}
	into.SetMeter(meter)
	kept := m.Memory()
	o.Meter = meter
	out, changed, err := m.Migrate(nil, &into, o)
	require.NoError(t, err)
	require.GreaterOrEqual(t, meter.reserved, m.Memory()-kept+into.Memory()+int64(cap(out)))
	require.LessOrEqual(t, len(out), 2*len(payload)+512*max(1, m.Report().Migrated), "as much as there is room for")
	requireRefused(t, payload, out, o, meter.calls)
	if !changed || into.Limits() == (wire.Limits{}) || want.Read(out, `"batch"`, wire.Limits{Items: 100}) != nil {
		return
	}
	require.Equal(t, string(result), string(out))
	requireSameObject(t, want.Root(), into.Root())
	items, listed := want.Items()
	switch root, plain := m.PlainContexts(); {
	case root:
		requirePlainContext(t, want.Root())
	case plain:
		for i := range items.Len() {
			requirePlainContext(t, items.At(i).Object)
		}
	}
	made, madeListed := into.Items()
	received, _ := from.Items()
	require.Equal(t, listed, madeListed)
	require.Equal(t, items.Len(), made.Len())
	for i := range items.Len() {
		require.Equal(t, received.At(i).Fault, made.At(i).Fault)
		require.Equal(t, received.At(i).Size, made.At(i).Size)
		if made.At(i).Fault.Kind == wire.None {
			requireSameObject(t, items.At(i).Object, made.At(i).Object)
		}
	}
}

// requirePlainContext checks what PlainContexts says of an event.
func requirePlainContext(t *testing.T, event wire.Object) {
	t.Helper()
	context := event.Get(`"context"`)
	var names []string
	for w := wire.Walk(context); w.Next(); {
		names = append(names, wire.Text(w.Name))
	}
	if names[0] == "event_id" {
		names = names[1:]
	}
	require.Equal(t, "event_timestamp", names[0], "%s", context)
	require.Equal(t, "version", names[len(names)-1], "%s", context)
	require.Equal(t, "2", string(wire.Find(context, `"version"`)), "%s", context)
	for _, name := range names[1:] {
		require.NotContains(t, []string{"event_id", "eventId", "event_timestamp", "created"}, name, "%s", context)
	}
}

// A meter counts what is reserved, and refuses a call once none are left, unless left is negative.
type meter struct {
	reserved    int64
	calls, left int
}

var errRefused = errors.New("refused")

func (m *meter) Reserve(n int64) error {
	if m.calls == m.left {
		return errRefused
	}
	m.calls++
	m.reserved += n
	return nil
}

// requireRefused checks what a migration does that is refused memory by one of its calls.
func requireRefused(t *testing.T, payload string, migrated []byte, o commandersact.Options, calls int) {
	t.Helper()
	dst := []byte("before")
	var m commandersact.Migrator
	var from, into wire.Document
	require.NoError(t, m.Load(&from, []byte(payload), wire.Limits{Depth: 100, Items: 100}))
	meter := &meter{left: len(payload) % max(1, calls)} // any of them, over many payloads
	into.SetMeter(meter)
	o.Meter = meter
	out, changed, err := m.Migrate(dst, &into, o)
	if err == nil { // there was less to ask for than without dst
		require.Equal(t, "before"+string(migrated), string(out))
		return
	}
	require.ErrorIs(t, err, errRefused)
	require.False(t, changed)
	require.Equal(t, "before", string(out))
}

func requireSameObject(t *testing.T, want, got wire.Object) {
	t.Helper()
	require.Equal(t, want.Len(), got.Len())
	for i := range want.Len() {
		require.Equal(t, string(want.Name(i)), string(got.Name(i)))
		require.Equal(t, string(want.Value(i)), string(got.Value(i)))
	}
}

// eventWords are names with a meaning somewhere in an event, and some without.
var eventWords = []string{
	`"event_name"`, `"event"`, `"event_id"`, `"eventId"`, `"event_Id"`, `"event_timestamp"`, `"eventTimestamp"`, `"properties"`, `"context"`,
	`"version"`, `"page"`, `"device"`, `"app"`, `"user"`, `"integrations"`, `"partners"`, `"userAgent"`, `"user_agent"`, `"cookies"`, `"cookie"`,
	`"locale"`, `"lang"`, `"url"`, `"location"`, `"consent_categories"`, `"created"`, `"generatorVersion"`, `"type"`, `"userId"`, `"batch"`, `"a"`, `"\u0075ser"`,
}

// randomValue returns JSON of those names.
func randomValue(r *rand.Rand, depth int) string {
	switch n := r.IntN(12); {
	case n < 5 && depth > 0:
		var members []string
		for _, k := range r.Perm(len(eventWords) - 1)[:r.IntN(9)] {
			members = append(members, eventWords[k]+":"+randomValue(r, depth-1))
		}
		return "{" + strings.Join(members, ",") + "}"
	case n < 7 && depth > 0:
		return "[" + randomValue(r, depth-1) + "," + randomValue(r, depth-1) + "]"
	default:
		return []string{`1`, `2`, `null`, `""`, `[]`, `{}`, `" "`, `"x"`, `"y"`, `"2022-01-01T00:00:00"`, `1639044446636`, `9007199254740993`, `true`}[r.IntN(13)]
	}
}

func TestMigrateRandom(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	changed := 0
	for range 6_000 {
		if payload := randomValue(r, 4); payload[0] == '{' && requirePromises(t, payload) {
			changed++
		}
	}
	require.Greater(t, changed, 200)
}
