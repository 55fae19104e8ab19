package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/internal/refusal"
	"github.com/inlet-go/inlet/sinks"
)

// Quarantine is a decorator that judges every event before it is stored. By the mode that the plan
// has for it, an event
//
//   - goes to the sink: it violates nothing, or is only observed, which changes nothing in it;
//   - goes to the quarantine, as a letter, and counts as stored;
//   - is refused permanently, alone: the others of its Write are stored.
//
// Make one with [Judge.Quarantine].
//
// Letters: a letter is the event with one more member in Extra, "_refused", which has the name and
// the version of the plan and the violations. [LetterOf] reads it, [sinks.RefusalOf] reads its
// summary, and [sinks.WithoutRefusal] returns the event. [Judge.Replay] writes letters to the sink
// once the plan is fixed.
//
// Order and failures: letters are written first, at most 100 together. If one of them fails
// temporarily, nothing more of the Write is stored, so that repeating it does not store the others
// twice; they fail temporarily, too. If the sink fails after that, the same letters come again when
// the Write is repeated: at least once, with the same MessageID. A letter that the quarantine
// refuses permanently is refused. No event is acknowledged before it or its letter is stored. A
// [sinks.Dedupe] in front of it keeps events that come again from both.
//
// Errors: if no event is quarantined or refused, the sink gets the caller's slice and its error is
// returned unchanged. Every other failure is a [*inlet.BatchError].
//
// Abilities: those of both sinks. Flush, Close and Check call the sink and then the quarantine;
// Durability is the lower of the two.
type Quarantine struct {
	judge       *Judge
	sink, aside inlet.Sink
	both        *sinks.DeadLetter // for the abilities of both
	closed      atomic.Bool
}

// Quarantine returns a decorator of a sink that writes to aside what the plan in use quarantines.
// It closes both. It returns an error if one of them is nil.
func (j *Judge) Quarantine(sink, aside inlet.Sink) (*Quarantine, error) {
	if err := check.Options("plan", "Judge.Quarantine",
		check.NotNil("sink", sink == nil), check.NotNil("aside", aside == nil),
	); err != nil {
		return nil, err
	}
	both, err := sinks.NewDeadLetter(sink, aside, nil)
	if err != nil {
		return nil, err
	}
	j.aside.Store(true)
	return &Quarantine{judge: j, sink: sink, aside: aside, both: both}, nil
}

// Write judges the events, all by the same plan, and stores each where it belongs. After Close it
// fails with [inlet.ErrClosed].
func (q *Quarantine) Write(ctx context.Context, events []*inlet.Event) error {
	if q.closed.Load() {
		return inlet.ErrClosed
	}
	t := q.judge.term.Load()
	d := t.divide(events)
	if d == nil {
		err := q.sink.Write(ctx, events)
		t.countClean(inlet.ItemErrors(err, len(events)), len(events))
		return err
	}
	if q.writeLetters(ctx, t, d) {
		q.writePassed(ctx, d)
	}
	t.countSettled(d)
	return itemerrors.Join(d.errs)
}

// A division is what becomes of the events of a Write of which at least one has a violation. It
// has no violations: what a client has sent may have very many, and they are found again for each
// letter, and to be counted.
type division struct {
	events []*inlet.Event
	fates  []fate
	errs   []error
	passed []int // indices of the events that go to the sink
	aside  []int // indices of the events that are quarantined
}

// A fate is what becomes of an event.
type fate uint8

const (
	clean    fate = iota // it has no violation
	violates             // and above: its mode
)

func fateOf(v *verdict) fate {
	if len(v.violations) == 0 {
		return clean
	}
	return violates + fate(v.mode)
}

// divide judges events. It returns nil if all of them are clean.
func (t *term) divide(events []*inlet.Event) *division {
	var d *division
	var scratch []Violation
	for i, e := range events {
		v := t.judge(e, scratch)
		if d == nil && len(v.violations) == 0 {
			continue
		}
		if d == nil {
			d = &division{events: events, fates: make([]fate, len(events)), errs: make([]error, len(events))}
			for k := range i {
				d.passed = append(d.passed, k)
			}
		}
		scratch = v.violations
		d.fates[i] = fateOf(&v)
		switch v.mode {
		case Reject:
			d.errs[i] = inlet.Permanent(t.problem(&v))
		case SetAside:
			d.aside = append(d.aside, i)
		default:
			d.passed = append(d.passed, i)
		}
	}
	return d
}

// How many letters are written together, and about how many bytes of them.
const (
	lettersTogether     = 100
	letterBytesTogether = 256 << 10
)

// errAside is the cause of events that were not written because letters of others were not stored.
var errAside = errors.New("plan: not written, because the quarantine has failed for another event of the Write")

// writeLetters writes what is quarantined, in pieces: letters are larger than their events. It
// reports whether none of them has failed temporarily. If one has, nothing more is written.
func (q *Quarantine) writeLetters(ctx context.Context, t *term, d *division) (ok bool) {
	now := time.Now()
	var scratch []Violation
	for rest := d.aside; len(rest) > 0; {
		var letters []*inlet.Event
		size := 0
		for len(letters) < len(rest) && len(letters) < lettersTogether && size < letterBytesTogether {
			e := d.events[rest[len(letters)]]
			v := t.judge(e, scratch)
			scratch = v.violations
			letters = append(letters, t.letter(e, &v, now))
			size += len(letters[len(letters)-1].Extra)
		}
		piece := rest[:len(letters)]
		rest = rest[len(letters):]
		err := ctx.Err()
		if err == nil {
			err = q.aside.Write(ctx, letters)
		}
		if failed := d.settle(piece, err); failed != nil {
			d.fail(rest, failed)
			d.fail(d.passed, failed)
			return false
		}
	}
	return true
}

// settle notes how the letters of the events with some indices were stored, and returns a temporary
// failure, for others, if there was one.
func (d *division) settle(indices []int, err error) (failed error) {
	for n, err := range inlet.ItemErrors(err, len(indices)) {
		if err == nil {
			continue
		}
		d.errs[indices[n]] = fmt.Errorf("plan: quarantine: %w", err)
		if inlet.IsPermanent(err) {
			continue
		}
		failed = cmp.Or(failed, errAside)
		if wait, ok := inlet.RetryDelay(err); ok {
			failed = inlet.RetryAfter(failed, wait)
		}
	}
	return failed
}

func (d *division) fail(indices []int, err error) {
	for _, i := range indices {
		d.errs[i] = err
	}
}

// writePassed writes what is for the sink.
func (q *Quarantine) writePassed(ctx context.Context, d *division) {
	if len(d.passed) == 0 {
		return
	}
	err := ctx.Err()
	if err == nil {
		events := make([]*inlet.Event, len(d.passed))
		for n, i := range d.passed {
			events[n] = d.events[i]
		}
		err = q.sink.Write(ctx, events)
	}
	for n, err := range inlet.ItemErrors(err, len(d.passed)) {
		d.errs[d.passed[n]] = err
	}
}

// countClean counts n events of which none has a violation: those that the sink has stored.
func (t *term) countClean(errs []error, n int) {
	for _, err := range errs {
		if err != nil {
			n--
		}
	}
	t.clean.Add(uint64(n))
}

// countSettled counts the events that are settled: all but those that will come again, or that a
// sink has refused.
func (t *term) countSettled(d *division) {
	var scratch []Violation
	for i, e := range d.events {
		switch {
		case d.errs[i] != nil && d.fates[i] != violates+fate(Reject):
		case d.fates[i] == clean:
			t.clean.Add(1)
		default:
			v := t.judge(e, scratch)
			scratch = v.violations
			t.count(e, v)
		}
	}
}

// Flush flushes the sink, then the quarantine.
func (q *Quarantine) Flush(ctx context.Context) error { return q.both.Flush(ctx) }

// Close closes the sink, then the quarantine, and makes every later Write fail with
// [inlet.ErrClosed]. Further calls close nothing; they wait for the first and return the same
// error.
func (q *Quarantine) Close(ctx context.Context) error {
	q.closed.Store(true)
	return q.both.Close(ctx)
}

// Check checks both sinks: without the quarantine, an event that belongs there could not be
// acknowledged. It fails after Close.
func (q *Quarantine) Check(ctx context.Context) error { return q.both.Check(ctx) }

// Durability returns the lower durability of the two sinks.
func (q *Quarantine) Durability() inlet.Durability { return q.both.Durability() }

// A Letter is why an event is in quarantine.
type Letter struct {
	// Name and Version are those of the plan.
	Name, Version string
	// At is when the event was quarantined, in UTC.
	At time.Time
	// Violations are at most 20, as [Plan.Check] has found them.
	Violations []Violation
}

// letterText is a Letter in an event. The time is that of the refusal.
type letterText struct {
	Name       string          `json:"name"`
	Version    string          `json:"version"`
	Violations []violationText `json:"violations"`
}

type violationText struct {
	Kind     Kind   `json:"kind"`
	Path     string `json:"path"`
	Rule     string `json:"rule,omitempty"`
	Keyword  string `json:"keyword,omitempty"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
}

// letter returns the letter of an event. It shares the memory of e except Extra.
func (t *term) letter(e *inlet.Event, v *verdict, at time.Time) *inlet.Event {
	l := letterText{Name: t.plan.Name(), Version: t.plan.Version()}
	for _, violation := range v.violations {
		l.Violations = append(l.Violations, violationText(violation))
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // it has strings only
	}
	first := t.decisive(v)
	out := *e
	out.Extra = refusal.Add(e.Extra, &refusal.Refusal{
		Error: t.text(v), At: at, By: strings.TrimSpace("plan " + l.Name), Code: string(first.Kind.Code()), Field: first.Path, Plan: text,
	})
	return &out
}

// LetterOf returns why an event was quarantined, and false if e is not the letter of a
// [Quarantine].
func LetterOf(e *inlet.Event) (Letter, bool) {
	var extra struct {
		Refused struct {
			At   time.Time   `json:"at"`
			Plan *letterText `json:"plan"`
		} `json:"_refused"`
	}
	if len(e.Extra) == 0 || json.Unmarshal(e.Extra, &extra) != nil || extra.Refused.Plan == nil || extra.Refused.At.IsZero() {
		return Letter{}, false
	}
	text := extra.Refused.Plan
	l := Letter{Name: text.Name, Version: text.Version, At: extra.Refused.At}
	for _, v := range text.Violations {
		l.Violations = append(l.Violations, Violation(v))
	}
	return l, true
}

// Replay returns a sink that judges letters again, by the plan in use then, and writes the events
// of those that the plan now lets pass to a sink. All others are refused permanently, with the new
// reason. It counts nothing, and does not close the sink. It is for a delivery of the journal of
// the quarantine, which remembers how far it has come, and whose dead letters are what is refused
// again:
//
//	d, err := aside.Deliver("replay", judge.Replay(events), nil)
func (j *Judge) Replay(sink inlet.Sink) inlet.Sink {
	return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		t := j.term.Load()
		errs := make([]error, len(events))
		var passed []int
		var plain []*inlet.Event
		for i, e := range events {
			e = sinks.WithoutRefusal(e)
			if v := t.judge(e, nil); v.mode > Observe {
				errs[i] = inlet.Permanent(t.problem(&v))
				continue
			}
			passed, plain = append(passed, i), append(plain, e)
		}
		if len(plain) == 0 {
			return itemerrors.Join(errs)
		}
		err := sink.Write(ctx, plain)
		if len(plain) == len(events) {
			return err // as it is: a delivery finds out which event a whole batch is refused for
		}
		_, named := itemerrors.Find(err)
		for n, err := range inlet.ItemErrors(err, len(plain)) {
			if err != nil && !named {
				err = again{err} // alone
			}
			errs[passed[n]] = err
		}
		return itemerrors.Join(errs)
	})
}

// again is the error of a Write as a temporary one.
type again struct{ cause error }

// Error returns the text of the cause.
func (a again) Error() string { return a.cause.Error() }
