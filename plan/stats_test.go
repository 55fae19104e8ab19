package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/plan"
)

// Statistics say which events violate what, since when, from which source and SDK.
func TestStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"required":"quarantine"}`)
	write := func(e *inlet.Event) {
		t.Helper()
		require.NoError(t, w.Write(t.Context(), []*inlet.Event{e}))
	}
	first, last := order("first", missing), order("last", missing)
	last.Source, last.ReceivedAt = &inlet.Source{ID: "app"}, first.ReceivedAt.Add(time.Hour)
	last.Context = json.RawMessage(`{"library":{"name":"analytics-ios"}}`)
	write(first)
	write(last)
	write(order("third", unplanned))
	write(order("fourth", good))
	s := w.judge.Stats()
	require.Equal(t, "shop", s.Name)
	require.Equal(t, "1", s.Version)
	require.Equal(t, []plan.Count{
		{
			Type: inlet.TypeTrack, Event: "Order Completed", Kind: plan.Required, Path: "properties.total", Mode: plan.SetAside,
			Text: "properties.total is missing: it must be a number", Events: 2,
			First: plan.Example{At: first.ReceivedAt, MessageID: "first", Source: "web", Library: "analytics.js 1.50.0"},
			Last:  plan.Example{At: last.ReceivedAt, MessageID: "last", Source: "app", Library: "analytics-ios"},
		},
		{
			Type: inlet.TypeTrack, Event: "Order Completed", Kind: plan.UnplannedProperty, Path: "properties.coupon", Mode: plan.Observe,
			Text: `properties.coupon is not in the plan: it is the text "SPRING"`, Events: 1,
			First: plan.Example{At: first.ReceivedAt, MessageID: "third", Source: "web", Library: "analytics.js 1.50.0"},
			Last:  plan.Example{At: first.ReceivedAt, MessageID: "third", Source: "web", Library: "analytics.js 1.50.0"},
		},
	}, s.Counts)
	require.Equal(t, map[plan.KindCount]bool{
		{Kind: plan.Required, Mode: plan.SetAside, Events: 2}: true, {Kind: plan.UnplannedProperty, Mode: plan.Observe, Events: 1}: true,
	}, kinds(t, &s))
	text, err := json.Marshal(s)
	require.NoError(t, err)
	require.Contains(t, string(text), `{"kind":"required","mode":"quarantine","events":2}`)
	require.Contains(t, string(text), `"kind":"required","path":"properties.total","mode":"quarantine","text":"properties.total is missing`)

	require.NoError(t, w.judge.Swap(orders(t, "2", `{}`)))
	s = w.judge.Stats()
	require.Equal(t, "2", s.Version)
	require.Empty(t, s.Counts, "a plan begins anew")
	require.Empty(t, kinds(t, &s), "a plan begins anew")
	require.Zero(t, s.Clean)
}

// kinds returns the kinds and modes of violations that some events had.
func kinds(t testing.TB, s *plan.Stats) map[plan.KindCount]bool {
	t.Helper()
	some, all := map[plan.KindCount]bool{}, map[plan.KindCount]bool{}
	for _, k := range s.Kinds {
		require.NotEmpty(t, k.Kind.String())
		require.NotEmpty(t, k.Mode.String())
		if k.Events > 0 {
			some[k] = true
		}
		k.Events = 0
		all[k] = true
	}
	require.Len(t, s.Kinds, 15)
	require.Len(t, all, 15, "each once")
	return some
}

// An event counts once for each kind and mode of its violations, however many it has of it. A kind
// that does not exist, of a schema of the host, is another one.
func TestStatsKinds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		modes string
		found []plan.Kind
		want  map[plan.KindCount]bool
	}{
		"several of a kind": {`"reject"`, []plan.Kind{plan.Type, plan.Type, plan.Type}, map[plan.KindCount]bool{{plan.Type, plan.Reject, 1}: true}},
		"several kinds": {`{"type":"quarantine","required":"reject"}`, []plan.Kind{plan.Required, plan.Type, plan.Required, plan.UnplannedProperty},
			map[plan.KindCount]bool{{plan.Required, plan.Reject, 1}: true, {plan.Type, plan.SetAside, 1}: true, {plan.UnplannedProperty, plan.Observe, 1}: true}},
		"no kind":             {`"observe"`, []plan.Kind{0}, map[plan.KindCount]bool{{plan.Other, plan.Observe, 1}: true}},
		"a kind beyond":       {`{"other":"reject"}`, []plan.Kind{plan.Other + 1}, map[plan.KindCount]bool{{plan.Other, plan.Observe, 1}: true}},
		"the greatest number": {`"observe"`, []plan.Kind{255, plan.Other}, map[plan.KindCount]bool{{plan.Other, plan.Observe, 1}: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Load(strings.NewReader(`{"modes": `+tt.modes+`, "rules": [{"type": "track", "event": "Order Completed", "schema": {"anyOf": [{}]}}]}`),
				&plan.LoadOptions{Full: finder(tt.found)})
			require.NoError(t, err)
			j := judgeOf(t, p)
			_ = j.Validator()(order("a", good))
			s := j.Stats()
			require.Equal(t, tt.want, kinds(t, &s))
		})
	}
}

// finder compiles schemas that find violations of some kinds in each event.
type finder []plan.Kind

func (f finder) Compile(json.RawMessage) (plan.Schema, error) { return f, nil }

func (f finder) Check(_ json.RawMessage, into []plan.Violation) []plan.Violation {
	for _, k := range f {
		into = append(into, plan.Violation{Kind: k})
	}
	return into
}

// Each element of a list that has the same fault is one violation of one event.
func TestStatsOfLists(t *testing.T) {
	t.Parallel()
	j := judgeOf(t, read(t, `{"rules": [{"type": "track", "event": "Order Completed", "schema": {"properties": {"properties": {
		"properties": {"products": {"items": {"required": ["sku"]}}}}}}}]}`))
	validate := j.Validator()
	for range 3 {
		require.Nil(t, validate(order("a", `{"products":[{},{"sku":"x"},{}]}`)))
	}
	s := j.Stats()
	require.Len(t, s.Counts, 1)
	require.Equal(t, "properties.products[].sku", s.Counts[0].Path)
	require.Equal(t, uint64(3), s.Counts[0].Events)
	require.Equal(t, map[plan.KindCount]bool{{Kind: plan.Required, Mode: plan.Observe, Events: 3}: true}, kinds(t, &s))
}

// However many different violations clients make up, there is a bound; the rest is counted. What
// violates a rule is counted on its own all the same.
func TestStatsBound(t *testing.T) {
	t.Parallel()
	j := judgeOf(t, read(t, `{"rules":[{"type":"page","schema":{"properties":{"userId":{"type":"null"}}}},{"type":"track","event":"Order Completed","schema":{"properties":{"properties":{
		"properties":{"total":{"type":"number"}},"additionalProperties":false}}}}]}`))
	validate, sent := j.Validator(), uint64(0)
	send := func(e *inlet.Event) {
		require.Nil(t, validate(e))
		sent++
	}
	for i := range plan.MaxCounts {
		name := fmt.Sprint(i) + strings.Repeat("é", i%300)
		event, page := order("a", good), order("a", good)
		event.Name, page.Name, page.Type = name, name, inlet.TypePage
		send(event)
		send(page)
		send(order("a", fmt.Sprintf(`{"total":1,%q:2}`, name)))
	}
	send(order("a", `{"total":"1"}`))
	s := j.Stats()
	require.Len(t, s.Counts, 400+1)
	total, planned := s.Other, 0
	for _, c := range s.Counts {
		total += c.Events
		if c.Event == "Order Completed" && c.Kind == plan.Type {
			planned++
		}
		require.LessOrEqual(t, len(c.Event), 200)
		require.LessOrEqual(t, len(c.Text), 200)
	}
	require.Equal(t, 1, planned, "the violation of a rule")
	require.Equal(t, sent, total)
	require.Equal(t, sent, s.Observed)
	require.Equal(t, map[plan.KindCount]bool{
		{Kind: plan.UnplannedEvent, Mode: plan.Observe, Events: plan.MaxCounts}:    true,
		{Kind: plan.UnplannedProperty, Mode: plan.Observe, Events: plan.MaxCounts}: true,
		{Kind: plan.Type, Mode: plan.Observe, Events: plan.MaxCounts + 1}:          true,
	}, kinds(t, &s))
}

// An event that violates nothing costs no memory, whichever way it is judged.
func TestCleanAllocs(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector makes pools forget")
	}
	j := judgeOf(t, orders(t, "1", `"reject"`))
	validate, e := j.Validator(), order("a", good)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if validate(e) != nil {
			panic("it is good")
		}
	}))
	q, err := j.Quarantine(nowhere, nowhere)
	require.NoError(t, err)
	batch := []*inlet.Event{e, e, e}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if q.Write(t.Context(), batch) != nil {
			panic("they are good")
		}
	}))
}
