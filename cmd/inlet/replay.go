package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks/journal"
)

func replayCommand() command {
	return command{
		name: "replay", summary: "send stored events once more, or print them as JSON",
		about: `Sends events of the journal to another server, or prints them to standard output, one JSON object a
line, also while a server runs. It repeats what fails temporarily until it is interrupted, and says
then with which number to go on. Events keep their messageId, so a receiver can recognise those that
it has. Events that the receiver refuses are listed, and make the status 1.`,
		example: "INLET_KEY_BACKUP=its-write-key inlet replay -from 2026-05-01 -until 2026-05-02 -to backup=https://events.example",
		run:     replayFlags,
	}
}

// replayOptions are the values of the flags.
type replayOptions struct {
	dir         string
	to          server.Destination
	from, until position
	rate        float64
	filter      filter
}

func replayFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := new(replayOptions)
	addDir(f, &o.dir)
	addTo(f, &o.to)
	f.Var(&o.from, "from", "the first event: a `place` as a number, a time, or how long ago (default: the oldest)")
	f.Var(&o.until, "until", "the `place` of the first event that is left out (default: the end)")
	f.Float64Var(&o.rate, "rate", 0, "`number` of events per second, 0 for no limit")
	o.filter.addFlags(f)
	return o.replay
}

func (o *replayOptions) replay(_ context.Context, stdout, stderr io.Writer) error {
	if o.rate < 0 || math.IsNaN(o.rate) {
		return errUsage("-rate must not be negative")
	}
	if o.until.precedes(o.from) {
		return errUsage("-until is before -from")
	}
	if err := requireDir(o.dir); err != nil {
		return err
	}
	r := &replayer{filter: o.filter.accepts, until: o.until, rate: o.rate, stderr: stderr}
	var sink *printer
	if o.to.Name == "" {
		sink = &printer{w: bufio.NewWriterSize(stdout, 64<<10)}
		r.sink = sink
	} else {
		to, err := o.to.Sink()
		if err != nil {
			return err
		}
		r.sink = to
	}
	ctx := server.UntilSignal(os.Interrupt, syscall.SIGTERM)
	err := r.run(ctx, o.dir, o.from.start())
	if sink != nil {
		err = errors.Join(err, sink.w.Flush())
	} else {
		fmt.Fprintf(stdout, "accepted\t%d\nrefused\t%d\n", r.accepted, r.refused)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("stopped; go on with -from %d: %w", r.next, err)
	case err == nil && (r.refused > 0 || r.unread):
		return errQuiet
	}
	return err
}

// A printer is a sink that prints events.
type printer struct {
	w   *bufio.Writer
	buf []byte
}

// Write prints the events.
func (p *printer) Write(_ context.Context, events []*inlet.Event) error {
	for _, e := range events {
		p.buf = append(e.AppendJSON(p.buf[:0]), '\n')
		if _, err := p.w.Write(p.buf); err != nil {
			return err
		}
	}
	return nil
}

// replayBatch is how many events are sent together at most.
const replayBatch = 500

// A replayer sends the events of a directory to a sink.
type replayer struct {
	sink   inlet.Sink
	filter func(*inlet.Event) bool
	until  position
	rate   float64
	stderr io.Writer

	next              uint64 // everything below it is settled
	began             time.Time
	sent              int // since then
	accepted, refused uint64
	unread            bool // an event or a file could not be read
}

// run sends what is in dir from start on.
func (r *replayer) run(ctx context.Context, dir string, start journal.Start) error {
	r.began = time.Now()
	var batch []journal.Record
	for record, err := range journal.Read(ctx, dir, &journal.ReadOptions{Start: start}) {
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintln(r.stderr, "inlet replay:", err)
			r.unread = true
			continue
		}
		if r.next == 0 {
			r.next = record.Seq
		}
		if r.until.isBefore(record) {
			break
		}
		if !r.filter(record.Event) {
			continue
		}
		if batch = append(batch, record); len(batch) == r.batchSize() {
			if err := r.send(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return r.send(ctx, batch)
}

// batchSize is a tenth of what the rate allows in a second, at least one.
func (r *replayer) batchSize() int {
	if r.rate == 0 {
		return replayBatch
	}
	return int(min(max(r.rate/10, 1), replayBatch))
}

// send writes a batch until the sink has accepted or refused every event of it.
func (r *replayer) send(ctx context.Context, batch []journal.Record) error {
	if len(batch) == 0 {
		return nil
	}
	if err := r.wait(ctx, len(batch)); err != nil {
		return err
	}
	left := batch
	for delay := time.Second / 4; ; delay = min(2*delay, time.Minute) {
		events := make([]*inlet.Event, len(left))
		for i, record := range left {
			events[i] = record.Event
		}
		err := r.sink.Write(ctx, events)
		if _, printing := r.sink.(*printer); printing && err != nil {
			return err
		}
		if left = r.settle(left, inlet.ItemErrors(err, len(left))); len(left) == 0 {
			r.next = batch[len(batch)-1].Seq + 1
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if wait, ok := inlet.RetryDelay(err); ok {
			delay = max(delay, wait)
		}
		fmt.Fprintf(r.stderr, "inlet replay: %v; trying again in %v\n", err, delay)
		if err := sleep(ctx, delay); err != nil {
			return err
		}
	}
}

// settle counts what the sink has accepted and refused, and returns what is left.
func (r *replayer) settle(batch []journal.Record, errs []error) (left []journal.Record) {
	for i, record := range batch {
		switch {
		case errs == nil || errs[i] == nil:
			r.accepted++
		case inlet.IsPermanent(errs[i]):
			r.refused++
			fmt.Fprintf(r.stderr, "inlet replay: event %d refused: %v\n", record.Seq, errs[i])
		default:
			left = append(left, record)
		}
	}
	return left
}

// wait waits until the rate allows n more events.
func (r *replayer) wait(ctx context.Context, n int) error {
	if r.rate == 0 {
		return ctx.Err()
	}
	at := r.began.Add(r.due())
	r.sent += n
	return sleep(ctx, time.Until(at))
}

// due returns how long after the beginning the rate allows the next event.
func (r *replayer) due() time.Duration {
	const longest = math.MaxInt64 / 2 // a float beyond it would become any number
	return time.Duration(min(float64(r.sent)/r.rate*float64(time.Second), longest))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// openJournal opens a journal for a command that changes it. It removes nothing that the server
// would keep: its limits are not known here.
func openJournal(dir string, stderr io.Writer) (*journal.Journal, error) {
	const unlimited = math.MaxInt64 / 4
	j, err := journal.Open(dir, &journal.Options{
		DeadLetterBytes: unlimited, QuarantineBytes: unlimited,
		Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if errors.Is(err, journal.ErrLocked) {
		err = fmt.Errorf("%w: stop the server first", err)
	}
	return j, err
}
