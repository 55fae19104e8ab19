package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks/journal"
)

func statsCommand() command {
	return command{
		name: "stats", summary: "say how much is stored, and what destinations still lack",
		about: `Reads the directory of a journal, also while a server runs, and prints one fact a line, with a tab
after its name. Destinations are those of journal deliveries, such as -to of "inlet serve".`,
		example: "inlet stats -dir /var/lib/inlet",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			o := new(statsOptions)
			addDir(f, &o.dir)
			f.BoolVar(&o.json, "json", false, "print one JSON object")
			return o.stats
		},
	}
}

// statsOptions are the values of the flags.
type statsOptions struct {
	dir  string
	json bool
}

// A summary is what stats says of a journal.
type summary struct {
	Segments      int                  `json:"segments"`
	Bytes         int64                `json:"bytes"`
	Events        uint64               `json:"events"`
	FirstSeq      uint64               `json:"firstSeq"`
	LastSeq       uint64               `json:"lastSeq"`
	FirstReceived *time.Time           `json:"firstReceived,omitempty"`
	LastReceived  *time.Time           `json:"lastReceived,omitempty"`
	Missing       uint64               `json:"missing"`
	Faults        uint64               `json:"faults"`
	Quarantine    int64                `json:"quarantineBytes"`
	Rejects       uint64               `json:"rejects"`
	Violations    uint64               `json:"violations"`
	Destinations  []destinationSummary `json:"destinations"`
}

type destinationSummary struct {
	Name        string  `json:"name"`
	Position    *uint64 `json:"position,omitempty"` // none without a cursor
	Behind      uint64  `json:"behind"`
	DeadLetters uint64  `json:"deadLetters"`
}

func (o *statsOptions) stats(ctx context.Context, stdout, _ io.Writer) error {
	reports, err := verifyAll(ctx, o.dir)
	if err != nil {
		return err
	}
	s := reports.summarise()
	if o.json {
		return json.NewEncoder(stdout).Encode(s)
	}
	s.print(o.dir, stdout)
	return nil
}

// reports are on the journal in a directory, on that of the events that a server has refused, and
// on that of those which its plan has quarantined. Each of the others is nil if there is none.
type reports struct{ main, rejects, violations *journal.Report }

// verifyAll reads all journals in a directory.
func verifyAll(ctx context.Context, dir string) (r reports, err error) {
	if err := requireDir(dir); err != nil {
		return r, err
	}
	if r.main, err = journal.Verify(ctx, dir, nil); err != nil {
		return r, err
	}
	for _, other := range []struct {
		name   string
		report **journal.Report
	}{{server.RejectsDir, &r.rejects}, {server.ViolationsDir, &r.violations}} {
		*other.report, err = journal.Verify(ctx, filepath.Join(dir, other.name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			*other.report, err = nil, nil
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (all reports) summarise() summary {
	r := all.main
	s := summary{
		Segments: len(r.Segments), Bytes: r.Bytes, Events: r.Events, FirstSeq: r.FirstSeq, LastSeq: r.LastSeq,
		Missing: r.Missing, Faults: r.FaultCount, Quarantine: r.QuarantineBytes, Destinations: []destinationSummary{},
	}
	if r.Events > 0 {
		s.FirstReceived, s.LastReceived = &r.FirstReceived, &r.LastReceived
	}
	if all.rejects != nil {
		s.Rejects = all.rejects.Events
		s.Faults += all.rejects.FaultCount
	}
	if all.violations != nil {
		s.Violations = all.violations.Events
		s.Faults += all.violations.FaultCount
	}
	for _, d := range r.Destinations {
		sum := destinationSummary{Name: d.Name, Behind: d.Behind}
		if d.Cursor {
			sum.Position = &d.Position
		}
		if d.DeadLetters != nil {
			sum.DeadLetters = d.DeadLetters.Events
		}
		s.Destinations = append(s.Destinations, sum)
	}
	return s
}

func (s *summary) print(dir string, w io.Writer) {
	line := func(name string, values ...string) {
		fmt.Fprintf(w, "%s\n", appendColumns(nil, append([]string{name}, values...)))
	}
	line("directory", dir)
	line("segments", strconv.Itoa(s.Segments))
	line("bytes", strconv.FormatInt(s.Bytes, 10))
	line("events", number(s.Events))
	line("first number", number(s.FirstSeq))
	line("last number", number(s.LastSeq))
	line("first received", timeText(s.FirstReceived))
	line("last received", timeText(s.LastReceived))
	line("missing numbers", number(s.Missing))
	line("faults", number(s.Faults))
	line("quarantine bytes", strconv.FormatInt(s.Quarantine, 10))
	line("refused events", number(s.Rejects))
	line("violations", number(s.Violations))
	for _, d := range s.Destinations {
		position := ""
		if d.Position != nil {
			position = number(*d.Position)
		}
		line("destination", d.Name, "position", position, "behind", number(d.Behind), "dead letters", number(d.DeadLetters))
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func timeText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
