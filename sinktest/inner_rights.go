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
	"github.com/inlet-go/inlet/internal/canonical"
)

// A right is something that every sink may rely on.
type right int

const (
	rightToEvents  right = iota // that a batch is not empty
	rightToContent              // that no event is nil, and all have the required fields
	rightToOrder                // that within one call the order is the client's
	rightToContext              // that the context is the caller's
)

// rights records the first breach of each right.
type rights struct {
	gathers bool // see [Features.Gathers]

	mu       sync.Mutex
	breaches map[right]error
}

// record checks a Write.
func (r *rights) record(ctx context.Context, events []*inlet.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(events) == 0 {
		r.add(rightToEvents, errors.New("the inner sink got an empty batch"))
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

// breach returns the first breach of a right, or nil.
func (r *rights) breach(which right) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.breaches[which]
}

// checkContent returns an error if an event lacks a required field.
func checkContent(events []*inlet.Event) error {
	for i, e := range events {
		if lack := lackOf(e); lack != "" {
			return fmt.Errorf("the inner sink got a batch in which the event at index %d of %d %s", i, len(events), lack)
		}
	}
	return nil
}

func lackOf(e *inlet.Event) string {
	switch {
	case e == nil:
		return "is nil"
	case !canonical.IsType(string(e.Type)):
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

// checkOrder reads the original order of events from the ids that [Events] gives, and ignores
// other events. If calls are gathered, a duplicate may be before its call's other events.
func checkOrder(events []*inlet.Event, gathers bool) error {
	last := make(map[string]int)
	seen := make(map[string]bool)
	for _, e := range events {
		call, i, ok := positionOf(e)
		if !ok {
			continue
		}
		if before := last[call]; i < before && !(gathers && seen[e.MessageID]) {
			return fmt.Errorf("an inner Write has the event at index %d of a call after that at index %d", i, before)
		}
		last[call], seen[e.MessageID] = i, true
	}
	return nil
}

// positionOf returns the batch of [Events] that e comes from, and its index.
func positionOf(e *inlet.Event) (batch string, i int, ok bool) {
	if e == nil {
		return "", 0, false
	}
	batch, index, _ := strings.Cut(e.MessageID, "-")
	i, err := strconv.Atoi(index)
	return batch, i, err == nil
}

// checkContext returns an error if the context of an inner Write lacks something of the
// caller's.
func checkContext(ctx context.Context, gathers bool) error {
	deadline, bounded := ctx.Deadline()
	callers, known := ctx.Value(callKey{}).(time.Time)
	switch {
	case !bounded:
		return errors.New("the context of an inner Write has no deadline")
	case gathers:
		return nil
	case !known:
		return errors.New("the context of an inner Write lacks the values of the caller's")
	case deadline.After(callers):
		return fmt.Errorf("the context of an inner Write ends %v after the caller's", deadline.Sub(callers))
	}
	return nil
}
