package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// planFile is the flags of a plan.
type planFile struct{ path, format string }

func (p *planFile) addFlags(f *flag.FlagSet) {
	f.StringVar(&p.path, "plan", "", "`file` of the plan")
	addFormat(f, &p.format)
}

func addFormat(f *flag.FlagSet, format *string) {
	f.StringVar(format, "format", "inlet", "`format` of plans: inlet, segment or rudderstack")
}

// parser returns what reads plans of a format.
func parser(format string) (func(io.Reader, *plan.LoadOptions) (*plan.Plan, error), error) {
	switch format {
	case "inlet":
		return plan.Load, nil
	case "segment":
		return plan.Segment, nil
	case "rudderstack":
		return plan.RudderStack, nil
	}
	return nil, errUsage("-format must be inlet, segment or rudderstack")
}

// loadPlan reads the plan in a file.
func loadPlan(path, format, flagName string) (*plan.Plan, error) {
	if path == "" {
		return nil, errUsage("-" + flagName + " is missing")
	}
	parse, err := parser(format)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := parse(bytes.NewReader(text), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// planInput is the flags by which plan commands choose their events.
type planInput struct {
	dir, file   string
	from, until position
	filter      filter
}

func (o *planInput) addFlags(f *flag.FlagSet) {
	addDir(f, &o.dir)
	f.StringVar(&o.file, "file", "", "read events from this `file` instead, one JSON object a line; - is the standard input")
	f.Var(&o.from, "from", "the first event of the journal: a `place` as a number, a time, or how long ago (default: the oldest)")
	f.Var(&o.until, "until", "the `place` of the first event that is left out (default: the end)")
	o.filter.addFlags(f)
}

// maxLine is how long a line of a file of events may be, in bytes.
const maxLine = 16 << 20

// events yields the events, and what could not be read.
func (o *planInput) events(ctx context.Context) iter.Seq2[*inlet.Event, error] {
	return func(yield func(*inlet.Event, error) bool) {
		all := o.ofJournal(ctx)
		if o.file != "" {
			all = o.ofFile()
		}
		for e, err := range all {
			if err == nil && !o.filter.accepts(e) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (o *planInput) ofJournal(ctx context.Context) iter.Seq2[*inlet.Event, error] {
	return func(yield func(*inlet.Event, error) bool) {
		if err := requireDir(o.dir); err != nil {
			yield(nil, err)
			return
		}
		for r, err := range journal.Read(ctx, o.dir, &journal.ReadOptions{Start: o.from.start()}) {
			if err == nil && o.until.isBefore(r) {
				return
			}
			if !yield(r.Event, err) {
				return
			}
		}
	}
}

func (o *planInput) ofFile() iter.Seq2[*inlet.Event, error] {
	return func(yield func(*inlet.Event, error) bool) {
		in := io.Reader(os.Stdin)
		if o.file != "-" {
			f, err := os.Open(o.file)
			if err != nil {
				yield(nil, err)
				return
			}
			defer func() { _ = f.Close() }() // it was only read
			in = f
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxLine)
		n := 0
		for lines.Scan() {
			n++
			line := bytes.TrimPrefix(lines.Bytes(), []byte("\uFEFF")) // files that are put together have it anywhere
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			e := new(inlet.Event)
			err := e.UnmarshalJSON(line)
			if err == nil && e.Type == "" {
				err = errors.New("is no event: it has no type")
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(e, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}

func planInferCommand() command {
	return command{
		name: "plan infer", summary: "make a first tracking plan from events",
		about: `Reads the events of a journal, also while a server runs, or of a file, and prints a tracking plan
that all of them follow: which events there are, their properties, their types, which of them every
event has, and examples. It is to be edited by somebody who knows what the events mean. Texts that
look like e-mail addresses are left out of the examples; -no-examples leaves out all of them.`,
		example: "inlet plan infer -from 168h > plan.json",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(inferOptions)
			o.input.addFlags(f)
			f.StringVar(&o.name, "plan-name", "plan", "`name` of the plan")
			f.StringVar(&o.version, "plan-version", "1", "`version` of the plan")
			f.BoolVar(&o.noExamples, "no-examples", false, "print no values of events")
			return o.infer
		},
	}
}

// inferOptions are the values of the flags.
type inferOptions struct {
	input         planInput
	name, version string
	noExamples    bool
}

func (o *inferOptions) infer(ctx context.Context, stdout, stderr io.Writer) error {
	if o.name == "" || o.version == "" {
		return errUsage("-plan-name and -plan-version must not be empty")
	}
	inference, failed := &plan.Inference{NoExamples: o.noExamples}, false
	for e, err := range o.input.events(ctx) {
		if err != nil {
			fmt.Fprintln(stderr, "inlet plan infer:", err)
			failed = true
			continue
		}
		inference.Add(e)
	}
	if inference.Events() == 0 {
		return errors.New("there are no events")
	}
	if n := inference.Beyond(); n > 0 {
		fmt.Fprintf(stderr, "inlet plan infer: %d events have no rule: there are too many different ones, or no rule can be for them\n", n)
	}
	if _, err := stdout.Write(inference.JSON(o.name, o.version)); err != nil {
		return err
	}
	if failed {
		return errQuiet
	}
	return nil
}

func planCheckCommand() command {
	return command{
		name: "plan check", summary: "say which events violate a tracking plan",
		about: `Judges the events of a journal, also while a server runs, or of a file, by a tracking plan, and says
what would have become of them. After the counts there is a line for each violation: how many events
have it, what its mode does to them, the type and name of the event, the kind of the violation, the
place in the event, the messageId of an example, and what is wrong in words. The status is 1 if there
is a violation, whatever its mode.`,
		example: "inlet plan check -plan plan.json",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(checkOptions)
			o.plan.addFlags(f)
			o.input.addFlags(f)
			return o.check
		},
	}
}

// checkOptions are the values of the flags.
type checkOptions struct {
	plan  planFile
	input planInput
}

func (o *checkOptions) check(ctx context.Context, stdout, stderr io.Writer) error {
	p, err := loadPlan(o.plan.path, o.plan.format, "plan")
	if err != nil {
		return err
	}
	judge := p.Judge(nil)
	nowhere, err := judge.Quarantine(new(sinks.Discard), new(sinks.Discard))
	if err != nil {
		return err
	}
	failed := false
	for e, err := range o.input.events(ctx) {
		if err != nil {
			fmt.Fprintln(stderr, "inlet plan check:", err)
			failed = true
			continue
		}
		_ = nowhere.Write(ctx, []*inlet.Event{e}) // counted, also if the plan rejects it
	}
	s := judge.Stats()
	printPlanStats(stdout, &s)
	if failed || len(s.Counts) > 0 {
		return errQuiet
	}
	return nil
}

func printPlanStats(w io.Writer, s *plan.Stats) {
	line := func(columns ...string) { fmt.Fprintf(w, "%s\n", appendColumns(nil, columns)) }
	line("plan", s.Name, s.Version)
	line("clean", number(s.Clean))
	line("observed", number(s.Observed))
	line("quarantined", number(s.Quarantined))
	line("rejected", number(s.Rejected))
	for _, c := range s.Counts {
		line("violation", number(c.Events), c.Mode.String(), string(c.Type), c.Event, c.Kind.String(), c.Path, c.First.MessageID, c.Text)
	}
	if s.Other > 0 {
		line("other violations", number(s.Other))
	}
}

// replayDelivery is the name of the delivery that replays quarantined events: its cursor is up to
// where that has come, and its dead letters are what was quarantined again.
const replayDelivery = "replay"

func planReplayCommand() command {
	return command{
		name: "plan replay", summary: "store quarantined events that a new plan lets pass",
		about: `Judges the quarantined events of "inlet serve -plan" again, by a new plan, and stores those that
it lets pass, or sends them to another server with -to. The others stay, and the next replay judges
them again; an event that was replayed is not replayed again. Stop the server first, whose directory
this opens: while it runs, the directory is in use. The status is 1 if the destination does not answer
within -timeout.`,
		example: "inlet plan replay -plan plan.json",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(planReplayOptions)
			addDir(f, &o.dir)
			o.plan.addFlags(f)
			addTo(f, &o.to)
			f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long to try")
			return o.replay
		},
	}
}

// planReplayOptions are the values of the flags.
type planReplayOptions struct {
	dir     string
	plan    planFile
	to      server.Destination
	timeout time.Duration
}

func (o *planReplayOptions) replay(_ context.Context, stdout, stderr io.Writer) (err error) {
	if o.timeout <= 0 {
		return errUsage("-timeout must be positive")
	}
	p, err := loadPlan(o.plan.path, o.plan.format, "plan")
	if err != nil {
		return err
	}
	judge := p.Judge(nil)
	quarantine := filepath.Join(o.dir, server.ViolationsDir)
	if err := requireDir(quarantine); err != nil {
		return fmt.Errorf("nothing was quarantined: %w", err)
	}
	ctx, cancel := context.WithTimeout(server.UntilSignal(os.Interrupt, syscall.SIGTERM), o.timeout)
	defer cancel()
	aside, err := openJournal(quarantine, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, aside.Close(context.WithoutCancel(ctx))) }()
	sink, err := o.sink(stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inlet.Close(context.WithoutCancel(ctx), sink)) }()
	stored, again, err := replayQuarantine(ctx, aside, judge, sink)
	fmt.Fprintf(stdout, "replayed\t%d\nleft\t%d\n", stored, again)
	return err
}

// sink returns where the events go: to the server of -to, or into the journal.
func (o *planReplayOptions) sink(stderr io.Writer) (inlet.Sink, error) {
	if o.to.Name != "" {
		return o.to.Sink()
	}
	return openJournal(o.dir, stderr)
}

// replayQuarantine writes to a sink what was not judged yet, and what was refused by earlier
// replays. It returns how many events the sink has stored, and how many were refused.
func replayQuarantine(ctx context.Context, aside *journal.Journal, judge *plan.Judge, sink inlet.Sink) (stored, again uint64, err error) {
	began := time.Now()
	var count atomic.Uint64
	counted := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		err := sink.Write(ctx, events)
		failed := 0
		for _, err := range inlet.ItemErrors(err, len(events)) {
			if err != nil {
				failed++
			}
		}
		count.Add(uint64(len(events) - failed))
		return err
	})
	d, err := aside.Deliver(replayDelivery, judge.Replay(counted), &journal.DeliverOptions{PauseAfter: -1})
	if err != nil {
		return 0, 0, err
	}
	if err = d.Drain(ctx); err == nil {
		_, err = d.Redrive(ctx, func(letter *inlet.Event) bool {
			reason, ok := sinks.RefusalOf(letter)
			return ok && reason.At.Before(began)
		})
	}
	again = d.Stats().Refused
	return count.Load(), again, errors.Join(err, d.Stop(context.WithoutCancel(ctx)))
}
