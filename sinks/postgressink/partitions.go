package postgressink

import (
	"context"
	"slices"
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
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	defer conn.Release()
	if err := s.createMonths(ctx, conn, missing); err != nil {
		return s.classify(ctx, "create partitions", err)
	}
	s.months.mu.Lock()
	defer s.months.mu.Unlock()
	for _, month := range missing {
		s.months.known[month] = true
	}
	return nil
}

// createMonths creates the partitions of months that do not exist.
func (s *Sink) createMonths(ctx context.Context, conn *pgxpool.Conn, months []time.Time) error {
	_, existing, err := s.readPartitions(ctx, conn)
	if err != nil {
		return err
	}
	var statements []string
	for _, month := range months {
		if !slices.ContainsFunc(existing, month.Equal) {
			statements = append(statements, s.createPartition(month))
		}
	}
	if statements == nil {
		return nil
	}
	return s.change(ctx, conn, s.table.name, given(statements))
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

// readPartitions returns the time of the server, which is zero if there is no partition, and the
// months that have one.
func (s *Sink) readPartitions(ctx context.Context, conn *pgxpool.Conn) (now time.Time, months []time.Time, err error) {
	params := [][]byte{[]byte(s.table.sql()), []byte(s.table.name)}
	result := conn.Conn().PgConn().ExecParams(ctx, partitionsStatement, params, nil, nil, nil).Read()
	if result.Err != nil {
		return now, nil, result.Err
	}
	for _, row := range result.Rows {
		if now, err = time.Parse(time.RFC3339, string(row[0])); err != nil {
			return now, nil, err
		}
		if month, err := time.Parse(partitionSuffix, string(row[1])); err == nil {
			months = append(months, month)
		}
	}
	return now, months, nil
}

// partitionSuffix is the end of a partition's name.
const partitionSuffix = "_2006_01"

// dropOld drops the partitions of months that are too old.
func (s *Sink) dropOld(ctx context.Context, conn *pgxpool.Conn) error {
	now, months, err := s.readPartitions(ctx, conn)
	if err != nil {
		return err
	}
	if here := time.Now(); here.Before(now) {
		now = here
	}
	for _, month := range months {
		if month.AddDate(0, 1, 0).After(now.Add(-s.opts.Retain)) {
			continue
		}
		drop := "DROP TABLE IF EXISTS " + s.table.with(month.Format(partitionSuffix))
		if err := s.change(ctx, conn, s.table.name, given([]string{drop})); err != nil {
			return err
		}
		s.forgetMonths()
	}
	return nil
}
