package plan

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// JudgeOptions configure [Plan.Judge]. A nil pointer means all defaults.
type JudgeOptions struct {
	// Logger gets a line when the plan is replaced. It never gets what is in events. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

// A Judge decides what becomes of events that violate the plan in use, and counts them. The plan
// says it by its modes; see [Mode]. An event has the most severe mode of its violations. Use a
// judge in one of two ways, or in both:
//
//   - A [Quarantine] in front of the sink judges what is about to be stored, after enrichers, and
//     knows everything of an event. It does all three modes.
//   - A [Judge.Validator] judges before anything is stored, so that a client in strict mode gets
//     all or nothing. It knows no quarantine: events that belong there pass.
//
// With both, the validator refuses, and the Quarantine counts everything else.
//
// Replacing: [Judge.Swap] replaces the plan at once. Each event is judged by one plan as a whole,
// and all events of a Write by the same one. Statistics begin anew with each plan.
//
// Concurrency: its methods may be called concurrently. Make one with [Plan.Judge], or with
// [Open].
type Judge struct {
	logger *slog.Logger
	term   atomic.Pointer[term]
	aside  atomic.Bool // there is a Quarantine
}

// Judge returns a judge by the plan.
func (p *Plan) Judge(o *JudgeOptions) *Judge {
	if o == nil {
		o = new(JudgeOptions)
	}
	j := &Judge{logger: cmp.Or(o.Logger, slog.Default())}
	j.term.Store(newTerm(p, time.Now()))
	return j
}

// Plan returns the plan in use.
func (j *Judge) Plan() *Plan { return j.term.Load().plan }

// Swap replaces the plan, and begins its statistics. It returns an error, and changes nothing, if
// the plan is nil.
func (j *Judge) Swap(p *Plan) error {
	if p == nil {
		return errors.New("plan: Swap: the plan is nil")
	}
	before := j.term.Swap(newTerm(p, time.Now()))
	j.logger.Info("plan: plan replaced", "name", p.Name(), "version", p.Version(), "before", before.plan.Version())
	return nil
}

// Validator returns a validator for [inlet.Options]. It refuses an event if the plan rejects it,
// with the code "plan_" and the kind of the violation, such as "plan_required", and the place as
// field. If there is no [Quarantine] of this judge, it also counts all other events.
func (j *Judge) Validator() inlet.Validator {
	return func(e *inlet.Event) *inlet.Problem {
		t := j.term.Load()
		v := t.judge(e, nil)
		if v.mode == Reject || !j.aside.Load() {
			t.count(e, v)
		}
		if v.mode == Reject {
			return t.problem(&v)
		}
		return nil
	}
}

// A verdict is what a plan says of an event.
type verdict struct {
	violations []Violation
	mode       Mode // the most severe of them; Observe without violations
}

// judge returns the verdict on an event. Its violations are in the memory of scratch, if that is
// large enough.
func (t *term) judge(e *inlet.Event, scratch []Violation) verdict {
	v := verdict{violations: t.plan.Check(e, scratch[:0])}
	for i := range v.violations {
		v.mode = max(v.mode, t.plan.Mode(&v.violations[i]))
	}
	return v
}

// decisive returns the first violation that has the mode of the verdict.
func (t *term) decisive(v *verdict) *Violation {
	for i := range v.violations {
		if t.plan.Mode(&v.violations[i]) == v.mode {
			return &v.violations[i]
		}
	}
	return &v.violations[0] // not reached: the mode is that of one of them
}

// problem returns why the event is refused. It is public.
func (t *term) problem(v *verdict) *inlet.Problem {
	first := t.decisive(v)
	return &inlet.Problem{Code: first.Kind.Code(), Message: t.text(v), Field: first.Path}
}

// text returns the violation that decides, and how many others there are.
func (t *term) text(v *verdict) string {
	text := t.decisive(v).Message()
	if n := len(v.violations) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}
