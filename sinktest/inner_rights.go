package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// A right is one of the things that every sink may rely on.
type right int

const (
	rightToEvents  right = iota // that a batch is not empty
	rightToContent              // that every event is there and has what all have
	rightToOrder                // that within one call the order is the client's
	rightToContext              // that the context is the caller's
)

// rights notes the first breach of each right.
type rights struct {
	gathers bool // see [Features.Gathers]

	mu       sync.Mutex
	breaches map[right]error
}

// note looks at a Write.
func (r *rights) note(ctx context.Context, events []*inlet.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(events) == 0 {
		r.add(rightToEvents, errors.New("a batch is empty"))
	}
	r.add(rightToContent, checkContent(events))
	r.add(rightToOrder, checkOrder(events, r.gathers))
	r.add(rightToContext, checkContext(ctx, r.gathers))
}

func (r *rights) add(which right, breach error) {
	if r.breaches == nil {
		r.breaches = make(map[right]error)
	}
	if r.breaches[which] == nil {
		r.breaches[which] = breach
	}
}

// breach returns how the right was breached first, if it was.
func (r *rights) breach(which right) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.breaches[which]
}

// checkContent says what an event lacks, if one does.
func checkContent(events []*inlet.Event) error {
	for i, e := range events {
		if lack := lackOf(e); lack != "" {
			return fmt.Errorf("the event at index %d of %d %s", i, len(events), lack)
		}
	}
	return nil
}

func lackOf(e *inlet.Event) string {
	switch {
	case e == nil:
		return "is nil"
	case !e.Type.Valid():
		return "has no valid Type"
	case e.MessageID == "":
		return "has no MessageID"
	case e.Timestamp.IsZero():
		return "has no Timestamp"
	case e.ReceivedAt.IsZero():
		return "has no ReceivedAt"
	case e.Source == nil:
		return "has no Source"
	}
	return ""
}

// checkOrder reads from the ids that [Events] gives in which order events were
// written. Others are passed over. Where several calls are gathered, events that
// come again begin a new one.
func checkOrder(events []*inlet.Event, gathers bool) error {
	last := make(map[string]int)
	seen := make(map[string]bool)
	for _, e := range events {
		call, i, ok := placeOf(e)
		if !ok {
			continue
		}
		if before := last[call]; i < before && !(gathers && seen[e.MessageID]) {
			return fmt.Errorf("the event at index %d of a call comes after that at index %d", i, before)
		}
		last[call], seen[e.MessageID] = i, true
	}
	return nil
}

// placeOf returns in which batch of [Events] e is, and where.
func placeOf(e *inlet.Event) (batch string, i int, ok bool) {
	if e == nil {
		return "", 0, false
	}
	batch, place, _ := strings.Cut(e.MessageID, "-")
	i, err := strconv.Atoi(place)
	return batch, i, err == nil
}

// checkContext says what the context of an inner Write lacks that its caller's
// had.
func checkContext(ctx context.Context, gathers bool) error {
	deadline, bounded := ctx.Deadline()
	callers, known := ctx.Value(callKey{}).(time.Time)
	switch {
	case !bounded:
		return errors.New("the context of an inner Write has no deadline")
	case gathers:
		return nil
	case !known:
		return errors.New("the context of an inner Write has not the values of the caller's")
	case deadline.After(callers):
		return fmt.Errorf("the context of an inner Write ends %v after the caller's", deadline.Sub(callers))
	}
	return nil
}
