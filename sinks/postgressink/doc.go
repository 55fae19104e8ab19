// Package postgressink stores events in a table of PostgreSQL 12 or later, or in typed tables, each
// one exactly once however often it is written.
//
//	sink, err := postgressink.New(ctx, "postgres://inlet@db.example/events",
//		&postgressink.Options{Migrate: true})
//
// Put the journal before it, so that a 200 does not depend on the database, and nothing is lost
// while that is down:
//
//	delivery, err := journal.Deliver("postgres", sink, &journal.DeliverOptions{
//		MinEvents: 500, MaxDelay: 200 * time.Millisecond,
//	})
//
// # The table
//
// A row has the event's key (source_id, message_id), received_at, timestamp, type, name, user_id,
// anonymous_id and group_id in columns of their own, and the whole event in its canonical form in
// payload, as json. The column seq grows with each row of a Write, and so in the order of the
// journal for the rows of a delivery; the sink does not need it. Options.Migrate lets [New] create
// the table; without it, New fails with the statements in its text.
//
// Texts of PostgreSQL cannot hold U+0000. In columns it becomes U+FFFD; a key in which that happens
// ends in a hash of the original, so that two events never share one. The payload keeps it.
//
// Times are cut to microseconds.
//
// # Typed tables
//
// [NewTables] stores events in typed tables instead, with the names that Segment gives those of a
// warehouse: tracks, identifies, pages, screens, groups, aliases, users and accounts, one for each
// name of an event, and a column for each value. Values that fit no column are in the column
// _extra, under their path. The types of columns never change, and no column is ever dropped. The
// documents describe the rules.
//
// # Once
//
// A Write is one statement, INSERT … ON CONFLICT DO NOTHING, which is one transaction. An event
// that is stored already, by its key, is acknowledged and counted in Stats.Duplicates. So whatever
// is repeated, by a client, a delivery or after a crash, is stored once. The statement names no
// index: unique indexes of your own count, too.
//
// # Failures
//
// Errors have the server's [*pgconn.PgError] in their chain. Only what is wrong with the data is
// permanent, and only for the event whose data it is: the batch is written in ever smaller parts
// to find it. Everything else is temporary: a full disk, too many connections, a read-only server
// after a failover, missing permissions, a table that somebody changed or dropped.
// docs/POSTGRES.md lists the codes. The text of a server is cut after 1,000 bytes; one that has the
// password loses it, and its chain.
//
// # Durability
//
// The sink reads fsync and synchronous_standby_names, and sets synchronous_commit in each of its
// transactions. It declares [inlet.DurabilityReplicated] if standbys must confirm,
// [inlet.DurabilityFsync] otherwise, [inlet.DurabilityOSBuffer] with fsync off and
// [inlet.DurabilityMemory] for an unlogged table, which the server empties after a crash. Each
// Write reads the settings again: if they promise less than was declared, it fails, temporarily. A
// Write that finds all of its events stored waits until these are that durable, too.
//
// While a required standby is away, commits wait, and so do Writes, until their context is done. If
// an operator ends the wait with pg_cancel_backend, PostgreSQL commits with a warning, and the
// Write fails, temporarily. On a pool of the caller's the sink cannot see the warning.
//
// The database must have the encoding UTF8.
//
// # Connection poolers
//
// It works behind pgbouncer in transaction mode: it has no prepared statements, no session
// settings, and no locks outside of a transaction.
package postgressink
