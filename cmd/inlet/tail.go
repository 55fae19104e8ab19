package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks/journal"
)

func tailCommand() command {
	return command{
		name: "tail", summary: "show the newest events, and new ones as they come",
		about: `Shows the newest events, also while a server runs: one line for each, with its number, the time at
which it was received, its type, source, dialect, user (userId, else anonymousId) and name, separated
by tabs. A field that the event lacks is "-"; one with unusual characters is quoted.`,
		example: `inlet tail -f -type track -name "Order Completed"`,
		run:     tailFlags,
	}
}

// tailOptions are the values of the flags.
type tailOptions struct {
	dir    string
	filter filter
	n      int
	follow bool
	json   bool
	from   position
}

func tailFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := new(tailOptions)
	addDir(f, &o.dir)
	f.BoolVar(&o.follow, "f", false, "go on with events as they are stored, until it is interrupted")
	f.IntVar(&o.n, "n", 10, "`number` of events to begin with, the newest that fit; 0 for none with -f, else all")
	f.BoolVar(&o.json, "json", false, "print each event as JSON, with its number as _seq")
	f.Var(&o.from, "from", "begin at this `place` instead: a number, a time, or how long ago, such as 1h")
	o.filter.addFlags(f)
	return o.tail
}

func (o *tailOptions) tail(ctx context.Context, stdout, stderr io.Writer) error {
	if err := requireDir(o.dir); err != nil {
		return err
	}
	if o.n < 0 {
		return errUsage("-n must not be negative")
	}
	if o.follow {
		ctx = server.UntilSignal(os.Interrupt, syscall.SIGTERM)
	}
	read := &journal.ReadOptions{Start: o.from.start(), Filter: o.filter.accepts, Last: o.n, Follow: o.follow}
	switch {
	case o.from.set:
		read.Last = 0
	case o.n == 0 && o.follow:
		read.Start = journal.FromNow()
	}
	out := newOutput(stdout, o.json, o.follow)
	failed := false
	for r, err := range journal.Read(ctx, o.dir, read) {
		if err != nil {
			fmt.Fprintln(stderr, "inlet tail:", err)
			failed = true
			continue
		}
		if err := out.event(r); err != nil {
			return err
		}
	}
	if err := out.w.Flush(); err != nil {
		return err
	}
	if failed {
		return errQuiet
	}
	return nil
}

// An output prints events.
type output struct {
	w        *bufio.Writer
	json     bool
	unpaused bool // each event is to be seen at once
	buf      []byte
}

func newOutput(w io.Writer, asJSON, atOnce bool) *output {
	return &output{w: bufio.NewWriterSize(w, 64<<10), json: asJSON, unpaused: atOnce}
}

// event prints an event.
func (o *output) event(r journal.Record) error {
	if o.json {
		o.buf = appendRecord(o.buf[:0], r)
	} else {
		o.buf = appendColumns(o.buf[:0], eventColumns(r.Seq, r.Event))
	}
	_, err := o.w.Write(append(o.buf, '\n'))
	if err == nil && o.unpaused {
		err = o.w.Flush()
	}
	return err
}

// appendRecord appends an event in canonical form, with its number.
func appendRecord(dst []byte, r journal.Record) []byte {
	dst = r.Event.AppendJSON(dst)
	return fmt.Appendf(dst[:len(dst)-1], `,"_seq":"%016d"}`, r.Seq)
}

// eventColumns returns what tells most about an event.
func eventColumns(seq uint64, e *inlet.Event) []string {
	user := e.UserID
	if user == "" {
		user = e.AnonymousID
	}
	return []string{
		strconv.FormatUint(seq, 10), e.ReceivedAt.UTC().Format(time.RFC3339Nano), string(e.Type), sourceID(e), e.Dialect, user, e.Name,
	}
}

// appendColumns appends texts with tabs between them.
func appendColumns(dst []byte, columns []string) []byte {
	for i, text := range columns {
		if i > 0 {
			dst = append(dst, '\t')
		}
		dst = append(dst, column(text)...)
	}
	return dst
}

// column returns a text that is one column of one line, whatever a client has sent: a terminal
// would obey control characters.
func column(text string) string {
	unusual := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	switch {
	case text == "":
		return "-"
	case text == "-" || strings.HasPrefix(text, `"`) || strings.ContainsFunc(text, unusual):
		return strconv.Quote(text)
	}
	return text
}
