package sinktest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// The rules of all clauses.
const (
	storesAll   = "a Sink must have stored every event when Write returns nil"
	unchanged   = "a Sink must store events unchanged"
	large       = "a Sink must take a batch of 2,500 events"
	beyond      = "a Sink must tell the truth about a batch that is larger than it takes"
	order       = "a Sink must keep the order of the events within a call"
	duplicates  = "a Sink must not drop duplicates unless it says so"
	once        = "a Sink that dedupes must store a duplicate once and acknowledge it"
	drops       = "a Sink that drops an event must acknowledge it and no other with it"
	survives    = "what a Sink acknowledges must survive what its durability says"
	wellFormed  = "a BatchError must be well-formed"
	truth       = "a BatchError must name exactly the events that are not stored"
	refusal     = "a Sink must refuse for good only what it can never store"
	contextDone = "a Sink must return soon after its context is done"
	doneAlready = "a Sink must take a context that is done already"
	askedInVain = "Flush, Check and Close must return soon after their context is done"
	background  = "Flush, Check and Close must take a context without a deadline"
	keepsBatch  = "a Sink must not keep the batch after Write returns"
	keepsEvents = "a Sink must not keep events after Write returns"
	keepsBytes  = "a Sink must not keep raw JSON after Write returns"
	givesUp     = "a Sink that gives up must not look at the batch any more"
	modifies    = "a Sink must not modify the events it is lent"
	overwrites  = "a Sink must not let one event overwrite another"
	concurrent  = "a Sink must take concurrent writes without losing events"
	flushBeside = "Flush must run concurrently with Write"
	flushes     = "Flush must return only when everything before it is stored"
	panicFails  = "a panic must count as a temporary failure of its call"
	panicEnds   = "a Sink must work on after a panic"
	checks      = "Check must answer and store nothing"
	durability  = "Durability must never change"
	idempotent  = "Close must be idempotent"
	closeBeside = "Close must run concurrently with Write"
	closeAmid   = "Close must run concurrently with Flush and Check"
	closes      = "Close must store what was acknowledged"
	closedWrite = "a Write after Close must fail with ErrClosed and store nothing"
	closedError = "an error after Close must be temporary"
	closedCheck = "Check must fail after Close"
	closedFlush = "Flush must return after Close"

	neverEmpty   = "a decorator must never write an empty batch"
	complete     = "a decorator must write only events that have what every sink relies on"
	innerOrder   = "a decorator must keep the order of a call in what it writes at once"
	innerContext = "a decorator must hand on the values and the deadline of its context"
	temporary    = "a decorator must keep a temporary failure temporary"
	permanent    = "a decorator must keep a refusal, or store the event elsewhere"
	retryAfter   = "a decorator must hand on RetryAfter"
	malformed    = "a decorator must take a malformed BatchError for a failure of all events"
	endless      = "a decorator must not write again without end"
	innerFlush   = "a decorator must hand on Flush and what it says"
	innerCheck   = "a decorator must hand on Check and what it says"
	innerClose   = "a decorator must hand on Close and what it says"
	closesOnce   = "a decorator must close the sink that it wraps exactly once"
	declares     = "a decorator must not declare more durability than the sink that it wraps"
	unwraps      = "Unwrap must lead to a sink whose abilities are those of the decorator"
	goroutines   = "a decorator must leave no goroutine behind after Close"
)

// A specimen is a sink or a decorator, and the rules that it breaks, if any.
type specimen struct {
	name      string
	sink      func() inlet.Sink
	decorator func(inner inlet.Sink) inlet.Sink // if sink is nil
	features  sinktest.Features
	breaks    []string // no others, in the order of the contract
	among     bool     // and others that follow from them
}

// among says that others follow from the rules that s breaks.
func among(s specimen) specimen {
	s.among = true
	return s
}

func allBroken() []specimen {
	return slices.Concat(brokenSinks(), brokenBuffers(), brokenStores(), brokenDecorators())
}

func TestBrokenSinksAreCaught(t *testing.T) {
	t.Parallel()
	for _, s := range allBroken() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			err := s.check(t)
			if s.among {
				require.Subset(t, breaches(err), s.breaks)
				return
			}
			require.Equal(t, s.breaks, breaches(err), err)
		})
	}
}

// TestEveryRuleIsBroken tests that the suite can fail: for every rule there is a
// sink for which it names that.
func TestEveryRuleIsBroken(t *testing.T) {
	t.Parallel()
	var broken []string
	for _, s := range allBroken() {
		broken = append(broken, s.breaks...)
	}
	for _, rule := range sinktest.Rules() {
		require.Contains(t, broken, rule, "no sink breaks this")
	}
}

func (s specimen) check(t *testing.T) error {
	if s.sink == nil {
		return sinktest.CheckDecorator(t.Context(), s.decorator, nil, &s.features)
	}
	return sinktest.Check(t.Context(), s.sink, func(s inlet.Sink) []*inlet.Event {
		return s.(interface{ Events() []*inlet.Event }).Events()
	}, &s.features)
}

// breaches returns the rules in an error of Check or CheckDecorator, each once.
func breaches(err error) (rules []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range joined.Unwrap() {
		for _, rule := range sinktest.Rules() {
			if strings.Contains(err.Error(), rule+": ") && !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
	}
	return rules
}
