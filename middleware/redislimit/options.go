package redislimit

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet/internal/check"
)

// Options configure [New] and [NewWithClient]. A nil pointer means all defaults.
type Options struct {
	// Prefix is what the names of the keys in Redis begin with, 1 to 100 bytes. Servers that
	// limit together have the same. Defaults to "inlet:limit:".
	Prefix string
	// Lease is for how long a server takes tokens in advance, from 1 millisecond to 10 seconds.
	// More means fewer exchanges with Redis, and more tokens that a server may hold while another
	// has none. Defaults to 100 milliseconds.
	Lease time.Duration
	// MaxKeys is how many keys a server remembers tokens of. Of further ones the least recently
	// used is forgotten, of a few that are looked at, with the tokens that are held for it. Each
	// takes about 500 bytes. Defaults to 65,536.
	MaxKeys int
	// Logger receives what fails when [New] cannot reach Redis. Errors of charges are returned
	// instead. Defaults to slog.Default() at construction.
	Logger *slog.Logger
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	f.Prefix = cmp.Or(f.Prefix, "inlet:limit:")
	f.Lease = cmp.Or(f.Lease, 100*time.Millisecond)
	f.MaxKeys = cmp.Or(f.MaxKeys, 65_536)
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	return f, check.Options("redislimit", "Options",
		check.AtMost("len(Prefix)", len(f.Prefix), 100),
		check.AtLeast("Lease", f.Lease, time.Millisecond),
		check.AtMost("Lease", f.Lease, 10*time.Second),
		check.AtLeast("MaxKeys", f.MaxKeys, 1),
	)
}
