package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func lettersCommand() command {
	return command{
		name: "letters", summary: "show dead letters, and events that the server refused",
		about: `Shows what a destination, or the server itself, has refused permanently, also while a server runs:
one line for each, with the destination, the letter's number, when it was refused, the code, the
field, the type, source, user and name of the event, "redriven" if it was sent again, and the reason.
The destination of what the server refused is "rejects/", and that of what a tracking plan has
quarantined is "violations/". -json shows the whole letters.`,
		example: "inlet letters -destination backup",
		run:     lettersFlags,
	}
}

// lettersOptions are the values of the flags.
type lettersOptions struct {
	dir, destination string
	rejects          bool
	json             bool
	n                int
	seq              uint64
	filter           filter
}

func lettersFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := new(lettersOptions)
	addDir(f, &o.dir)
	f.StringVar(&o.destination, "destination", "", "only those of this destination, by its `name`")
	f.BoolVar(&o.rejects, "rejects", false, "only what the server refused")
	f.IntVar(&o.n, "n", 100, "`number` of letters of each destination, the newest; 0 for all")
	f.Uint64Var(&o.seq, "seq", 0, "only the letter with this `number`")
	f.BoolVar(&o.json, "json", false, "print each letter as JSON, with its number as _seq")
	o.filter.addFlags(f)
	return o.letters
}

func (o *lettersOptions) letters(ctx context.Context, stdout, stderr io.Writer) error {
	if o.n < 0 {
		return errUsage("-n must not be negative")
	}
	if o.rejects && o.destination != "" {
		return errUsage("either -destination or -rejects, not both")
	}
	boxes, err := o.boxes()
	if err != nil {
		return err
	}
	out, failed := bufio.NewWriter(stdout), false
	for _, b := range boxes {
		for l, err := range b.letters(ctx) {
			if err != nil {
				fmt.Fprintln(stderr, "inlet letters:", err)
				failed = true
				continue
			}
			if o.seq != 0 && l.Seq != o.seq {
				continue
			}
			_, _ = out.Write(append(o.format(b.name, l), '\n')) // Flush returns the error
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed {
		return errQuiet
	}
	return nil
}

// lettersOf are the letters of a destination, or of the server itself.
type lettersOf struct {
	name    string
	letters func(context.Context) iter.Seq2[journal.Letter, error]
}

// boxes returns those that are asked for.
func (o *lettersOptions) boxes() (boxes []lettersOf, err error) {
	if err := requireDir(o.dir); err != nil {
		return nil, err
	}
	read := &journal.ReadOptions{Last: o.n, Filter: o.filter.accepts}
	if o.seq != 0 {
		read.Last, read.Start = 0, journal.FromSeq(o.seq)
	}
	names := []string{o.destination}
	if o.destination == "" && !o.rejects {
		if names, err = destinationsWithLetters(o.dir); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if name != "" {
			boxes = append(boxes, lettersOf{name, func(ctx context.Context) iter.Seq2[journal.Letter, error] {
				return journal.ReadLetters(ctx, o.dir, name, read)
			}})
		}
	}
	if o.destination != "" {
		return boxes, nil
	}
	for _, name := range []string{server.RejectsDir, server.ViolationsDir} {
		dir := filepath.Join(o.dir, name)
		if _, err := os.Stat(dir); err == nil && (name == server.RejectsDir || !o.rejects) {
			boxes = append(boxes, lettersOf{name + "/", func(ctx context.Context) iter.Seq2[journal.Letter, error] { return lettersIn(ctx, dir, read) }})
		}
	}
	return boxes, nil
}

// lettersIn yields the letters of a journal that has nothing else.
func lettersIn(ctx context.Context, dir string, read *journal.ReadOptions) iter.Seq2[journal.Letter, error] {
	return func(yield func(journal.Letter, error) bool) {
		for r, err := range journal.Read(ctx, dir, read) {
			if !yield(journal.Letter{Record: r}, err) {
				return
			}
		}
	}
}

// destinationsWithLetters returns the names of those that ever had a dead letter.
func destinationsWithLetters(dir string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, "dead"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() && server.IsDestination(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// format returns the line of a letter.
func (o *lettersOptions) format(box string, l journal.Letter) []byte {
	if o.json {
		return appendRecord(nil, l.Record)
	}
	reason, _ := sinks.RefusalOf(l.Event)
	e := eventColumns(l.Seq, l.Event)
	redriven := ""
	if l.Redriven {
		redriven = "redriven"
	}
	return appendColumns(nil, []string{
		box, strconv.FormatUint(l.Seq, 10), reason.At.UTC().Format(time.RFC3339Nano), string(reason.Code), reason.Field,
		e[2], e[3], e[5], e[6], redriven, reason.Error,
	})
}

func redriveCommand() command {
	return command{
		name: "redrive", summary: "send a destination's dead letters again",
		about: `Sends the dead letters of a destination again, as the events that were refused, each once: what the
destination accepts is marked. Stop the server first, whose journal this opens: while it runs, the
directory is in use. New events are delivered too, as the server would do. The status is 1 if an
event was refused again, or if the destination does not answer within -timeout.`,
		example: "INLET_KEY_BACKUP=its-write-key inlet redrive -to backup=https://events.example",
		run:     redriveFlags,
	}
}

// redriveOptions are the values of the flags.
type redriveOptions struct {
	dir     string
	to      server.Destination
	code    string
	timeout time.Duration
	filter  filter
}

func redriveFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := new(redriveOptions)
	addDir(f, &o.dir)
	addTo(f, &o.to)
	f.StringVar(&o.code, "code", "", "only events that were refused with this `code`")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long to try")
	o.filter.addFlags(f)
	return o.redrive
}

// addTo adds the flag of a destination.
func addTo(f *flag.FlagSet, to *server.Destination) {
	f.Func("to", "`NAME=URL` of the destination; its write key is in the variable INLET_KEY_NAME", func(text string) (err error) {
		*to, err = server.ParseDestination(text)
		return err
	})
}

func (o *redriveOptions) redrive(_ context.Context, stdout, stderr io.Writer) (err error) {
	switch {
	case o.to.Name == "":
		return errUsage("-to is missing")
	case o.timeout <= 0:
		return errUsage("-timeout must be positive")
	}
	if err := requireDir(o.dir); err != nil {
		return err
	}
	known, err := destinationsWithLetters(o.dir)
	if err != nil {
		return err
	}
	if !slices.Contains(known, o.to.Name) {
		return fmt.Errorf("destination %q has no dead letters", o.to.Name)
	}
	sink, err := o.to.Sink()
	if err != nil {
		return err
	}
	j, err := openJournal(o.dir, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(server.UntilSignal(os.Interrupt, syscall.SIGTERM), o.timeout)
	defer cancel()
	defer func() { err = errors.Join(err, j.Close(context.WithoutCancel(ctx))) }()
	d, err := j.Deliver(o.to.Name, sink, nil)
	if err != nil {
		return err
	}
	before := d.Stats().Refused
	n, err := d.Redrive(ctx, func(letter *inlet.Event) bool {
		reason, _ := sinks.RefusalOf(letter)
		return (o.code == "" || o.code == string(reason.Code)) && o.filter.accepts(letter)
	})
	refused := d.Stats().Refused - before
	fmt.Fprintf(stdout, "accepted\t%d\nrefused\t%d\n", n, refused)
	if err == nil && refused > 0 {
		return errQuiet
	}
	return err
}
