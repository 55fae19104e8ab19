package postgressink

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/tables"
)

// insertPart inserts events in a transaction of their own, after one for each table that must
// change.
func (s *Tables) insertPart(ctx context.Context, events []*inlet.Event) error {
	b := s.batches.Get().(*batch)
	err := s.fill(ctx, b, events)
	if err != nil {
		return err
	}
	err = s.tryInsert(ctx, b)
	if lacksTable(err) || s.isForeignColumn(err) { // which another process may have made
		if err = s.reload(ctx, err); err == nil {
			if err = s.fill(ctx, b, events); err != nil {
				return err
			}
			err = s.tryInsert(ctx, b)
		}
	}
	if b.memory() <= maxPooledRows {
		s.batches.Put(b)
	}
	if err == nil || isWeak(err) {
		return err
	}
	return s.classify(ctx, "insert", err)
}

// fill replaces the rows by those of events, and creates what these need. What was not created the
// first time goes to _extra.
func (s *Tables) fill(ctx context.Context, b *batch, events []*inlet.Event) error {
	if !s.opts.Migrate {
		b.fill(s.schema.Load(), events, nil)
		return nil
	}
	var missing tables.Missing
	b.fill(s.schema.Load(), events, &missing)
	if !missing.Any() {
		return nil
	}
	if err := s.ensureAll(ctx, &missing); err != nil {
		return err
	}
	b.fill(s.schema.Load(), events, nil)
	return nil
}

// tryInsert runs the statements.
func (s *Tables) tryInsert(ctx context.Context, b *batch) error {
	rows := b.list()
	schema := s.schema.Load()
	statements := make([]statement, len(rows))
	for i, r := range rows {
		statements[i] = s.insert(r, schema.Table(r.table.State))
	}
	var inserted []uint64
	err := s.try(ctx, func(conn *pgconn.PgConn) (found settings, err error) {
		found, inserted, err = runInserts(ctx, conn, statements)
		if err == nil && !slices.ContainsFunc(inserted, func(n uint64) bool { return n > 0 }) {
			err = s.confirm(ctx, conn)
		}
		return found, err
	})
	if err == nil {
		s.count(b, rows, inserted)
	}
	return err
}

// count adds to the counters. Each event is in one of the tables that are not those of events.
func (s *Tables) count(b *batch, rows []*tableRows, inserted []uint64) {
	for i, r := range rows {
		s.left.add(r.table.Name, &r.left)
		if !r.table.IsEvent() {
			s.stat.stored.Add(inserted[i])
			s.stat.duplicates.Add(uint64(r.count) - min(uint64(r.count), inserted[i]))
		}
	}
	s.stat.replaced.Add(b.replaced)
}

// runInserts runs the statement that reads the settings and those that insert, in one round trip
// and one transaction. It returns how many rows each has inserted.
func runInserts(ctx context.Context, conn *pgconn.PgConn, statements []statement) (found settings, inserted []uint64, err error) {
	var b pgconn.Batch
	b.ExecParams(settingsStatement, nil, nil, nil, nil)
	for i := range statements {
		b.ExecParams(statements[i].sql, statements[i].params, statements[i].types, binaryFormats, nil)
	}
	results := conn.ExecBatch(ctx, &b)
	for first := true; results.NextResult(); first = false {
		reader := results.ResultReader()
		var count uint64
		for reader.NextRow() {
			if first {
				found = settingsOf(reader.Values())
			} else if count, err = strconv.ParseUint(string(reader.Values()[0]), 10, 64); err != nil {
				return found, nil, errors.Join(err, results.Close())
			}
		}
		tag, err := reader.Close()
		if err != nil {
			break // Close of the results returns it, too
		}
		if tag.Insert() {
			count = uint64(tag.RowsAffected())
		}
		if !first {
			inserted = append(inserted, count)
		}
	}
	return found, inserted, results.Close()
}

// binaryFormats says that all parameters are binary.
var binaryFormats = []int16{1}
