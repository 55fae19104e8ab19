package postgressink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/inlet-go/inlet"
)

// WriteTx stores events in a transaction of the caller's, so that they are committed together with
// the caller's own rows, or not at all. They are stored only once the caller has committed, as
// durably as that transaction commits. The events must have a Type, a MessageID, a ReceivedAt and
// a Source, as those that [inlet.Sink] gets; they are read until WriteTx returns.
//
// It runs behind a savepoint: if it fails, nothing of it is stored, the transaction remains
// usable, and the caller may commit without the events. The error is permanent if the data of an
// event is at fault, or tx is nil. The transaction must be one of the database that New was given,
// and must not be used concurrently. With Options.PartitionByMonth, a missing partition is created
// outside of the transaction, if Options.Migrate permits it and another connection of the pool
// becomes free within five seconds. It does not count for Options.MaxConcurrent, and Close does
// not wait for it. After Close it returns [inlet.ErrClosed].
func (s *Sink) WriteTx(ctx context.Context, tx pgx.Tx, events ...*inlet.Event) error {
	switch {
	case tx == nil:
		return inlet.Permanent(errors.New("postgressink: tx is nil"))
	case s.gate.IsClosed():
		return inlet.ErrClosed
	}
	for i, e := range events {
		if e == nil || e.MessageID == "" || e.Type == "" || e.Source == nil || e.ReceivedAt.IsZero() {
			return inlet.Permanent(fmt.Errorf("postgressink: event %d lacks a Type, MessageID, ReceivedAt or Source", i))
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := checkSize(events); err != nil {
		return err
	}
	err := s.insertInto(ctx, tx, events)
	if isMissingPartition(err) && s.opts.Migrate {
		if err := s.ensureMonthsBeside(ctx, events); err != nil {
			return err
		}
		err = s.insertInto(ctx, tx, events)
	}
	if err != nil {
		return s.classify(ctx, "insert in a transaction", err)
	}
	return nil
}

// besidePatience is how long a transaction of the caller's waits for another connection.
const besidePatience = 5 * time.Second

// ensureMonthsBeside creates partitions while the caller has a transaction. The callers may
// have all connections of the pool, and each wait for another one: so it gives up.
func (s *Sink) ensureMonthsBeside(ctx context.Context, events []*inlet.Event) error {
	beside, cancel := context.WithTimeout(ctx, besidePatience)
	defer cancel()
	s.forgetMonths()
	err := s.ensureMonths(beside, events)
	if err != nil && beside.Err() != nil && ctx.Err() == nil {
		return errors.New("postgressink: create partitions: no other connection of the pool became free")
	}
	return err
}

// insertInto inserts events behind a savepoint.
func (s *Sink) insertInto(ctx context.Context, tx pgx.Tx, events []*inlet.Event) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	var total counts
	for from := 0; from < len(events); {
		to := partEnd(events, from, s.opts.MaxBytes)
		if err := s.insertPartInto(ctx, savepoint, events[from:to], &total); err != nil {
			return errors.Join(err, savepoint.Rollback(ctx))
		}
		from = to
	}
	if err := savepoint.Commit(ctx); err != nil {
		return err
	}
	s.count(total)
	return nil
}

func (s *Sink) insertPartInto(ctx context.Context, tx pgx.Tx, events []*inlet.Event, total *counts) error {
	conn := tx.Conn().PgConn()
	if err := checkEncoding(conn); err != nil {
		return err
	}
	r := s.rows.Get().(*rows)
	r.fill(events, s.opts.JSONB)
	result := conn.ExecParams(ctx, s.insert, r.arrays(), arrayTypes, arrayFormats, nil).Read()
	s.stat.statements.Add(1)
	if result.Err == nil {
		total.add(r, result.CommandTag.RowsAffected())
	}
	s.release(r)
	return result.Err
}
