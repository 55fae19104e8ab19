package metrics

import (
	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// CheckSink returns the fault of a sink that cannot be measured under a name, by a function of a
// package.
func CheckSink(pkg, function, name string, inner inlet.Sink) error {
	var named error
	if name == "" {
		named = check.Fault("name", "is empty")
	}
	return check.Options(pkg, function, check.NotNil("inner", inner == nil), named)
}

// Values of the label result: what a Write returned.
const (
	OK = iota
	Partial
	Failed
	results
)

// Results are the values of the label result. Read-only.
var Results = [results]string{OK: "ok", Partial: "partial", Failed: "failed"}

// Values of the label outcome: what became of an event in a Write.
const (
	EventStored = iota
	EventFailed
	EventRefused
	outcomes
)

// Outcomes are the values of the label outcome of [SinkEvents]. Read-only.
var Outcomes = [outcomes]string{EventStored: "stored", EventFailed: "failed", EventRefused: "refused"}

// Written is what became of a Write.
type Written struct {
	Result int           // index of Results
	Events [outcomes]int // how many, by index of Outcomes
}

// Judge returns what became of a Write of n events that returned err.
func Judge(err error, n int) (w Written) {
	if err == nil {
		w.Events[EventStored] = n
		return w
	}
	for _, err := range inlet.ItemErrors(err, n) {
		switch {
		case err == nil:
			w.Events[EventStored]++
		case inlet.IsPermanent(err):
			w.Events[EventRefused]++
		default:
			w.Events[EventFailed]++
		}
	}
	w.Result = Failed
	if w.Events[EventStored] > 0 {
		w.Result = Partial
	}
	return w
}

// Panicked returns what became of a Write of n events that panicked.
func Panicked(n int) (w Written) {
	w.Result, w.Events[EventFailed] = Failed, n
	return w
}
