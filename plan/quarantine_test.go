package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// orders is a plan with one event, whose modes are those that are given as JSON.
func orders(t testing.TB, version, modes string) *plan.Plan {
	t.Helper()
	return read(t, `{"name": "shop", "version": "`+version+`", "modes": `+modes+`, "rules": [
		{"type": "track", "event": "Order Completed", "schema": {"properties": {"properties": {
			"type": "object",
			"required": ["total"],
			"properties": {"total": {"type": "number", "minimum": 0}, "currency": {"type": "string"}},
			"additionalProperties": false
		}}}}
	]}`)
}

func read(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := plan.Load(strings.NewReader(text), nil)
	require.NoError(t, err)
	return p
}

var quiet = slog.New(slog.DiscardHandler)

func judgeOf(_ testing.TB, p *plan.Plan) *plan.Judge {
	return p.Judge(&plan.JudgeOptions{Logger: quiet})
}

// order is an event as a sink gets it.
func order(id, properties string) *inlet.Event {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "user-1", Timestamp: now, ReceivedAt: now,
		Source: &inlet.Source{ID: "web"}, Dialect: "segment", Properties: json.RawMessage(properties),
		Context: json.RawMessage(`{"library":{"name":"analytics.js","version":"1.50.0"}}`), Extra: json.RawMessage(`{"channel":"browser"}`),
	}
}

const (
	good      = `{"total":1.50}`
	missing   = `{}`
	wrong     = `{"total":"1.50"}`
	unplanned = `{"total":1,"coupon":"SPRING"}`
	negative  = `{"total":-1}`
)

// world is a quarantine between two sinks that can fail.
type world struct {
	*plan.Quarantine
	judge       *plan.Judge
	main, aside *failing
}

type failing struct {
	sinks.Memory
	err   error
	calls int
}

// Write fails if it is to.
func (f *failing) Write(ctx context.Context, events []*inlet.Event) error {
	f.calls++
	if f.err != nil {
		return f.err
	}
	return f.Memory.Write(ctx, events)
}

// ids returns the message ids of what is stored.
func (f *failing) ids() []string {
	ids := []string{}
	for _, e := range f.Events() {
		ids = append(ids, e.MessageID)
	}
	return ids
}

func newWorld(t testing.TB, modes string) *world {
	t.Helper()
	w := &world{judge: judgeOf(t, orders(t, "1", modes)), main: new(failing), aside: new(failing)}
	var err error
	w.Quarantine, err = w.judge.Quarantine(w.main, w.aside)
	require.NoError(t, err)
	return w
}

// An event of each kind goes where its mode says, and nothing of it is changed.
func TestModes(t *testing.T) {
	t.Parallel()
	other := order("e", good)
	other.Name = "Order Cancelled"
	events := []*inlet.Event{
		order("good", good), order("missing", missing), order("wrong", wrong), order("unplanned", unplanned), order("negative", negative), other,
	}
	for _, tt := range []struct {
		name, modes            string
		main, aside, rejected  []string
		observed, set, refused uint64
	}{
		{"nothing", `{}`, []string{"good", "missing", "wrong", "unplanned", "negative", "e"}, []string{}, nil, 5, 0, 0},
		{"observe", `"observe"`, []string{"good", "missing", "wrong", "unplanned", "negative", "e"}, []string{}, nil, 5, 0, 0},
		{"quarantine", `"quarantine"`, []string{"good"}, []string{"missing", "wrong", "unplanned", "negative", "e"}, nil, 0, 5, 0},
		{"reject", `"reject"`, []string{"good"}, []string{}, []string{"plan_required properties.total", "plan_type properties.total", "plan_unplanned_property properties.coupon", "plan_other properties.total", "plan_unplanned_event event"}, 0, 0, 5},
		{"by kind", `{"required":"reject","type":"quarantine","unplanned_event":"quarantine"}`, []string{"good", "unplanned", "negative"}, []string{"wrong", "e"}, []string{"plan_required properties.total"}, 2, 2, 1},
		{"unplanned events only", `{"unplanned_event":"reject"}`, []string{"good", "missing", "wrong", "unplanned", "negative"}, []string{}, []string{"plan_unplanned_event event"}, 4, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.modes)
			err := w.Write(t.Context(), inlet.CloneEvents(events))
			var rejected []string
			for _, err := range inlet.ItemErrors(err, len(events)) {
				if err == nil {
					continue
				}
				require.True(t, inlet.IsPermanent(err))
				p, ok := errors.AsType[*inlet.Problem](err)
				require.True(t, ok)
				rejected = append(rejected, string(p.Code)+" "+p.Field)
			}
			require.Equal(t, tt.rejected, rejected)
			require.Equal(t, tt.main, w.main.ids())
			require.Equal(t, tt.aside, w.aside.ids())
			s := w.judge.Stats()
			require.Equal(t, [4]uint64{1, tt.observed, tt.set, tt.refused}, [4]uint64{s.Clean, s.Observed, s.Quarantined, s.Rejected})
			byID := map[string]*inlet.Event{}
			for _, e := range events {
				byID[e.MessageID] = e
			}
			for _, e := range w.main.Events() {
				require.True(t, byID[e.MessageID].Equal(e))
			}
			for _, e := range w.aside.Events() {
				require.True(t, byID[e.MessageID].Equal(sinks.WithoutRefusal(e)))
			}
		})
	}
	t.Run("the most severe violation decides", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, `{"required":"quarantine","unplanned_property":"reject"}`)
		require.ErrorContains(t, w.Write(t.Context(), []*inlet.Event{order("a", `{"coupon":1}`)}), "properties.coupon is not in the plan: it is")
		w = newWorld(t, `{"required":"quarantine","unplanned_property":"observe"}`)
		require.NoError(t, w.Write(t.Context(), []*inlet.Event{order("a", `{"coupon":1}`)}))
		require.Equal(t, []string{"a"}, w.aside.ids())
	})
	t.Run("of a rule", func(t *testing.T) {
		t.Parallel()
		p := read(t, `{"modes": {"required": "reject", "unplanned_event": "quarantine"}, "rules": [
			{"type": "track", "event": "A", "modes": "observe", "schema": {"required": ["x"]}},
			{"type": "track", "event": "B", "modes": {"type": "quarantine"}, "schema": {"required": ["x"]}},
			{"type": "identify", "modes": {"required": "quarantine"}, "schema": {"properties": {"traits": {"required": ["plan"]}}}},
			{"type": "group", "schema": {"properties": {"traits": {"required": ["plan"]}}}}
		]}`)
		j := judgeOf(t, p)
		aside, main := new(failing), new(failing)
		q, err := j.Quarantine(main, aside)
		require.NoError(t, err)
		var events []*inlet.Event
		for _, name := range []string{"A", "B", "C"} {
			e := order(name, good)
			e.Name = name
			events = append(events, e)
		}
		for _, call := range []inlet.Type{inlet.TypeIdentify, inlet.TypeGroup, inlet.TypePage} {
			e := order(string(call), good)
			e.Type, e.Name = call, ""
			events = append(events, e)
		}
		errs := inlet.ItemErrors(q.Write(t.Context(), events), len(events))
		require.Equal(t, []string{"A", "page"}, main.ids(), "pages have no rule at all")
		require.Equal(t, []string{"C", "identify"}, aside.ids())
		require.ErrorContains(t, errs[1], "x is missing")
		require.ErrorContains(t, errs[4], "traits.plan is missing")
	})
	for text, want := range map[string]string{
		`{"modes": "block", "rules": []}`:                                                                  `plan: "modes" is "block": it must be observe, quarantine or reject`,
		`{"modes": {"required": 1}, "rules": []}`:                                                          `plan: "modes": "required" is 1: it must be observe, quarantine or reject`,
		`{"modes": {"misspelt": "reject"}, "rules": []}`:                                                   `"modes" has "misspelt": kinds are unplanned_event, required, type,`,
		`{"modes": ["reject"], "rules": []}`:                                                               `"modes" must be a mode, or an object with the mode of each kind of violation`,
		`{"rules": [{"type": "track", "event": "A", "modes": {"unplanned_event": "reject"}}]}`:             `plan: rule 1 (track A): "modes" has "unplanned_event": events without a rule have the mode of the plan`,
		`{"rules": [{"type": "track", "event": "A"}, {"type": "track", "event": "B", "modes": "refuse"}]}`: `plan: rule 2 (track B): "modes"`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := plan.Load(strings.NewReader(text), nil)
			require.ErrorContains(t, err, want)
		})
	}
	t.Run("WithModes", func(t *testing.T) {
		t.Parallel()
		p := orders(t, "1", `{"required":"reject"}`)
		with := p.WithModes(map[plan.Kind]plan.Mode{plan.Type: plan.SetAside, 77: plan.Reject})
		require.Equal(t, plan.SetAside, with.Mode(&plan.Violation{Kind: plan.Type}))
		require.Equal(t, plan.Reject, with.Mode(&plan.Violation{Kind: plan.Required}))
		require.Equal(t, plan.Observe, p.Mode(&plan.Violation{Kind: plan.Type}), "the other plan has changed")
	})
}

// A letter says what is wrong, by which plan, and is read by what reads letters.
func TestLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `"quarantine"`)
	before := order("a", `{"total":"1.50","coupon":"SPRING"}`)
	require.NoError(t, w.Write(t.Context(), []*inlet.Event{before}))
	letter := w.aside.Events()[0]
	var stored inlet.Event
	require.NoError(t, json.Unmarshal(letter.AppendJSON(nil), &stored))
	for _, e := range []*inlet.Event{letter, &stored} {
		l, ok := plan.LetterOf(e)
		require.True(t, ok)
		require.Equal(t, "shop", l.Name)
		require.Equal(t, "1", l.Version)
		require.Len(t, l.Violations, 2)
		require.Equal(t, plan.Violation{Kind: plan.Type, Path: "properties.total", Rule: "track Order Completed", Keyword: "type", Expected: "a number", Found: `the text "1.50"`}, l.Violations[0])
		reason, ok := sinks.RefusalOf(e)
		require.True(t, ok)
		require.Equal(t, "plan shop", reason.By)
		require.Equal(t, inlet.Code("plan_type"), reason.Code)
		require.Equal(t, "properties.total", reason.Field)
		require.Equal(t, `properties.total must be a number, but it is the text "1.50" (and 1 more)`, reason.Error)
		require.Equal(t, reason.At, l.At)
		require.True(t, before.Equal(sinks.WithoutRefusal(e)))
	}
	_, ok := plan.LetterOf(before)
	require.False(t, ok)
	before.Extra = json.RawMessage(`{"_refused":{"error":"of a sink","at":"2026-11-29T00:00:00Z"}}`)
	_, ok = plan.LetterOf(before)
	require.False(t, ok)
}

// Whatever fails, an event that was acknowledged is stored, and one that was not comes again.
func TestFailures(t *testing.T) {
	t.Parallel()
	errDown := errors.New("down")
	batch := func() []*inlet.Event {
		return []*inlet.Event{order("good", good), order("missing", missing), order("negative", negative)}
	}
	const modes = `{"required":"quarantine","other":"reject"}`
	for _, tt := range []struct {
		name        string
		main, aside error
		want        [3]string // temporary, permanent, or "" where it is stored
		inMain      []string
		inAside     []string
		mainCalls   int
	}{
		{"none", nil, nil, [3]string{"", "", "permanent"}, []string{"good"}, []string{"missing"}, 1},
		{"the sink, temporarily", errDown, nil, [3]string{"temporary", "", "permanent"}, []string{}, []string{"missing"}, 1},
		{"the sink, permanently", inlet.Permanent(errDown), nil, [3]string{"permanent", "", "permanent"}, []string{}, []string{"missing"}, 1},
		{"the quarantine, temporarily", nil, inlet.RetryAfter(errDown, time.Minute), [3]string{"temporary", "temporary", "permanent"}, []string{}, []string{}, 0},
		{"the quarantine, permanently", nil, inlet.Permanent(errDown), [3]string{"", "permanent", "permanent"}, []string{"good"}, []string{}, 1},
		{"both", errDown, errDown, [3]string{"temporary", "temporary", "permanent"}, []string{}, []string{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, modes)
			w.main.err, w.aside.err = tt.main, tt.aside
			err := w.Write(t.Context(), batch())
			var got [3]string
			for i, err := range inlet.ItemErrors(err, 3) {
				switch {
				case inlet.IsPermanent(err):
					got[i] = "permanent"
				case err != nil:
					got[i] = "temporary"
				}
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.inMain, w.main.ids())
			require.Equal(t, tt.inAside, w.aside.ids())
			require.Equal(t, tt.mainCalls, w.main.calls)
			wait, ok := inlet.RetryDelay(inlet.ItemErrors(err, 3)[0])
			require.Equal(t, tt.name == "the quarantine, temporarily", ok && wait == time.Minute)
			s := w.judge.Stats()
			require.Equal(t, uint64(len(tt.inMain)), s.Clean, "what comes again is not counted yet")
			require.Equal(t, uint64(len(tt.inAside)), s.Quarantined)
			require.Equal(t, uint64(1), s.Rejected)

			// The client sends again what was not acknowledged, behind a Dedupe or not.
			w.main.err, w.aside.err = nil, nil
			var again []*inlet.Event
			for i, e := range batch() {
				if got[i] == "temporary" {
					again = append(again, e)
				}
			}
			if len(again) > 0 {
				require.NoError(t, w.Write(t.Context(), again))
				require.Equal(t, []string{"good"}, w.main.ids(), "each once")
				require.Equal(t, []string{"missing"}, w.aside.ids())
			}
		})
	}
	t.Run("a context that ends between the two", func(t *testing.T) {
		t.Parallel()
		j := judgeOf(t, orders(t, "1", modes))
		ctx, cancel := context.WithCancel(t.Context())
		main, aside := new(failing), new(failing)
		q, err := j.Quarantine(main, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			cancel()
			return aside.Write(ctx, events)
		}))
		require.NoError(t, err)
		errs := inlet.ItemErrors(q.Write(ctx, batch()[:2]), 2)
		require.ErrorIs(t, errs[0], context.Canceled)
		require.NoError(t, errs[1])
		require.Zero(t, main.calls)
	})
	t.Run("letters are written in pieces, and none after one that fails", func(t *testing.T) {
		t.Parallel()
		j, main := judgeOf(t, orders(t, "1", modes)), new(failing)
		var sizes []int
		q, err := j.Quarantine(main, inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
			sizes = append(sizes, len(events))
			if len(sizes) == 2 {
				return &inlet.BatchError{Items: []inlet.ItemError{{Index: 7, Err: errDown}}}
			}
			return nil
		}))
		require.NoError(t, err)
		events := []*inlet.Event{order("good", good)}
		for i := range 250 {
			events = append(events, order(fmt.Sprint(i), missing))
		}
		errs := inlet.ItemErrors(q.Write(t.Context(), events), len(events))
		require.Equal(t, []int{100, 100}, sizes)
		failed := 0
		for i, err := range errs {
			require.False(t, inlet.IsPermanent(err))
			if err != nil {
				failed++
				require.True(t, i == 0 || i == 108 || i > 200, i)
			}
		}
		require.Equal(t, 1+1+50, failed)
		require.Zero(t, main.calls)
		require.Equal(t, uint64(199), j.Stats().Quarantined)
	})
	t.Run("missing sinks", func(t *testing.T) {
		t.Parallel()
		_, err := judgeOf(t, orders(t, "1", modes)).Quarantine(nil, nil)
		require.ErrorContains(t, err, "plan: Judge.Quarantine: sink is nil")
		require.ErrorContains(t, err, "aside is nil")
	})
}

// Package sinktest over both outcomes: events that pass, and events that are quarantined.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, modes := range map[string]string{"passes": `"observe"`, "is quarantined": `"quarantine"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := orders(t, "1", modes)
			sinktest.RunDecorator(t, sinktest.DecoratorHarness{
				New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
					other := new(sinks.Memory)
					sink, aside := inner, inlet.Sink(other)
					if modes == `"quarantine"` {
						sink, aside = other, inner
					}
					q, err := judgeOf(t, p).Quarantine(sink, aside)
					require.NoError(t, err)
					return conforming{q, other}
				},
				Read: func(_ testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event {
					all := append(s.(conforming).other.Events(), stored...)
					for i, e := range all {
						all[i] = sinks.WithoutRefusal(e)
					}
					return all
				},
				Features: sinktest.Features{Durability: inlet.DurabilityMemory, Partial: true},
			})
		})
	}
}

type conforming struct {
	*plan.Quarantine
	other *sinks.Memory
}

// A client gets 400 for the event alone that is rejected, with code, field and words.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const batch = `{"batch":[
		{"type":"track","event":"Order Completed","userId":"u","messageId":"1","properties":{"total":1}},
		{"type":"track","event":"Order Completed","userId":"u","messageId":"2","properties":{"total":"1"}},
		{"type":"track","event":"Order Completed","userId":"u","messageId":"3","properties":{"total":-1}}
	]}`
	const modes = `{"type":"reject","other":"quarantine"}`
	for name, rejecting := range map[string]bool{"by the sink": false, "by the validator": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, aside := judgeOf(t, orders(t, "1", modes)), new(sinks.Memory)
			o := &inlet.Options{Logger: quiet}
			if rejecting {
				o.Validators = []inlet.Validator{j.Validator()}
			}
			main := new(sinks.Memory)
			q, err := j.Quarantine(main, aside)
			require.NoError(t, err)
			rejects := new(sinks.Memory)
			o.Rejects, o.AllowAnonymous = rejects, true
			h, err := inlet.New(q, o)
			require.NoError(t, err)
			status, answer := post(t, h, "/v1/batch", batch, nil)
			require.Equal(t, http.StatusOK, status, answer)
			require.Contains(t, answer, `"index":1,"messageId":"2","code":"plan_type","message":"properties.total must be a number, but it is the text \"1\"","field":"properties.total"`)
			require.Len(t, main.Events(), 1)
			require.Len(t, aside.Events(), 1)
			require.Len(t, rejects.Events(), 1, "what is refused is recorded as ever")
			status, answer = post(t, h, "/v1/track", `{"event":"Order Completed","userId":"u","properties":{"total":"1"}}`, nil)
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, answer, `"plan_type"`)
			s := j.Stats()
			require.Equal(t, [4]uint64{1, 0, 1, 2}, [4]uint64{s.Clean, s.Observed, s.Quarantined, s.Rejected}, "each is counted once")
			if rejecting {
				status, _ = post(t, h, "/v1/batch", batch, http.Header{"X-Strict-Mode": {"1"}})
				require.Equal(t, http.StatusBadRequest, status)
				require.Len(t, main.Events(), 1, "all or nothing")
			}
		})
	}
	t.Run("a validator alone counts everything", func(t *testing.T) {
		t.Parallel()
		j := judgeOf(t, orders(t, "1", modes))
		h, err := inlet.New(new(sinks.Memory), &inlet.Options{Validators: []inlet.Validator{j.Validator()}, AllowAnonymous: true, Logger: quiet})
		require.NoError(t, err)
		post(t, h, "/v1/batch", batch, nil)
		s := j.Stats()
		require.Equal(t, [4]uint64{1, 0, 1, 1}, [4]uint64{s.Clean, s.Observed, s.Quarantined, s.Rejected})
	})
}

// post sends a body to a handler, and returns its answer.
func post(t testing.TB, h http.Handler, path, body string, header http.Header) (status int, answer string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Under load, each event is judged by one plan as a whole: what one plan sets aside and another
// rejects is never stored, and never both.
func TestSwap(t *testing.T) {
	t.Parallel()
	const (
		first  = `{"required":"quarantine","unplanned_property":"quarantine"}`
		second = `{"required":"reject","unplanned_property":"reject"}`
	)
	w := newWorld(t, first)
	plans := []*plan.Plan{orders(t, "1", first), orders(t, "2", second)}
	stop := make(chan struct{})
	var swapping, writing sync.WaitGroup
	swapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = w.judge.Swap(plans[i%2]) // it is not nil
			}
		}
	})
	const writers, writes = 4, 300
	type result struct{ aside, rejected, mixed int }
	results := make([]result, writers)
	locked := &guarded{}
	q, err := w.judge.Quarantine(locked, locked)
	require.NoError(t, err)
	for n := range writers {
		writing.Go(func() {
			for i := range writes {
				events := []*inlet.Event{order(fmt.Sprint(n, "-", i, "a"), missing), order(fmt.Sprint(n, "-", i, "b"), unplanned)}
				errs := inlet.ItemErrors(q.Write(context.Background(), events), 2)
				switch {
				case errs == nil:
					results[n].aside += 2
				case errs[0] != nil && errs[1] != nil:
					results[n].rejected += 2
				default:
					results[n].mixed++
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	swapping.Wait()
	aside := 0
	for _, r := range results {
		aside += r.aside
		require.Zero(t, r.mixed, "a Write was judged by two plans")
		require.Equal(t, 2*writes, r.aside+r.rejected)
	}
	require.Equal(t, aside, locked.letters("1"), "only version 1 sets aside")
	require.Equal(t, aside, locked.total())
	require.Error(t, w.judge.Swap(nil))
}

// guarded counts letters by the version of the plan.
type guarded struct {
	mu        sync.Mutex
	n         int
	byVersion map[string]int
}

// Write counts the letters.
func (g *guarded) Write(_ context.Context, events []*inlet.Event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range events {
		g.n++
		l, _ := plan.LetterOf(e)
		if g.byVersion == nil {
			g.byVersion = map[string]int{}
		}
		g.byVersion[l.Version]++
	}
	return nil
}

func (g *guarded) letters(version string) int { return g.byVersion[version] }
func (g *guarded) total() int                 { return g.n }
