package postgressink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// Write stores the events that are not stored yet.
//
// The error is a [*inlet.BatchError] if the outcomes differ; any other error applies to all
// events. After Close it is [inlet.ErrClosed].
func (s *Sink) Write(ctx context.Context, events []*inlet.Event) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	w := &write{sink: s, events: events, insert: s.insertPart}
	err := w.run(ctx)
	s.retain(ctx)
	return err
}

// A write is one call: its events, and those that have failed.
type write struct {
	sink   *Sink
	events []*inlet.Event
	insert func(ctx context.Context, events []*inlet.Event) error // of a part
	done   int                                                    // events whose outcome is known
	failed sinkkit.Failures
}

// run inserts the events part by part, until one fails temporarily.
func (w *write) run(ctx context.Context) error {
	for from := 0; from < len(w.events); from = w.done {
		if err := w.part(ctx, from, w.sink.partEnd(w.events, from)); err != nil {
			if w.done == 0 {
				return err
			}
			w.failed.AddAll(w.done, len(w.events), err)
			return w.failed.Err()
		}
	}
	return w.failed.Err()
}

// partEnd returns the end of the statement that begins with the event at from.
func (s *Sink) partEnd(events []*inlet.Event, from int) int {
	bytes := sizeOf(events[from])
	return sinkkit.PartEnd(from, len(events), len(events), func(_, to int) bool {
		bytes += sizeOf(events[to-1])
		return bytes <= s.opts.MaxBytes
	})
}

// part inserts the events from:to, in halves if the data of one of them is at fault. It returns a
// temporary error.
func (w *write) part(ctx context.Context, from, to int) error {
	err := w.insert(ctx, w.events[from:to])
	switch {
	case err == nil:
		w.done = to
		return nil
	case !inlet.IsPermanent(err):
		return err
	case to-from == 1:
		w.failed.Add(from, err)
		w.sink.stat.refused.Add(1)
		w.done = to
		return nil
	}
	middle := from + (to-from)/2
	if err := w.part(ctx, from, middle); err != nil {
		return err
	}
	return w.part(ctx, middle, to)
}

// maxAttempts is how often a statement is tried that fails for a reason which does not last.
const maxAttempts = 3

// insertPart inserts events in a transaction of their own.
func (s *Sink) insertPart(ctx context.Context, events []*inlet.Event) error {
	if err := s.ensureMonths(ctx, events); err != nil {
		return err
	}
	r := s.rows.Get().(*rows)
	r.fill(events, s.opts.JSONB)
	err := s.tryInsert(ctx, r)
	if lacksTable(err) && s.opts.Migrate {
		if err = s.migrate(ctx, err); err == nil {
			s.forgetMonths()
			if err = s.ensureMonths(ctx, events); err == nil {
				err = s.tryInsert(ctx, r)
			}
		}
	}
	s.release(r)
	if err == nil || errors.Is(err, errWeak) {
		return err
	}
	if lacksTable(err) {
		s.forgetMonths()
	}
	return s.classify(ctx, "insert", err)
}

// fill replaces the rows by those of events.
func (r *rows) fill(events []*inlet.Event, jsonb bool) {
	r.clear()
	for _, e := range events {
		r.add(e, jsonb)
	}
}

// release keeps the memory of r. It is not called after a panic, nor for unusually large memory.
func (s *Sink) release(r *rows) {
	if !r.isLarge() {
		s.rows.Put(r)
	}
}

// tryInsert runs the statement, again if that may help immediately: after a conflict, and once on
// another connection if this one was dead.
func (s *Sink) tryInsert(ctx context.Context, r *rows) (err error) {
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		var dead bool
		if dead, err = s.insertOnce(ctx, r); err == nil || ctx.Err() != nil {
			return err
		}
		if !isConflict(err) && !(dead && attempt == 1) {
			return err
		}
	}
	return err
}

// insertOnce runs the statement on a connection of the pool. It reports whether the connection is
// dead now.
func (s *Sink) insertOnce(ctx context.Context, r *rows) (dead bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	found, inserted, err := runInsert(ctx, conn.Conn().PgConn(), s.insert, r)
	s.stat.statements.Add(1)
	if err != nil {
		if endsConnection(err) {
			s.dropConnections(ctx, conn)
		}
		return conn.Conn().IsClosed(), err
	}
	if err := s.checkDurability(found); err != nil {
		return false, err
	}
	s.count(r, inserted)
	return false, nil
}

// dropConnections closes a connection to a server that no longer accepts writes, and the others of
// the pool if that is the sink's.
func (s *Sink) dropConnections(ctx context.Context, conn *pgxpool.Conn) {
	_ = conn.Conn().Close(ctx)
	if s.ownPool {
		s.pool.Reset()
	}
}

func (s *Sink) count(r *rows, inserted int64) {
	n := uint64(r.columns[0].count)
	s.stat.stored.Add(uint64(inserted))
	s.stat.duplicates.Add(n - min(n, uint64(inserted)))
	s.stat.replaced.Add(uint64(r.replaced))
}

// runInsert runs the statement that reads the settings and the one that inserts, in one round trip
// and one transaction.
func runInsert(ctx context.Context, conn *pgconn.PgConn, insert string, r *rows) (found settings, inserted int64, err error) {
	var b pgconn.Batch
	b.ExecParams(settingsStatement, nil, nil, nil, nil)
	b.ExecParams(insert, r.arrays(), arrayTypes, arrayFormats, nil)
	results := conn.ExecBatch(ctx, &b)
	for results.NextResult() {
		reader := results.ResultReader()
		for reader.NextRow() {
			found = settingsOf(reader.Values())
		}
		tag, err := reader.Close()
		if err != nil {
			break // Close of the results returns it, too
		}
		if tag.Insert() {
			inserted = tag.RowsAffected()
		}
	}
	return found, inserted, results.Close()
}

// Settings of a server that decide how durable a commit is.
type settings struct {
	fsync    bool
	standbys bool // synchronous standbys are required
	commit   string
}

// settingsStatement makes commits of the transaction as durable as the server can, without an
// effect on others that use the connection, and reads the settings.
const settingsStatement = `SELECT CASE current_setting('synchronous_commit')
	WHEN 'remote_apply' THEN 'remote_apply' ELSE set_config('synchronous_commit', 'on', true) END,
	current_setting('fsync'), current_setting('synchronous_standby_names')`

func settingsOf(row [][]byte) settings {
	if len(row) != 3 {
		return settings{}
	}
	return settings{commit: string(row[0]), fsync: string(row[1]) == "on", standbys: len(row[2]) > 0}
}

func readSettings(ctx context.Context, conn *pgconn.PgConn) (settings, error) {
	result := conn.ExecParams(ctx, settingsStatement, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return settings{}, result.Err
	}
	if len(result.Rows) != 1 {
		return settings{}, errors.New("the server returned no settings")
	}
	return settingsOf(result.Rows[0]), nil
}

// durability returns what a commit means to a server with the settings.
func (f settings) durability() inlet.Durability {
	switch {
	case !f.fsync:
		return inlet.DurabilityOSBuffer
	case f.standbys:
		return inlet.DurabilityReplicated
	}
	return inlet.DurabilityFsync
}

var errWeak = errors.New("postgressink: the server's settings promise less durability than was declared")

// checkDurability returns an error if the server promises less than New has found.
func (s *Sink) checkDurability(found settings) error {
	if got := found.durability(); got < s.durability {
		return fmt.Errorf("%w: %v, declared was %v", errWeak, got, s.durability)
	}
	return nil
}

// monthOf returns the first moment of the month of a time, in UTC.
func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}
