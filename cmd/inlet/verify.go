package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path"
	"strconv"

	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks/journal"
)

func verifyCommand() command {
	return command{
		name: "verify", summary: "check every byte that is stored",
		about: `Reads everything in the directory of a journal, also while a server runs: checksums, whether numbers
ascend, cursors, dead letters and refused events. It prints a line for each fault, with its file,
offset and length, and one for each gap between numbers. A write that failed leaves a gap, and so does
a file that was deleted; nothing tells them apart. The status is 1 if there is a fault.`,
		example: "inlet verify -dir /var/lib/inlet",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(verifyOptions)
			addDir(f, &o.dir)
			f.BoolVar(&o.gaps, "gaps", false, "end with status 1 for gaps, too")
			return o.verify
		},
	}
}

// verifyOptions are the values of the flags.
type verifyOptions struct {
	dir  string
	gaps bool
}

func (o *verifyOptions) verify(ctx context.Context, stdout, _ io.Writer) error {
	all, err := verifyAll(ctx, o.dir)
	if err != nil {
		return err
	}
	faults, gaps := printReport(stdout, "", all.main)
	if all.rejects != nil {
		f, g := printReport(stdout, server.RejectsDir, all.rejects)
		faults, gaps = faults+f, gaps+g
	}
	if all.violations != nil {
		f, g := printReport(stdout, server.ViolationsDir, all.violations)
		faults, gaps = faults+f, gaps+g
	}
	fmt.Fprintf(stdout, "events\t%d\nfaults\t%d\ngaps\t%d\n", all.main.Events, faults, gaps)
	if faults > 0 || o.gaps && gaps > 0 {
		return errQuiet
	}
	return nil
}

// printReport prints the faults and gaps of a journal, and returns how many there are.
func printReport(w io.Writer, below string, r *journal.Report) (faults, gaps uint64) {
	line := func(columns ...string) { fmt.Fprintf(w, "%s\n", appendColumns(nil, columns)) }
	for _, f := range r.Faults {
		line("fault", path.Join(below, f.File), strconv.FormatInt(f.Offset, 10), strconv.Itoa(f.Bytes), f.Text)
	}
	if unlisted := r.FaultCount - uint64(len(r.Faults)); unlisted > 0 {
		line("more faults", number(unlisted))
	}
	for _, g := range r.Gaps {
		line("gap", path.Join(below, g.File), number(g.First), number(g.Last))
	}
	if unlisted := r.GapCount - uint64(len(r.Gaps)); unlisted > 0 {
		line("more gaps", number(unlisted))
	}
	return r.FaultCount, r.GapCount
}
