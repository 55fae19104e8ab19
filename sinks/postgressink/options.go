package postgressink

import (
	"cmp"
	"log/slog"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/check"
)

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// Table is the name of the table, or a schema and a name with a dot between them. A schema is
	// not created. Defaults to "inlet_events", in the first schema of the search path.
	Table string
	// JSONB makes the column payload jsonb, which can be indexed, and takes longer to write: names
	// come in another order, equal numbers get one form, U+0000 becomes U+FFFD (counted in
	// Stats.Replaced), and an event with a number that numeric cannot hold is permanently refused.
	// Defaults to false: json, which keeps the canonical form byte for byte. PostgreSQL stores
	// U+0000 in json but cannot look into such a payload: a query that does fails.
	JSONB bool
	// Migrate lets the sink create the table, add columns that it lacks, and create the partitions
	// of months. Defaults to false: New fails with the statements to run in its text.
	Migrate bool

	// PartitionByMonth makes a table that is partitioned by received_at, one partition a month in
	// UTC, so that old months can be dropped. The key then holds within a month only: an event
	// that is sent again and received in the next month is stored again. A delivery of the journal
	// repeats an event with the time at which it was first received, which is the same month.
	// Defaults to false.
	PartitionByMonth bool
	// Retain drops the partitions of months that ended longer ago, by the clock of this machine or
	// of the server, whichever is behind. That is looked at by New and then by a Write once an
	// hour; a failure is logged and fails nothing. It needs PartitionByMonth. Defaults to 0:
	// nothing is dropped.
	Retain time.Duration

	// MaxBytes limits the parameters of a statement in bytes: a larger Write is several
	// statements, each a transaction. An event that is larger has a statement of its own. Defaults
	// to 8 MiB.
	MaxBytes int
	// MaxConcurrent is the maximum number of Writes that use a connection at the same time;
	// further ones wait. It is also the size of the pool that New makes for a connection string.
	// Defaults to 8, or to the size of a pool of the caller's if that is smaller.
	MaxConcurrent int
	// Logger receives what fails without failing a Write, and statements that change the
	// database. Defaults to slog.Default() at construction.
	Logger *slog.Logger
}

// Defaults; see Options.
const (
	defaultTable         = "inlet_events"
	defaultMaxBytes      = 8 << 20
	defaultMaxConcurrent = 8
)

// withDefaults returns a copy with the defaults filled in.
func (o *Options) withDefaults() Options {
	var f Options
	if o != nil {
		f = *o
	}
	f.Table = cmp.Or(f.Table, defaultTable)
	f.MaxBytes = cmp.Or(f.MaxBytes, defaultMaxBytes)
	f.MaxConcurrent = cmp.Or(f.MaxConcurrent, defaultMaxConcurrent)
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	return f
}

// check returns all faults. It is called with the defaults filled in.
func (o *Options) check() error {
	var retain error
	if o.Retain > 0 && !o.PartitionByMonth {
		retain = check.Fault("Retain", "is %v, needs PartitionByMonth", o.Retain)
	}
	return check.Options("postgressink", "Options",
		o.checkTable(),
		check.AtLeast("Retain", o.Retain, 0),
		retain,
		check.AtLeast("MaxBytes", o.MaxBytes, 1),
		check.AtMost("MaxBytes", o.MaxBytes, maxEventBytes),
		check.AtLeast("MaxConcurrent", o.MaxConcurrent, 1),
		check.AtMost("MaxConcurrent", o.MaxConcurrent, 1000),
	)
}

// maxName is how long the name of a table may be in bytes: PostgreSQL cuts names at 63, and those
// of partitions and indexes are longer.
const maxName = 40

func (o *Options) checkTable() error {
	parts := strings.Split(o.Table, ".")
	if len(parts) > 2 {
		return check.Fault("Table", "is %q, must be a name, or a schema and a name", o.Table)
	}
	for _, part := range parts {
		if part == "" || len(part) > maxName || strings.ContainsRune(part, 0) {
			return check.Fault("Table", "is %q, names must have 1 to %d bytes, without U+0000", o.Table, maxName)
		}
	}
	return nil
}

// A tableName is the name of a table, as it is written in SQL.
type tableName struct{ schema, name string }

func (o *Options) tableName() tableName {
	schema, name, found := strings.Cut(o.Table, ".")
	if !found {
		schema, name = "", o.Table
	}
	return tableName{schema, name}
}

// sql returns the quoted name.
func (t tableName) sql() string { return t.with("") }

// with returns the quoted name with a suffix.
func (t tableName) with(suffix string) string {
	if t.schema == "" {
		return quoteName(t.name + suffix)
	}
	return quoteName(t.schema) + "." + quoteName(t.name+suffix)
}

// quoteName returns a name as it is written in SQL.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
