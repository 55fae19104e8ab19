package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// countsSQL has a list of files as its parameter. Its columns are named, so that DuckDB does not
// guess them from what clients sent. An incomplete line is a row of NULLs, and every event has a
// type.
//
//go:embed counts.sql
var countsSQL string

// A row is the number of events of one name that arrived within a minute. Events without a name,
// such as page views, are counted by their type.
type row struct {
	minute time.Time // its start, in UTC
	event  string
	count  int64
}

// openDuckDB returns an empty DuckDB in memory.
func openDuckDB() (*sql.DB, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("%w; DuckDB needs cgo and a C++ compiler", err)
	}
	return db, nil
}

// count counts the events of the journal in dir, whether or not it is being written to: every
// event that was acknowledged before the call, and possibly some that were acknowledged since.
func count(ctx context.Context, db *sql.DB, dir string) ([]row, error) {
	for {
		files, err := segments(dir)
		if err != nil || len(files) == 0 {
			return nil, err
		}
		rows, err := query(ctx, db, countsSQL, literal(files))
		if err == nil || !slices.ContainsFunc(files, gone) {
			return rows, err
		}
		// One was sealed, and thereby renamed, before it could be opened.
	}
}

// query returns the three columns of the result.
func query(ctx context.Context, db *sql.DB, sql string, args ...any) (counted []row, err error) {
	rows, err := db.QueryContext(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.minute, &r.event, &r.count); err != nil {
			return nil, err
		}
		counted = append(counted, r)
	}
	return counted, rows.Err()
}

// gone reports whether a file does not exist.
func gone(file string) bool {
	_, err := os.Lstat(file)
	return errors.Is(err, fs.ErrNotExist)
}
