//go:build torture

package torture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
	"github.com/inlet-go/inlet/sinks/journal"
)

// Options configure [Run]. A nil pointer means all defaults.
type Options struct {
	// Seed is of the random choices, so that a run can be repeated as far as its timing permits.
	// Defaults to 0: a seed from the clock, which is logged.
	Seed uint64
	// Kills is how often the child is killed. Defaults to 50.
	Kills int
	// ServerKills is how often the server is, at most once for each child. Defaults to 20, or to 0
	// if Server is nil.
	ServerKills int
	// Server kills the server of the store, and returns what starts it again. Defaults to nil.
	Server func() (start func())
	// Env are variables for the child, such as where the store is, "NAME=value". Defaults to nil.
	Env []string
	// Duplicates permits that an event is stored more than once. Defaults to false.
	Duplicates bool
	// Stored returns the events in the store, in the order in which they were stored. Required.
	Stored func() ([]*inlet.Event, error)
}

// A Child is what the child process does.
type Child struct {
	// Sink returns the sink to deliver to. Required.
	Sink func(ctx context.Context) (inlet.Sink, error)
	// Poison changes an event into one that the store refuses. Defaults to nil: no event is.
	Poison func(e *inlet.Event)
	// Deliver are the options of the delivery. Defaults to short waits between attempts.
	Deliver journal.DeliverOptions
}

const (
	envDir   = "INLET_TORTURE_DIR"
	envRound = "INLET_TORTURE_ROUND"

	destination  = "torture"
	writers      = 4
	writesEach   = 60 // of each writer in a round
	poisonEvery  = 40
	poisonPrefix = "poison-"
)

// Main runs the tests, or the child if this process is one.
func Main(m *testing.M, c Child) {
	if dir := os.Getenv(envDir); dir != "" {
		if err := c.run(dir, os.Getenv(envRound)); err != nil {
			fmt.Fprintln(os.Stderr, "torture:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run is the child. In a round it writes events until it is killed. Without one it delivers
// everything and ends.
func (c Child) run(dir, round string) error {
	ctx := context.Background()
	if round != "" {
		go func() { // it must not outlive its parent
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
	sink, err := c.connect(ctx)
	if err != nil {
		return err
	}
	j, err := journal.Open(dir, nil)
	if err != nil {
		return err
	}
	r := &reporter{sink: sink}
	opts := c.Deliver
	if opts.MinBackoff == 0 {
		opts.MinBackoff, opts.MaxBackoff = time.Millisecond, 100*time.Millisecond
	}
	d, err := j.Deliver(destination, r, &opts)
	if err != nil {
		return err
	}
	if round == "" {
		return errors.Join(d.Drain(ctx), j.Close(ctx), inlet.Close(ctx, sink))
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { c.write(ctx, j, r, fmt.Sprintf("%s-w%d", round, w), w) })
	}
	wg.Wait()
	select {} // until it is killed
}

// connect makes the sink, which takes until the server accepts connections.
func (c Child) connect(ctx context.Context) (inlet.Sink, error) {
	for deadline := time.Now().Add(patience); ; {
		sink, err := c.Sink(ctx)
		if err == nil || time.Now().After(deadline) {
			return sink, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// patience is how long anything may take.
const patience = 3 * time.Minute

// write is a writer: it writes batches to the journal, and reports those that are acknowledged.
func (c Child) write(ctx context.Context, j *journal.Journal, r *reporter, prefix string, writer int) {
	n := 0
	for i := range writesEach {
		batch := make([]*inlet.Event, 1+(i+writer)%5)
		for k := range batch {
			batch[k] = c.event(prefix, writer, n)
			n++
		}
		if err := j.Write(ctx, batch); err != nil {
			fmt.Fprintln(os.Stderr, "torture: write:", err)
			os.Exit(1)
		}
		r.report('a', batch)
	}
}

// event returns the n-th event of a writer in a round.
func (c Child) event(prefix string, writer, n int) *inlet.Event {
	now := time.Now()
	e := &inlet.Event{
		Type: inlet.TypeTrack, Name: "Torture", MessageID: fmt.Sprintf("%s-%06d", prefix, n), UserID: fmt.Sprint("writer-", writer),
		Timestamp: now, ReceivedAt: now, Source: &inlet.Source{ID: "torture"},
		Properties: filler(n),
	}
	if c.Poison != nil && n%poisonEvery == poisonEvery-1 {
		e.MessageID = poisonPrefix + e.MessageID
		c.Poison(e)
	}
	return e
}

// filler returns the properties of the n-th event of a writer.
func filler(n int) []byte { return []byte(`{"filler":"` + strings.Repeat("x", n%700) + `"}`) }

// isIntact reports whether a stored event has the properties that its id was written with. A store
// may write the same JSON with other spaces.
func isIntact(e *inlet.Event) bool {
	n, err := strconv.Atoi(e.MessageID[strings.LastIndex(e.MessageID, "-")+1:])
	properties := strings.ReplaceAll(string(e.Properties), " ", "")
	return err == nil && properties == string(filler(n))
}

// A reporter writes lines for the parent: "a ID..." for acknowledged events, "s" and "d" around
// each Write of the sink.
type reporter struct {
	sink inlet.Sink
	mu   sync.Mutex
}

func (r *reporter) report(kind byte, events []*inlet.Event) {
	line := []byte{kind}
	for _, e := range events {
		line = append(append(line, ' '), e.MessageID...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n'))
}

// Write writes to the sink.
func (r *reporter) Write(ctx context.Context, events []*inlet.Event) error {
	r.report('s', nil)
	err := r.sink.Write(ctx, events)
	r.report('d', nil)
	return err
}

// Result is what a run did and found.
type Result struct {
	Seed                uint64
	Kills, ServerKills  int
	Acknowledged        int // events
	Stored, DeadLetters int // rows, and letters
	Lost, Twice         int
}

// String returns the counts in one line.
func (r Result) String() string {
	return fmt.Sprintf("seed %d: child killed %d times, server %d times; acknowledged %d, stored %d, dead letters %d; lost %d, twice %d",
		r.Seed, r.Kills, r.ServerKills, r.Acknowledged, r.Stored, r.DeadLetters, r.Lost, r.Twice)
}

// Run kills child and server, and fails the test if something that was promised does not hold.
func Run(t *testing.T, o Options) Result {
	t.Helper()
	r, faults := Faults(t, o)
	for _, fault := range faults {
		t.Error(fault)
	}
	return r
}

// Faults does what [Run] does, and returns what does not hold instead of failing the test. It is
// for tests that a wrong sink is noticed.
func Faults(t *testing.T, o Options) (Result, []string) {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if o.Kills == 0 {
		o.Kills = 50
	}
	if o.Server == nil {
		o.ServerKills = 0
	} else if o.ServerKills == 0 {
		o.ServerKills = 20
	}
	t.Logf("seed %d", o.Seed)
	p := &parent{t: t, o: o, dir: t.TempDir(), random: rand.New(rand.NewPCG(o.Seed, 0)), acknowledged: map[string]bool{}}
	for round := range o.Kills {
		p.round(round, round*o.ServerKills/o.Kills != (round+1)*o.ServerKills/o.Kills)
	}
	p.drain()
	r := p.compare()
	return r, p.faults
}

// A parent kills, and notes what was acknowledged.
type parent struct {
	t            *testing.T
	o            Options
	dir          string
	random       *rand.Rand
	acknowledged map[string]bool
	kills        int
	servers      int
	faults       []string
}

// fault notes that something does not hold.
func (p *parent) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// start starts a child.
func (p *parent) start(round string) (c *exec.Cmd, lines *bufio.Scanner, stderr *bytes.Buffer) {
	c = exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), p.o.Env...), envDir+"="+p.dir, envRound+"="+round)
	stderr = new(bytes.Buffer)
	c.Stderr = stderr
	if _, err := c.StdinPipe(); err != nil { // closed when this process ends
		p.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	lines = bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return c, lines, stderr
}

// round runs a child until it is killed after a random number of lines, and perhaps kills the
// server after another one. A child reports at least as many lines as there are writes.
func (p *parent) round(n int, server bool) {
	c, lines, stderr := p.start(strconv.Itoa(n))
	end := 1 + p.random.IntN(writers*writesEach)
	at := 1 + p.random.IntN(end)
	for count := 0; count < end; {
		if !lines.Scan() {
			_ = c.Process.Kill()
			_ = c.Wait()
			p.t.Fatalf("child of round %d ended early:\n%s", n, stderr)
		}
		p.note(lines.Text())
		if count++; server && count == at {
			start := p.o.Server()
			p.servers++
			start()
		}
	}
	if err := c.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.kills++
	for lines.Scan() { // what it reported before it was killed
		p.note(lines.Text())
	}
	_ = c.Wait()
}

// note notes a line, which ends in a newline: a line that was cut off counts as not reported, but
// an id cannot be cut, since each line is one write to a pipe of less than 4096 bytes.
func (p *parent) note(line string) {
	if ids, acknowledged := strings.CutPrefix(line, "a "); acknowledged {
		for id := range strings.FieldsSeq(ids) {
			p.acknowledged[id] = true
		}
	}
}

// drain runs a child that delivers everything.
func (p *parent) drain() {
	c, lines, stderr := p.start("")
	for lines.Scan() {
		p.note(lines.Text())
	}
	if err := c.Wait(); err != nil {
		p.t.Fatalf("the last child: %v\n%s", err, stderr)
	}
}

// compare looks for everything that was promised.
func (p *parent) compare() Result {
	p.t.Helper()
	stored, err := p.o.Stored()
	if err != nil {
		p.t.Fatal(err)
	}
	letters := p.letters()
	r := Result{
		Seed: p.o.Seed, Kills: p.kills, ServerKills: p.servers,
		Acknowledged: len(p.acknowledged), Stored: len(stored), DeadLetters: len(letters),
	}
	times := map[string]int{}
	keys := map[sinkkit.Key]int{}
	for _, e := range stored {
		times[e.MessageID]++
		if keys[sinkkit.KeyOf(e)]++; keys[sinkkit.KeyOf(e)] == 2 {
			r.Twice++
		}
		if strings.HasPrefix(e.MessageID, poisonPrefix) {
			p.fault("event %.60s is stored, which the store should refuse", e.MessageID)
		}
		if !isIntact(e) {
			p.fault("event %.60s is stored with the data of another", e.MessageID)
		}
	}
	for id := range letters {
		if !strings.HasPrefix(id, poisonPrefix) {
			p.fault("event %.60s is a dead letter, and nothing is wrong with it", id)
		}
	}
	for id := range p.acknowledged {
		if times[id] == 0 && letters[id] == 0 {
			r.Lost++
		}
	}
	p.ordered(stored)
	p.t.Log(r)
	if r.Lost > 0 {
		p.fault("events are lost: %v", r)
	}
	if r.Twice > 0 && !p.o.Duplicates {
		p.fault("events are stored twice: %v", r)
	}
	return r
}

// ordered requires that the events of each writer and round were first stored in their order.
func (p *parent) ordered(stored []*inlet.Event) {
	last, seen := map[string]string{}, map[string]bool{}
	for _, e := range stored {
		if seen[e.MessageID] {
			continue
		}
		seen[e.MessageID] = true
		prefix, number, _ := strings.Cut(e.MessageID[strings.Index(e.MessageID, "-")+1:], "-")
		key := e.MessageID[:strings.Index(e.MessageID, "-")] + "-" + prefix
		if number <= last[key] {
			p.fault("event %s is stored after a later one of its writer, %s", e.MessageID, last[key])
		}
		last[key] = number
	}
}

// letters returns the ids of the dead letters, and how often there is one.
func (p *parent) letters() map[string]int {
	dir, ids := filepath.Join(p.dir, "dead", destination), map[string]int{}
	if _, err := os.Stat(dir); err != nil {
		return ids
	}
	j, err := journal.Open(dir, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer j.Close(context.Background())
	for record, err := range j.Events(context.Background(), 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		ids[record.Event.MessageID]++
	}
	return ids
}
