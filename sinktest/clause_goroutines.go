package sinktest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// leavesNoGoroutine uses a decorator that is made, used and closed under a label
// which its goroutines inherit, and those that they start, and looks for that
// label afterwards. Others have their own, so that tests may run beside this one.
func leavesNoGoroutine(p *probe) error {
	label := rand.Text()
	var err error
	pprof.Do(p.ctx, pprof.Labels("sinktest", label), func(context.Context) {
		err = p.again(inlet.DurabilityMemory).useUp()
	})
	if err != nil {
		return err
	}
	return p.awaitEnd(label)
}

// useUp gives a sink all kinds of work, has some of it hang for a while, and
// closes it.
func (p *probe) useUp() error {
	if err := p.workload(func(*loan) error { return nil }); err != nil {
		return err
	}
	release := p.hang(p.head(Events(3)))
	_, err := p.giveUp(p.head(Events(3)))
	if _, heldErr := release(); err != nil || heldErr != nil {
		return errors.Join(err, heldErr)
	}
	return p.close()
}

// awaitEnd waits for the end of all goroutines that have the label.
func (p *probe) awaitEnd(label string) error {
	for deadline := time.Now().Add(p.f.Grace); ; time.Sleep(time.Millisecond) {
		stacks, err := labelled(label)
		if err != nil || len(stacks) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v after Close there is still:\n%s", p.f.Grace, strings.Join(stacks, "\n\n"))
		}
	}
}

// labelled returns the stacks of the goroutines that have the label.
func labelled(label string) (stacks []string, err error) {
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return nil, fmt.Errorf("sinktest: goroutines: %w", err)
	}
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		if strings.Contains(stack, label) {
			stacks = append(stacks, stack)
		}
	}
	return stacks, nil
}
