package fixture

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
)

// Options are right. A nil pointer means
// all defaults.
type Options struct {
	// Limit is how many. Defaults to 1.5 times as many.
	Limit int
	// Logger is where it logs. Defaults to [slog.Default].
	Logger *slog.Logger
	// Key is the key. Required.
	Key string
	// MinWait and MaxWait bound the wait. They default to 1 s and 1 min.
	MinWait, MaxWait int
	// Rate is the rate, and Burst its burst. Defaults to none.
	Rate  int
	Burst int
	inner int
}

// SilentOptions say nothing of nil, and are passed to a method.
type SilentOptions struct {
	// Limit is how many.
	Limit int
	// Early says its default first. Defaults to 1. Then it goes on.
	Early int
	// Logger is where it logs. Defaults to slog.Default.
	Logger *slog.Logger
	Bare   int
}

// ValueOptions are never passed by pointer, so that they need no sentence.
type ValueOptions struct {
	// Limit is how many. Defaults to 1.
	Limit int
}

// Config is passed to a constructor, and so is an options type too.
type Config struct {
	// Limit is how many. Defaults to 1.
	Limit int
}

type Handler struct{}

func New(o *Options) (*Handler, error) {
	if o == nil {
		return nil, errors.New("fixture: New: the sink is nil")
	}
	_ = cmp.Or(o.Logger, slog.Default())
	return nil, fmt.Errorf("fixture: Options.Limit is %d", o.Limit)
}

func OpenConfig(c *Config) error { return errors.New("fixture: the limit must be at least 1") }

func (h *Handler) Deliver(o *SilentOptions, v ValueOptions) {
	_ = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
}

func (o *Options) withDefaults() error { return errors.New("Limit is negative") }

func (o *SilentOptions) bounds() error { return errors.New("Limit must be within 1 and 2") }

func anywhere(n int) error {
	if n > 0 {
		return errors.New("option Limit is odd")
	}
	if n < 0 {
		return errors.New("the scheme must be https; see Options.Limit")
	}
	return errors.New("the event must be at least one byte long")
}
