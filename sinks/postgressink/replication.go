package postgressink

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// A commit whose wait for the standbys was cancelled, as by pg_cancel_backend: it succeeds, with a
// warning.

var errNotReplicated = errors.New("postgressink: the server was told not to wait for its standbys")

// replicationKey is where a connection notes that a commit did not wait for the standbys.
const replicationKey = "inlet: not replicated"

// noteNotReplicated notes that warning. Its text depends on the language of the server.
func noteNotReplicated(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[replicationKey] = true
	}
}

// notReplicated reports whether a commit on a connection did not wait for the standbys since it was
// last called.
func notReplicated(conn *pgconn.PgConn) bool {
	_, noted := conn.CustomData()[replicationKey]
	delete(conn.CustomData(), replicationKey)
	return noted
}

// isWeak reports whether an error is about a commit that is less durable than it must be.
func isWeak(err error) bool { return errors.Is(err, errWeak) || errors.Is(err, errNotReplicated) }
