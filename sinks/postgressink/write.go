package postgressink

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/inlet-go/inlet"
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
	w := &write{server: &s.server, events: events, maxBytes: s.opts.MaxBytes, insert: s.insertPart}
	err := w.run(ctx)
	s.retain(ctx)
	return err
}

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
	if err == nil || isWeak(err) {
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

// tryInsert runs the statement.
func (s *Sink) tryInsert(ctx context.Context, r *rows) error {
	var inserted int64
	err := s.try(ctx, func(conn *pgconn.PgConn) (found settings, err error) {
		found, inserted, err = runInsert(ctx, conn, s.insert, r)
		if err == nil && inserted == 0 {
			err = s.confirm(ctx, conn)
		}
		return found, err
	})
	if err == nil {
		var c counts
		c.add(r, inserted)
		s.count(c)
	}
	return err
}

// counts are what a transaction adds to the counters.
type counts struct{ stored, duplicates, replaced uint64 }

// add adds rows, of which so many were inserted.
func (c *counts) add(r *rows, inserted int64) {
	n := uint64(r.columns[0].count)
	c.stored += uint64(inserted)
	c.duplicates += n - min(n, uint64(inserted))
	c.replaced += uint64(r.replaced)
}

func (s *Sink) count(c counts) {
	s.stat.stored.Add(c.stored)
	s.stat.duplicates.Add(c.duplicates)
	s.stat.replaced.Add(c.replaced)
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

// monthOf returns the first moment of the month of a time, in UTC.
func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}
