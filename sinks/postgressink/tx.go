package postgressink

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/inlet-go/inlet"
)

// WriteTx stores events in a transaction of the caller's, so that they are committed together with
// the caller's own rows, or not at all. They are stored only once the caller has committed, as
// durably as that transaction commits. The events must have a Type, a MessageID, a ReceivedAt and
// a Source, as those that [inlet.Sink] gets; they are read until WriteTx returns.
//
// It runs behind a savepoint: if it fails, nothing of it is stored, the transaction remains usable,
// and the caller may commit without the events. The error is permanent if the data of an event is
// at fault. The transaction must be one of the database that New was given, and must not be used
// concurrently. With Options.PartitionByMonth, missing partitions are created first, outside of the
// transaction, if Options.Migrate permits it. After Close it returns [inlet.ErrClosed].
func (s *Sink) WriteTx(ctx context.Context, tx pgx.Tx, events ...*inlet.Event) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	for i, e := range events {
		if e == nil || e.MessageID == "" || e.Type == "" || e.Source == nil || e.ReceivedAt.IsZero() {
			return inlet.Permanent(fmt.Errorf("postgressink: event %d lacks a Type, MessageID, ReceivedAt or Source", i))
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := s.ensureMonths(ctx, events); err != nil {
		return err
	}
	if err := s.insertInto(ctx, tx, events); err != nil {
		return s.classify(ctx, "insert in a transaction", err)
	}
	return nil
}

// insertInto inserts events behind a savepoint.
func (s *Sink) insertInto(ctx context.Context, tx pgx.Tx, events []*inlet.Event) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	for from := 0; from < len(events); {
		to := partEnd(events, from, s.opts.MaxBytes)
		if err := s.insertPartInto(ctx, savepoint, events[from:to]); err != nil {
			return errors.Join(err, savepoint.Rollback(ctx))
		}
		from = to
	}
	return savepoint.Commit(ctx)
}

func (s *Sink) insertPartInto(ctx context.Context, tx pgx.Tx, events []*inlet.Event) error {
	r := s.rows.Get().(*rows)
	r.fill(events, s.opts.JSONB)
	conn := tx.Conn().PgConn()
	result := conn.ExecParams(ctx, s.insert, r.arrays(), arrayTypes, arrayFormats, nil).Read()
	s.stat.statements.Add(1)
	if result.Err == nil {
		s.count(r, result.CommandTag.RowsAffected())
	}
	s.release(r)
	return result.Err
}
