// Plan shows how a team gets from no tracking plan to one that keeps bad events apart. A website
// and an app send orders to a server; the app sends the total as a text, and the website misspells
// an event. The program plays both of them, and the analyst, and prints what each step shows:
//
//	go run ./examples/plan
//
// The steps are in the order in which a team takes them: start without a plan, infer one from what
// was stored, observe, fix the tracking code, switch to quarantine, and replay. docs/PLAN.md does
// the same with the command inlet.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks/journal"
)

// The plan that was inferred and then edited by the analyst; the same one with modes; and one that
// also lets the app's texts pass, since the app cannot be updated everywhere.
var (
	//go:embed observe.json
	observePlan []byte
	//go:embed quarantine.json
	quarantinePlan []byte
	//go:embed fixed.json
	fixedPlan []byte
)

func main() {
	dir := flag.String("dir", "", "`directory` of the events (default: a temporary one, which is removed)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), *dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plan:", err)
		os.Exit(1)
	}
}

// A shop is the server of the example.
type shop struct {
	events *journal.Journal // what was stored
	aside  *journal.Journal // what the plan has quarantined
	judge  *plan.Judge      // nil before there is a plan
	api    http.Handler
	sent   int
}

func run(ctx context.Context, dir string, out io.Writer) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "plan"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	s := new(shop)
	if s.events, err = journal.Open(filepath.Join(dir, "events"), nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.events.Close(context.WithoutCancel(ctx))) }()
	if s.aside, err = journal.Open(filepath.Join(dir, "violations"), nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.aside.Close(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context, io.Writer) error{
		s.withoutPlan, s.infer, s.observe, s.fix, s.quarantine, s.replay,
	} {
		if err := step(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// serve makes the API, whose events go to a sink.
func (s *shop) serve(sink inlet.Sink) error {
	api, err := inlet.New(sink, &inlet.Options{AllowAnonymous: true})
	s.api = api
	return err
}

// The events of the website, before and after it was fixed, and of the app.
const (
	website = `{"event":"Order Completed","properties":{"order_id":"%d","total":12.50,"currency":"EUR"},"context":{"library":{"name":"analytics.js","version":"1.50.0"}}}`
	typo    = `{"event":"Order Complete","properties":{"order_id":"%d","total":12.50,"currency":"EUR"},"context":{"library":{"name":"analytics.js","version":"1.50.0"}}}`
	app     = `{"event":"Order Completed","properties":{"order_id":"%d","total":"9.99","currency":"USD"},"context":{"library":{"name":"analytics-ios","version":"4.1.8"}}}`
)

// send sends events, each of them ten times. Every one of them is to be accepted.
func (s *shop) send(events ...string) error {
	for i := range 10 * len(events) {
		s.sent++
		body := strings.Replace(fmt.Sprintf(events[i%len(events)], s.sent), "{", `{"userId":"user-1",`, 1)
		r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(body))
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return fmt.Errorf("the event was answered %d: %s", w.Code, w.Body)
		}
	}
	return nil
}

// withoutPlan is the first step: events are stored, whatever they are.
func (s *shop) withoutPlan(_ context.Context, out io.Writer) error {
	if err := s.serve(s.events); err != nil {
		return err
	}
	if err := s.send(website, typo, app); err != nil {
		return err
	}
	fmt.Fprintf(out, "1. Without a plan, all %d events are stored.\n", s.sent)
	return nil
}

// infer is the second step: a plan that everything which was stored follows, for the analyst to
// edit. observe.json is the result.
func (s *shop) infer(ctx context.Context, out io.Writer) error {
	inference := new(plan.Inference)
	for record, err := range s.events.Events(ctx, 0) {
		if err != nil {
			return err
		}
		inference.Add(record.Event)
	}
	text := inference.JSON("shop", "1")
	inferred, err := plan.Load(bytes.NewReader(text), nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "2. The plan that was inferred has the rules:")
	for _, rule := range inferred.Rules() {
		fmt.Fprintf(out, "     %s\n", &rule)
	}
	return nil
}

// observe is the third step: the edited plan is used, and what violates it is only counted.
func (s *shop) observe(_ context.Context, out io.Writer) error {
	p, err := plan.Load(bytes.NewReader(observePlan), nil)
	if err != nil {
		return err
	}
	s.judge = p.Judge(&plan.JudgeOptions{Logger: slog.New(slog.DiscardHandler)})
	sink, err := s.judge.Quarantine(s.events, s.aside)
	if err != nil {
		return err
	}
	if err := s.serve(sink); err != nil {
		return err
	}
	if err := s.send(website, typo, app); err != nil {
		return err
	}
	s.print(out, "3. The plan is observed; everything is stored")
	return nil
}

// fix is the fourth step: the website sends the right name now. Each plan begins its statistics
// anew, so the same one is used again.
func (s *shop) fix(_ context.Context, out io.Writer) error {
	if err := s.judge.Swap(s.judge.Plan()); err != nil {
		return err
	}
	if err := s.send(website, app); err != nil {
		return err
	}
	s.print(out, "4. The website is fixed; the app of some users is not")
	return nil
}

// quarantine is the fifth step: the same plan with modes. In a server, the file of the plan is
// replaced, which plan.Open notices.
func (s *shop) quarantine(_ context.Context, out io.Writer) error {
	if err := s.swap(quarantinePlan); err != nil {
		return err
	}
	if err := s.send(website, app); err != nil {
		return err
	}
	s.print(out, "5. Violations are quarantined, and clients get 200")
	return nil
}

// replay is the last step: the plan accepts texts as well, and what was quarantined is stored.
func (s *shop) replay(ctx context.Context, out io.Writer) error {
	if err := s.swap(fixedPlan); err != nil {
		return err
	}
	before := s.events.Stats().Events
	d, err := s.aside.Deliver("replay", s.judge.Replay(s.events), &journal.DeliverOptions{PauseAfter: -1})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.Drain(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "6. By the new plan, %d of the events in quarantine are stored, and %d stay.\n", s.events.Stats().Events-before, d.Stats().Refused)
	return d.Stop(ctx)
}

func (s *shop) swap(text []byte) error {
	p, err := plan.Load(bytes.NewReader(text), nil)
	if err != nil {
		return err
	}
	return s.judge.Swap(p)
}

// print prints what the plan in use has counted.
func (s *shop) print(out io.Writer, what string) {
	st := s.judge.Stats()
	fmt.Fprintf(out, "%s: version %s, %d clean, %d observed, %d quarantined.\n", what, st.Version, st.Clean, st.Observed, st.Quarantined)
	for _, c := range st.Counts {
		fmt.Fprintf(out, "     %d × %s %q: %s (last from %s)\n", c.Events, c.Type, c.Event, c.Text, c.Last.Library)
	}
}
