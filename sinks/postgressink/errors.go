package postgressink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/inlet-go/inlet"
)

// permanentCodes are the SQLSTATEs that the data of an event causes: the same event fails again
// however often it is written. Any other code is temporary.
var permanentCodes = map[string]bool{
	"22001":     true, // string_data_right_truncation
	"22003":     true, // numeric_value_out_of_range
	"22007":     true, // invalid_datetime_format
	"22008":     true, // datetime_field_overflow
	"22021":     true, // character_not_in_repertoire
	"22P02":     true, // invalid_text_representation
	"22P03":     true, // invalid_binary_representation
	"22P05":     true, // untranslatable_character
	notNullCode: true, // not_null_violation
	"23503":     true, // foreign_key_violation
	"23514":     true, // check_violation
	"54000":     true, // program_limit_exceeded: a key that is too long for its index
	"54001":     true, // statement_too_complex: a payload that is nested too deeply
}

const (
	notNullCode  = "23502"
	readOnlyCode = "25006"
)

// hints say what to do about codes that do not explain themselves.
var hints = map[string]string{
	"0A000":      "a cached plan no longer fits, or the server lacks a feature",
	notNullCode:  "somebody has added a column that must not be null",
	"23514":      "no partition for the month of an event",
	readOnlyCode: "the server is read-only, as after a failover",
	"26000":      "a pooler has mixed up connections",
	"28000":      "the user or its password may be wrong",
	"28P01":      "the user or its password may be wrong",
	"3D000":      "the database does not exist",
	"3F000":      "the schema does not exist",
	"42501":      "the user lacks a permission",
	"42703":      "somebody has removed or renamed a column",
	"42804":      "somebody has changed the type of a column",
	"42P01":      "somebody has dropped or renamed the table",
	"53100":      "the disk of the server is full",
	"53300":      "the server has too many connections",
	"55000":      "the database accepts no connections",
	"55P03":      "another session holds a lock",
	"57014":      "the statement was cancelled, as by statement_timeout",
	"57P03":      "the server is starting or stopping",
}

// waits are how long to wait after codes of a server that will soon accept connections.
var waits = map[string]time.Duration{"53300": time.Second, "57P03": time.Second}

// sqlState returns the SQLSTATE in an error, "" if the server did not send one.
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// isPermanent reports whether the data of an event causes an error. A missing partition has the
// code of a check, but no constraint.
func (s *server) isPermanent(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && permanentCodes[pg.Code] && !isMissingPartition(err) && !s.isForeignColumn(err)
}

// isForeignColumn reports whether a column must not be null that the sink does not write. Every
// event would be refused for that, whatever its data.
func (s *server) isForeignColumn(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == notNullCode && pg.ColumnName != "" && !s.writes(pg.TableName, pg.ColumnName)
}

func isMissingPartition(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23514" && pg.ConstraintName == ""
}

// lacksTable reports whether the table, a column or a partition is missing.
func lacksTable(err error) bool {
	code := sqlState(err)
	return code == "42P01" || code == "42703" || isMissingPartition(err)
}

// isConflict reports whether the server has ended a transaction because of another one, so that it
// can be repeated immediately.
func isConflict(err error) bool {
	code := sqlState(err)
	return code == "40001" || code == "40P01"
}

// endsConnection reports whether a connection must not be used again although it is open: that of
// a server which has become read-only would stay so.
func endsConnection(err error) bool { return sqlState(err) == readOnlyCode }

// classify returns the error of Write for an error of a statement or of a connection.
func (s *server) classify(ctx context.Context, what string, err error) error {
	if done := ctx.Err(); done != nil && sqlState(err) == "" {
		return fmt.Errorf("postgressink: %s: the outcome is unknown: %w", what, done)
	}
	permanent, code := s.isPermanent(err), sqlState(err)
	err = cut(s.secrets.HideError(err))
	if hint := hints[code]; hint != "" && !permanent {
		err = fmt.Errorf("%s: %w", hint, err)
	}
	err = fmt.Errorf("postgressink: %s: %w", what, err)
	if permanent {
		return inlet.Permanent(err)
	}
	if wait := waits[code]; wait > 0 {
		return inlet.RetryAfter(err, wait)
	}
	return err
}

// maxText is how long the text of an error may be in bytes: servers quote the data of an event.
const maxText = 1000

// A cutError has the beginning of the text of an error.
type cutError struct {
	text string
	err  error
}

func (e *cutError) Error() string { return e.text }

func (e *cutError) Unwrap() error { return e.err }

// cut returns err, or, if it is the server's and too long, an error with the beginning of its text
// and its SQLSTATE. Other errors have statements to run.
func cut(err error) error {
	text, code := err.Error(), sqlState(err)
	if code == "" || len(text) <= maxText {
		return err
	}
	return &cutError{fmt.Sprintf("%s… (SQLSTATE %s)", strings.ToValidUTF8(text[:maxText], ""), code), err}
}
