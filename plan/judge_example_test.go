package plan_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// serve is how a host uses a plan in a file.
func serve(path string, events, violations inlet.Sink) (err error) {
	file, err := plan.Open(path, nil) // read again when it changes
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	guarded, err := file.Quarantine(events, violations)
	if err != nil {
		return err
	}
	api, err := inlet.New(guarded, nil)
	if err != nil {
		return err
	}
	return api.Ingest(context.Background(), &inlet.Source{ID: "backend"},
		&inlet.Event{Type: inlet.TypeTrack, Name: "Order Completed", UserID: "user-1", Properties: []byte(`{"total":12.50}`)},
		&inlet.Event{Type: inlet.TypeTrack, Name: "Order Completed", UserID: "user-2"},
	)
}

// An order without a total is quarantined, and counts as stored.
func ExampleLetterOf() {
	dir, err := os.MkdirTemp("", "plan")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "plan.json")
	if err := os.WriteFile(path, []byte(`{"name": "shop", "version": "1", "modes": "quarantine", "rules": [
		{"type": "track", "event": "Order Completed", "schema": {"properties": {"properties": {"required": ["total"]}}}}
	]}`), 0o600); err != nil {
		panic(err)
	}
	events, violations := new(sinks.Memory), new(sinks.Memory)
	if err := serve(path, events, violations); err != nil {
		panic(err)
	}
	for _, e := range events.Events() {
		fmt.Println(e.UserID)
	}
	for _, e := range violations.Events() {
		letter, _ := plan.LetterOf(e)
		fmt.Println(e.UserID, letter.Name, letter.Version, letter.Violations[0].Message())
	}
	// Output:
	// user-1
	// user-2 shop 1 properties.total is missing
}

// A plan in a file is replaced while it is used.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "plan")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "plan.json")
	save := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	save(`{"name": "shop", "version": "1", "rules": []}`)
	file, err := plan.Open(path, &plan.FileOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	defer func() { _ = file.Close() }()
	fmt.Println(file.Plan().Version())

	save(`{"name": "shop", "version": "2", "rules": []}`)
	if err := file.Reload(); err != nil { // or within a second by itself
		panic(err)
	}
	fmt.Println(file.Plan().Version())
	// Output:
	// 1
	// 2
}

// What a new version of a plan does to events that follow the old one.
func ExampleDiff() {
	load := func(required string) *plan.Plan {
		p, err := plan.Load(strings.NewReader(`{"rules": [
			{"type": "track", "event": "Order Completed", "schema": {"properties": {"properties": {"required": [`+required+`]}}}}
		]}`), nil)
		if err != nil {
			panic(err)
		}
		return p
	}
	for _, c := range plan.Diff(load(`"total", "coupon"`), load(`"total", "currency"`)) {
		fmt.Println(c.Rule, c.Path, c.Text, c.Breaks)
	}
	// Output:
	// track Order Completed properties.currency is required now true
	// track Order Completed properties.coupon is not required any more false
}

// What was quarantined is stored once the plan is fixed.
func ExampleJudge_Replay() {
	dir, err := os.MkdirTemp("", "plan")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	violations, err := journal.Open(dir, nil)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() { _ = violations.Close(ctx) }()
	load := func(required string) *plan.Plan {
		p, err := plan.Load(strings.NewReader(`{"modes": "quarantine", "rules": [
			{"type": "track", "event": "Order Completed", "schema": {"properties": {"properties": {"required": [`+required+`]}}}}
		]}`), nil)
		if err != nil {
			panic(err)
		}
		return p
	}
	judge := load(`"total"`).Judge(nil)
	events := new(sinks.Memory)
	guarded, err := judge.Quarantine(events, violations)
	if err != nil {
		panic(err)
	}
	if err := guarded.Write(ctx, []*inlet.Event{{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: "1", UserID: "user-1",
		Timestamp: time.Now(), ReceivedAt: time.Now(), Source: &inlet.Source{ID: "web"},
	}}); err != nil {
		panic(err)
	}
	fmt.Println(len(events.Events()))

	if err := judge.Swap(load("")); err != nil {
		panic(err)
	}
	if err := replay(ctx, judge, events, violations); err != nil {
		panic(err)
	}
	fmt.Println(len(events.Events()))
	// Output:
	// 0
	// 1
}

// replay stores what the plan now lets pass.
func replay(ctx context.Context, file *plan.Judge, events inlet.Sink, violations *journal.Journal) error {
	d, err := violations.Deliver("replay", file.Replay(events), &journal.DeliverOptions{PauseAfter: -1})
	if err != nil {
		return err
	}
	return errors.Join(d.Drain(ctx), d.Stop(ctx))
}
