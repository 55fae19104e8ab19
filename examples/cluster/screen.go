package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"text/tabwriter"
	"time"
)

// A screen shows the fleet: in a terminal a table that changes, elsewhere a table in the end.
type screen struct {
	out      io.Writer
	terminal bool
	fleet    *fleet
	load     *load
	begin    time.Time
	ended    chan struct{} // closed when nothing is printed any more

	mu     sync.Mutex
	notes  []string
	height int            // of what is on the terminal
	before map[string]int // what the table had, for the rates
	at     time.Time
}

func newScreen(out io.Writer, f *fleet, l *load) *screen {
	s := &screen{out: out, fleet: f, load: l, begin: time.Now(), ended: make(chan struct{}), before: map[string]int{}, at: time.Now()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

// run shows the table until ctx is done.
func (s *screen) run(ctx context.Context) {
	defer close(s.ended)
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		if s.terminal || ctx.Err() != nil {
			s.draw()
		}
	}
}

// note adds a line about what happens.
func (s *screen) note(format string, args ...any) {
	line := fmt.Sprintf("%5.1f s  %s", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.notes = append(s.notes, line)
		s.notes = s.notes[max(0, len(s.notes)-6):]
	} else {
		fmt.Fprintln(s.out, line)
	}
}

func (s *screen) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text bytes.Buffer
	s.table(&text)
	for _, note := range s.notes {
		fmt.Fprintln(&text, note)
	}
	if s.height > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.height) // over the table that is there
	}
	if s.terminal {
		s.height = bytes.Count(text.Bytes(), []byte("\n"))
	}
	_, _ = s.out.Write(text.Bytes())
}

// table writes the table.
func (s *screen) table(out io.Writer) {
	now := time.Now()
	seconds := now.Sub(s.at).Seconds()
	rate := func(name string, count int) int {
		r := float64(count-s.before[name]) / seconds
		s.before[name] = count
		return int(max(r, 0))
	}
	total := int(s.load.acknowledged.Load())
	fmt.Fprintf(out, "\n%.0f s, %d events are acknowledged, %d a second\n\n", now.Sub(s.begin).Seconds(), total, rate("", total))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "NODE\tSTATE\tACKNOWLEDGED\tEVENTS/S\tJOURNAL HAS MORE\t")
	for i, n := range s.fleet.nodes {
		count := s.load.of(n.name)
		r := n.now()
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t\n", n.name, nodeState(r, s.fleet.backends[i]), count, rate(n.name, count), value(r, func() uint64 { return r.Behind }))
	}
	_ = t.Flush()
	fmt.Fprintln(out)
	fmt.Fprintln(t, "BROKER\tSTATE\tIN THE STREAM\tEVENTS/S\t")
	for _, b := range s.fleet.brokers {
		r := b.now()
		count := s.before[b.name]
		if r != nil {
			count = int(r.Messages)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t\n", b.name, brokerState(r), value(r, func() uint64 { return r.Messages }), rate(b.name, count))
	}
	_ = t.Flush()
	fmt.Fprintln(out)
	s.at = now
}

// value is a number of a report, if there is one.
func value(r *report, of func() uint64) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprint(of())
}

func nodeState(r *report, b *backend) string {
	switch {
	case r == nil:
		return "down"
	case !b.ready.Load():
		return "starts"
	case r.Down:
		return "journal"
	}
	return "stream"
}

func brokerState(r *report) string {
	switch {
	case r == nil:
		return "down"
	case r.Leader:
		return "leads"
	}
	return "follows"
}
