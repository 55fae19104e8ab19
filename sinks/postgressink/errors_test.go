package postgressink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	s := &server{secrets: sinkkit.NewSecrets("[password]", "hunter2")}
	s.writes = func(table, column string) bool { return table == "events" && column == "user_id" }
	classify := func(err error) error { return s.classify(t.Context(), "insert", err) }

	t.Run("permanent", func(t *testing.T) {
		t.Parallel()
		for _, code := range []string{"22001", "22003", "22007", "22008", "22021", "22P02", "22P03", "22P05", "23502", "23503", "23514", "54000", "54001"} {
			err := classify(&pgconn.PgError{Code: code, ConstraintName: "c", Message: "m"})
			require.True(t, inlet.IsPermanent(err), code)
			require.ErrorContains(t, err, code)
		}
	})
	t.Run("temporary", func(t *testing.T) {
		t.Parallel()
		for _, code := range []string{
			"08000", "08003", "08006", "08P01", "57P01", "57P02", "57P03", "57014", "40001", "40P01", "53000", "53100", "53200",
			"53300", "53400", "55P03", "25006", "28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "42804", "42601",
			"0A000", "26000", "42P05", "58000", "58030", "XX000", "XX001", "23505", "25P02", "P0001", "99999", "",
		} {
			err := classify(&pgconn.PgError{Code: code, Message: "m"})
			require.False(t, inlet.IsPermanent(err), code)
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg, code)
		}
		for _, err := range []error{io.ErrUnexpectedEOF, errors.New("connection refused"), errWeak} {
			require.False(t, inlet.IsPermanent(classify(err)))
		}
	})
	t.Run("missing partition is not the event's fault", func(t *testing.T) {
		t.Parallel()
		err := classify(&pgconn.PgError{Code: "23514", Message: "no partition of relation found for row"})
		require.False(t, inlet.IsPermanent(err))
		require.ErrorContains(t, err, "no partition for the month")
	})
	t.Run("a column that the sink does not write is not the event's fault", func(t *testing.T) {
		t.Parallel()
		for column, permanent := range map[string]bool{"user_id": true, "extra": false, "": true} {
			err := classify(&pgconn.PgError{Code: "23502", TableName: "events", ColumnName: column})
			require.Equal(t, permanent, inlet.IsPermanent(err), column)
		}
	})
	t.Run("waits", func(t *testing.T) {
		t.Parallel()
		for _, code := range []string{"53300", "57P03"} {
			wait, ok := inlet.RetryDelay(classify(&pgconn.PgError{Code: code}))
			require.True(t, ok)
			require.Equal(t, time.Second, wait)
		}
	})
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		err := classify(fmt.Errorf("cannot use hunter2: %w", &pgconn.PgError{Code: "22P02"}))
		require.NotContains(t, err.Error(), "hunter2")
		require.True(t, inlet.IsPermanent(err), "the class is that of the error, whatever its text")
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := s.classify(ctx, "insert", errors.New("timeout: context already done"))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "unknown")
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		`Table is "a.b.c"`:                             {Table: "a.b.c"},
		`Table is "a."`:                                {Table: "a."},
		`Table is "a\x00b"`:                            {Table: "a\x00b"},
		"MaxBytes is -1, must be at least 1":           {MaxBytes: -1},
		"MaxConcurrent is -1, must be at least 1":      {MaxConcurrent: -1},
		"Retain is 1h0m0s, needs PartitionByMonth":     {Retain: time.Hour},
		"Retain is -1ns, must be at least 0":           {Retain: -1, PartitionByMonth: true},
		"MaxBytes is 536870913, must be at most 53687": {MaxBytes: 512<<20 + 1},
	} {
		_, err := New(t.Context(), "host=/nowhere", &o)
		require.ErrorContains(t, err, "postgressink: Options: ")
		require.ErrorContains(t, err, want)
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:hunter2@host:port/db", "postgres://u:hun:ter2@[host/db", "host=x password=hunter2 port=y",
		"host=x password='hunter2", "postgres://u:hunter2@host/db?sslmode=hunter2", "%hunter2",
	} {
		_, err := New(t.Context(), dsn, nil)
		require.ErrorContains(t, err, "not a valid connection string", dsn)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := New(t.Context(), "host=/nowhere user=u password=hunter2 dbname=d", nil)
	require.ErrorContains(t, err, "postgressink: connect: ")
	require.NotContains(t, err.Error(), "hunter2")
	require.False(t, inlet.IsPermanent(err))
}
