package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/inlet-go/inlet/plan"
)

func planDiffCommand() command {
	return command{
		name: "plan diff", summary: "say what a new version of a tracking plan breaks",
		about: `Compares two tracking plans, and prints a line for each difference: "breaks" if events that follow
the old one may violate the new one, or if a violation has a more severe mode, else "loosens"; the
rule; the place in the event; and the difference in words. The status is 1 if something breaks.`,
		example: "inlet plan diff -old old.json -plan plan.json",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(diffOptions)
			f.StringVar(&o.old, "old", "", "`file` of the plan before")
			o.plan.addFlags(f)
			return o.diff
		},
	}
}

// diffOptions are the values of the flags.
type diffOptions struct {
	old  string
	plan planFile
}

func (o *diffOptions) diff(_ context.Context, stdout, _ io.Writer) error {
	before, err := loadPlan(o.old, o.plan.format, "old")
	if err != nil {
		return err
	}
	after, err := loadPlan(o.plan.path, o.plan.format, "plan")
	if err != nil {
		return err
	}
	breaks := 0
	for _, c := range plan.Diff(before, after) {
		kind := "loosens"
		if c.Breaks {
			kind = "breaks"
			breaks++
		}
		fmt.Fprintf(stdout, "%s\n", appendColumns(nil, []string{kind, c.Rule, c.Path, c.Text}))
	}
	fmt.Fprintf(stdout, "breaking\t%d\n", breaks)
	if breaks > 0 {
		return errQuiet
	}
	return nil
}

func planTypesCommand() command {
	return command{
		name: "plan types", summary: "print Go types for the events of a tracking plan",
		about: `Prints a file of Go with a type for each rule of a tracking plan, whose fields are the properties, and
a method that makes an event for inlet.Handler.Ingest. So a program cannot misspell an event or a
property, and the compiler says what a new version of the plan changes. Optional properties are
pointers. Values that may have several types, or that the plan leaves open, are json.RawMessage.`,
		example: "inlet plan types -plan plan.json -package events > events/events.go",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(typesOptions)
			o.plan.addFlags(f)
			f.StringVar(&o.pkg, "package", "events", "`name` of the package")
			return o.types
		},
	}
}

// typesOptions are the values of the flags.
type typesOptions struct {
	plan planFile
	pkg  string
}

func (o *typesOptions) types(_ context.Context, stdout, _ io.Writer) error {
	p, err := loadPlan(o.plan.path, o.plan.format, "plan")
	if err != nil {
		return err
	}
	text, err := p.GoTypes(o.pkg)
	if err != nil {
		return err
	}
	_, err = stdout.Write(text)
	return err
}
