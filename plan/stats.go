package plan

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// MaxCounts is how many different violations are counted on their own; all others are counted
// together. Those with a name that the plan does not have, which anybody who sends events can make
// up, are at most 400 of them.
const MaxCounts = 500

// maxForeign is how many violations with a name that the plan does not have are counted on their
// own.
const maxForeign = 400

// maxText is how many bytes of a text of an event are kept.
const maxText = 200

// Stats is a snapshot of what a [Judge] has counted since its plan is in use. An event counts once
// it is settled: it is stored, quarantined, or refused. One that is sent again counts again.
type Stats struct {
	// Name and Version are those of the plan in use, and Since is when it came into use.
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	// Clean is the number of events without violations. Observed, Quarantined and Rejected are the
	// numbers of the others by what became of them.
	Clean       uint64 `json:"clean"`
	Observed    uint64 `json:"observed"`
	Quarantined uint64 `json:"quarantined"`
	Rejected    uint64 `json:"rejected"`
	// Kinds has each kind with each mode, 15 in all, in their order. They count every event,
	// however many different violations there are.
	Kinds []KindCount `json:"kinds"`
	// Counts are the violations, by event, kind and path, the most frequent first. There are at
	// most [MaxCounts].
	Counts []Count `json:"counts"`
	// Other is the number of violations beyond them.
	Other uint64 `json:"other"`
}

// A KindCount is how many events had at least one violation of a kind with a mode. An event with
// violations of several kinds is in the count of each.
type KindCount struct {
	// Kind and Mode are those of the violation.
	Kind Kind `json:"kind"`
	Mode Mode `json:"mode"`
	// Events is how many events had one. What became of an event is the most severe of its modes.
	Events uint64 `json:"events"`
}

// A Count is how often an event had a violation, and where to look.
type Count struct {
	// Type and Event are the call, and the name of the event, page or screen.
	Type  inlet.Type `json:"type"`
	Event string     `json:"event,omitempty"`
	// Kind is the kind of the violation, and Path is the place in the event, such as
	// "properties.products[].price", which is all elements of the list.
	Kind Kind   `json:"kind"`
	Path string `json:"path,omitempty"`
	// Mode is what became of it according to the plan, if the event had no more severe violation.
	Mode Mode `json:"mode"`
	// Text is the violation of the first example in words.
	Text string `json:"text"`
	// Events is how many events had it.
	Events uint64 `json:"events"`
	// First and Last are the first and the last event that had it.
	First Example `json:"first"`
	Last  Example `json:"last"`
}

// An Example is an event that had a violation.
type Example struct {
	// At is when the event was received.
	At time.Time `json:"at"`
	// MessageID and Source identify it. Both are "" if a [Judge.Validator] has refused an event
	// before it had them.
	MessageID string `json:"messageId,omitempty"`
	Source    string `json:"source,omitempty"`
	// Library is the SDK and its version, from context.library, such as "analytics.js 1.50.0", or
	// "".
	Library string `json:"library,omitempty"`
}

// A term is the time in which a plan is in use: the plan, and its statistics.
type term struct {
	plan  *Plan
	since time.Time

	events [Reject + 1]atomic.Uint64 // with violations, by mode
	clean  atomic.Uint64

	mu     sync.Mutex
	kinds  kindCounts
	counts map[countKey]*Count
	// foreign is how many of the counts have a name that the plan does not have.
	foreign int
	other   uint64
}

// kindCounts are numbers of events by the kind and the mode of their violations.
type kindCounts [Other + 1][Reject + 1]uint64

type countKey struct {
	call       inlet.Type
	name, path string
	kind       Kind
}

func newTerm(p *Plan, since time.Time) *term {
	return &term{plan: p, since: since.UTC(), counts: make(map[countKey]*Count)}
}

// count counts an event that is settled.
func (t *term) count(e *inlet.Event, v verdict) {
	if len(v.violations) == 0 {
		t.clean.Add(1)
		return
	}
	t.events[v.mode].Add(1)
	example := exampleOf(e)
	foreign := !t.plan.hasName(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.countKinds(v.violations)
	var counted []countKey
	for i := range v.violations {
		violation := &v.violations[i]
		key := countKey{e.Type, clip(e.Name), anyElement(violation.Path), violation.Kind}
		if !slices.Contains(counted, key) { // an event counts once, also if several elements have it
			counted = append(counted, key)
			t.countViolation(key, violation, example, foreign || violation.Kind == UnplannedProperty)
		}
	}
}

// countKinds counts an event once for each kind and mode that its violations have.
func (t *term) countKinds(violations []Violation) {
	var counted [Other + 1][Reject + 1]bool
	for i := range violations {
		k, m := violations[i].Kind, t.plan.Mode(&violations[i])
		if k < UnplannedEvent || k > Other { // of a Schema of the host
			k = Other
		}
		if !counted[k][m] {
			counted[k][m] = true
			t.kinds[k][m]++
		}
	}
}

// list returns the counts of all kinds and modes.
func (c *kindCounts) list() []KindCount {
	all := make([]KindCount, 0, int(Other)*len(c[0]))
	for k := UnplannedEvent; k <= Other; k++ {
		for m, n := range c[k] {
			all = append(all, KindCount{k, Mode(m), n})
		}
	}
	return all
}

var indices = regexp.MustCompile(`\[[0-9]+\]`)

// anyElement returns a path without the indices of lists: a violation of each element is the same.
func anyElement(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	return indices.ReplaceAllString(path, "[]")
}

// countViolation counts a violation. foreign is set if its name is not in the plan.
func (t *term) countViolation(key countKey, v *Violation, example Example, foreign bool) {
	c := t.counts[key]
	if c == nil {
		if len(t.counts) == MaxCounts || foreign && t.foreign == maxForeign {
			t.other++
			return
		}
		if foreign {
			t.foreign++
		}
		key.name, key.path = strings.Clone(key.name), strings.Clone(key.path) // not of a longer text
		c = &Count{
			Type: key.call, Event: key.name, Kind: key.kind, Path: key.path, Mode: t.plan.Mode(v),
			Text: strings.Clone(clip(v.Message())), First: example,
		}
		t.counts[key] = c
	}
	c.Events++
	c.Last = example
}

func exampleOf(e *inlet.Event) Example {
	x := Example{At: e.ReceivedAt, MessageID: strings.Clone(clip(e.MessageID)), Library: library(e)}
	if e.Source != nil {
		x.Source = e.Source.ID
	}
	return x
}

// library returns the SDK that an event names.
func library(e *inlet.Event) string {
	found := find(e.Context, "library")
	return strings.TrimSpace(clip(textOf(find(found, "name"))) + " " + clip(textOf(find(found, "version"))))
}

// textOf returns the text of a JSON string, and "" for any other value.
func textOf(raw []byte) string {
	if len(raw) < 2 {
		return "" // the quote of a text that ends there
	}
	return wire.Text(raw)
}

// Stats returns what was counted since the plan is in use.
func (j *Judge) Stats() Stats { return j.term.Load().stats() }

func (t *term) stats() Stats {
	s := Stats{
		Name: t.plan.Name(), Version: t.plan.Version(), Since: t.since, Clean: t.clean.Load(),
		Observed: t.events[Observe].Load(), Quarantined: t.events[SetAside].Load(), Rejected: t.events[Reject].Load(),
		Counts: []Count{},
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Other, s.Kinds = t.other, t.kinds.list()
	for _, c := range t.counts {
		s.Counts = append(s.Counts, *c)
	}
	slices.SortFunc(s.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Event, b.Event),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	return s
}

// clip returns at most maxText bytes of a text.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
