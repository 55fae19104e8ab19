package pgkeys

import (
	"cmp"
	"log/slog"
	"strings"
	"time"

	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/check"
)

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// Schema is that of the tables. It is not created. Defaults to the first schema of the
	// search path.
	Schema string
	// Migrate lets New create the tables and their triggers. Defaults to false: New fails with
	// the statements to run in its text.
	Migrate bool
	// ListenTo is the connection string of the connection that listens, where the target is a
	// connection pooler in transaction mode, which passes no notifications on. It must lead to
	// the same database. Defaults to the target.
	ListenTo string
	// Interval is how often the connection that listens is tried. One that is dead without a
	// word is noticed after this time and 5 seconds at most. Defaults to 10 seconds.
	Interval time.Duration
	// MaxConcurrent is the size of the pool that New makes for a connection string, without the
	// connection that listens. Defaults to 4.
	MaxConcurrent int
	// Cache configures the cache in front of the database. Its ByBearer must be false. A nil
	// pointer means all defaults of [authcache.Options].
	Cache *authcache.Options
	// Logger gets one line when changes of keys are not heard, with the reason, one when they
	// are again, and the statements that change the database. It never gets a key or a hash.
	// Defaults to [slog.Default].
	Logger *slog.Logger

	patience time.Duration // longer in tests, whose machine may be slow
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	f.Interval = cmp.Or(f.Interval, 10*time.Second)
	f.MaxConcurrent = cmp.Or(f.MaxConcurrent, 4)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	f.patience = cmp.Or(f.patience, patience)
	var cache authcache.Options
	if f.Cache != nil {
		cache = *f.Cache
	}
	cache.Logger = cmp.Or(cache.Logger, f.Logger)
	f.Cache = &cache
	var schema, bearer error
	if strings.ContainsRune(f.Schema, 0) {
		schema = check.Fault("Schema", "is %q, a name has no U+0000", f.Schema)
	}
	if cache.ByBearer {
		bearer = check.Fault("Cache", "has ByBearer, but the tables have no tokens")
	}
	return f, check.Options("pgkeys", "Options",
		schema,
		check.AtLeast("Interval", f.Interval, 1),
		check.AtLeast("MaxConcurrent", f.MaxConcurrent, 1),
		check.AtMost("MaxConcurrent", f.MaxConcurrent, 1000),
		bearer,
	)
}
