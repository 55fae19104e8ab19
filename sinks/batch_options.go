package sinks

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet"
)

// BatchOptions are the options of [NewBatch]. nil and the zero value stand for
// the defaults.
type BatchOptions struct {
	// MaxEvents is the most events of one inner Write. Defaults to 1,000.
	MaxEvents int
	// MaxBytes bounds what the events of one inner Write take in their canonical
	// form, unless a single one takes more. It is an estimate on the safe side
	// but for text that JSON must escape. Defaults to 1 MiB.
	MaxBytes int
	// MaxDelay is how long events wait for others before they are written.
	// Defaults to 0: they wait only while the inner Write before theirs runs,
	// which groups what is written concurrently and holds up nobody else.
	MaxDelay time.Duration

	// Async makes Write return as soon as the events are queued. What is queued
	// is lost with the process. Defaults to false: Write waits for the outcome.
	Async bool
	// OnError is given the events that the inner sink has not stored, those of
	// one batch at a time; [inlet.ItemErrors] says why of each. They are the
	// hook's to keep. The next inner Write waits until it returns, so it must
	// not block. Required with Async, since nobody else hears of them, and not
	// called without. Defaults to nil.
	OnError func(events []*inlet.Event, err error)

	// MaxPending and MaxPendingBytes bound the events that wait to be written,
	// and what they take as MaxBytes counts it. A Write beyond them fails with
	// [inlet.ErrOverloaded]; one always fits where nothing waits. They default
	// to 10,000 and 64 MiB.
	MaxPending, MaxPendingBytes int
	// WriteTimeout is the time that one inner Write has. Defaults to 10 seconds.
	WriteTimeout time.Duration
	// Logger is told of panics in the inner sink and in OnError. Defaults to
	// [slog.Default], as it is when NewBatch is called.
	Logger *slog.Logger
}

func (o *BatchOptions) withDefaults() (BatchOptions, error) {
	var f BatchOptions
	if o != nil {
		f = *o
	}
	f.MaxEvents = cmp.Or(f.MaxEvents, 1000)
	f.MaxBytes = cmp.Or(f.MaxBytes, 1<<20)
	f.MaxPending = cmp.Or(f.MaxPending, 10_000)
	f.MaxPendingBytes = cmp.Or(f.MaxPendingBytes, 64<<20)
	f.WriteTimeout = cmp.Or(f.WriteTimeout, 10*time.Second)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	return f, f.validate()
}

// validate names the first field that can never work.
func (o *BatchOptions) validate() error {
	for _, field := range []struct {
		name     string
		negative bool
	}{
		{"MaxEvents", o.MaxEvents < 0},
		{"MaxBytes", o.MaxBytes < 0},
		{"MaxDelay", o.MaxDelay < 0},
		{"MaxPending", o.MaxPending < 0},
		{"MaxPendingBytes", o.MaxPendingBytes < 0},
		{"WriteTimeout", o.WriteTimeout < 0},
	} {
		if field.negative {
			return fmt.Errorf("sinks: BatchOptions.%s is negative", field.name)
		}
	}
	if o.Async && o.OnError == nil {
		return errors.New("sinks: BatchOptions.OnError is nil: with Async nobody would hear of failures")
	}
	return nil
}
