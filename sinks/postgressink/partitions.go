package postgressink

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
)

// Partitions: one a month, created before the first event of the month, dropped when they are old.

// partitionsAhead returns the statements for the partitions of this month and the next.
func (s *Sink) partitionsAhead() []string {
	month := monthOf(time.Now())
	return []string{s.createPartition(month), s.createPartition(month.AddDate(0, 1, 0))}
}

// ensureMonths creates the partitions of the events' months that are not known to exist.
func (s *Sink) ensureMonths(ctx context.Context, events []*inlet.Event) error {
	if !s.opts.PartitionByMonth || !s.opts.Migrate {
		return nil
	}
	missing := s.unknownMonths(events)
	if len(missing) == 0 {
		return nil
	}
	statements := make([]string, len(missing))
	for i, month := range missing {
		statements[i] = s.createPartition(month)
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	defer conn.Release()
	if err := s.change(ctx, conn, statements); err != nil {
		return s.classify(ctx, "create partitions", err)
	}
	s.months.mu.Lock()
	defer s.months.mu.Unlock()
	for _, month := range missing {
		s.months.known[month] = true
	}
	return nil
}

// unknownMonths returns the months whose partitions are not known to exist: those of the events,
// and this month and the next.
func (s *Sink) unknownMonths(events []*inlet.Event) (missing []time.Time) {
	s.months.mu.Lock()
	defer s.months.mu.Unlock()
	if s.months.known == nil {
		s.months.known = map[time.Time]bool{}
	}
	wanted := map[time.Time]bool{}
	add := func(month time.Time) {
		if !s.months.known[month] && !wanted[month] {
			wanted[month] = true
			missing = append(missing, month)
		}
	}
	for _, e := range events {
		add(monthOf(e.ReceivedAt))
	}
	this := monthOf(time.Now())
	add(this)
	add(this.AddDate(0, 1, 0))
	return missing
}

// forgetMonths makes the next Write look for partitions again.
func (s *Sink) forgetMonths() {
	s.months.mu.Lock()
	defer s.months.mu.Unlock()
	s.months.known = nil
}

// retainInterval is how often old partitions are looked for.
const retainInterval = time.Hour

// retain drops partitions that are too old, if there may be some. Its failures are logged.
func (s *Sink) retain(ctx context.Context) {
	if s.opts.Retain == 0 || !s.retainDue() {
		return
	}
	conn, err := s.pool.Acquire(ctx)
	if err == nil {
		defer conn.Release()
		err = s.dropOld(ctx, conn)
	}
	if err != nil {
		s.log.Error("postgressink: old partitions not dropped; retrying in an hour", "error", s.classify(ctx, "drop partitions", err))
	}
}

func (s *Sink) retainDue() bool {
	s.months.mu.Lock()
	defer s.months.mu.Unlock()
	if !s.months.looked.IsZero() && time.Since(s.months.looked) < retainInterval {
		return false
	}
	s.months.looked = time.Now()
	return true
}

// partitionsStatement returns the time of the server, and the partitions of the table whose names
// are those of months.
const partitionsStatement = `SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), right(c.relname, 8)
FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
WHERE h.inhparent = to_regclass($1) AND c.relname = $2 || right(c.relname, 8)`

func (s *Sink) dropOld(ctx context.Context, conn *pgxpool.Conn) error {
	params := [][]byte{[]byte(s.table.sql()), []byte(s.table.name)}
	result := conn.Conn().PgConn().ExecParams(ctx, partitionsStatement, params, nil, nil, nil).Read()
	if result.Err != nil {
		return result.Err
	}
	for _, row := range result.Rows {
		server, err := time.Parse(time.RFC3339, string(row[0]))
		if err != nil {
			return err
		}
		now := time.Now()
		if server.Before(now) {
			now = server
		}
		month, err := time.Parse("_2006_01", string(row[1]))
		if err != nil || month.AddDate(0, 1, 0).After(now.Add(-s.opts.Retain)) {
			continue // another partition, or one that is kept
		}
		if err := s.change(ctx, conn, []string{fmt.Sprintf("DROP TABLE IF EXISTS %s", s.table.with(string(row[1])))}); err != nil {
			return err
		}
		s.forgetMonths()
	}
	return nil
}
