package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A verdict compares what was acknowledged with what the stream has.
type verdict struct {
	acknowledged, stored int
	lost, twice          []string // ids of events
	unanswered           int      // events that are stored, though no client knows
	refused              error
	kills                []time.Time
}

// verdict stops the nodes, and reads the stream.
func (f *fleet) verdict(l *load) (*verdict, error) {
	if err := f.awaitReady(context.Background()); err != nil { // one may have just been started again
		return nil, err
	}
	if err := f.drain(); err != nil {
		return nil, err
	}
	copies, err := f.read()
	if err != nil {
		return nil, err
	}
	return compare(l.clients, copies), nil
}

// compare looks for what is missing from the copies of each event, and for what is too much.
func compare(clients []*client, copies map[string]int) *verdict {
	v := &verdict{}
	for id, n := range copies {
		v.stored += n
		if n > 1 {
			v.twice = append(v.twice, id)
		}
	}
	known := 0
	for _, c := range clients {
		v.refused = errors.Join(v.refused, c.refused)
		for b := range c.batches {
			for e := range batchSize {
				v.acknowledged++
				if copies[id(c.number, b, e)] == 0 {
					v.lost = append(v.lost, id(c.number, b, e))
				} else {
					known++
				}
			}
		}
	}
	v.unanswered = len(copies) - known
	return v
}

// read returns how often the stream has each event. A question that the stream was asked while it
// had no leader is never answered, so it asks again, with more and more time.
func (f *fleet) read() (copies map[string]int, err error) {
	nc, err := nats.Connect(f.brokerURLs, nats.Timeout(patience))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	for limit := time.Second; limit <= patience; limit *= 2 {
		if copies, err = readOnce(js, limit); err == nil {
			return copies, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}

func readOnce(js jetstream.JetStream, limit time.Duration) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	stream, err := js.Stream(ctx, "INLET")
	if err != nil {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	copies := map[string]int{}
	for left := stream.CachedInfo().State.Msgs; left > 0; left-- {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		var event struct {
			MessageID string `json:"messageId"`
		}
		if err := json.Unmarshal(m.Data(), &event); err != nil {
			return nil, err
		}
		copies[event.MessageID]++
	}
	return copies, nil
}

// fault returns why the program fails.
func (v *verdict) fault() error {
	if len(v.lost) > 0 || len(v.twice) > 0 {
		return errors.Join(v.refused, fmt.Errorf("%d events are lost, such as %v; %d are stored twice, such as %v",
			len(v.lost), head(v.lost), len(v.twice), head(v.twice)))
	}
	return v.refused
}

func head(ids []string) []string { return ids[:min(len(ids), 3)] }

// failOver is how long after a kill answers may be late: the node or the broker was working on
// them, and what is killed during the fail-over of another one makes it longer.
const failOver = 2 * time.Second

func (v *verdict) print(out io.Writer, l *load) {
	fmt.Fprintf(out, "\n%d events are acknowledged after %d kills, and the stream has %d:\n%d lost, %d twice",
		v.acknowledged, len(v.kills), v.stored, len(v.lost), len(v.twice))
	if v.unanswered > 0 {
		fmt.Fprintf(out, "; of %d no client knows", v.unanswered)
	}
	again := 0
	for _, n := range l.repeated {
		again += n
	}
	fmt.Fprintf(out, ".\n%d requests were sent again by clients", again)
	for _, reason := range slices.Sorted(maps.Keys(l.repeated)) {
		fmt.Fprintf(out, ", %d after %s", l.repeated[reason], reason)
	}
	fmt.Fprint(out, ".\n\n")
	outside, all := v.times(l.answers)
	fmt.Fprintf(out, "Answers, all attempts:  p50 %v, p99 %v, at most %v\n", percentile(all, 50), percentile(all, 99), percentile(all, 100))
	fmt.Fprintf(out, "  outside fail-over:    p50 %v, p99 %v, at most %v\n", percentile(outside, 50), percentile(outside, 99), percentile(outside, 100))
}

// times returns how long answers took, in order: those of batches that were sent, or waited for,
// in the time after no kill, and all.
func (v *verdict) times(answers []answer) (outside, all []time.Duration) {
	for _, a := range answers {
		took := a.acknowledged.Sub(a.sent)
		all = append(all, took)
		during := func(kill time.Time) bool { return a.acknowledged.After(kill) && a.sent.Before(kill.Add(failOver)) }
		if !slices.ContainsFunc(v.kills, during) {
			outside = append(outside, took)
		}
	}
	slices.Sort(outside)
	slices.Sort(all)
	return outside, all
}

// percentile returns one of times in order, 0 if there are none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[(len(times)-1)*p/100].Round(100 * time.Microsecond)
}
