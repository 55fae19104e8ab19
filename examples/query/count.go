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

// countsSQL takes a list of files. Its columns are named, so that DuckDB does not
// guess them from what clients sent. A line that is only half written is a row of
// nothing but NULLs, and every event has a type.
//
//go:embed counts.sql
var countsSQL string

// A row counts the events of one name that arrived within a minute. Events that
// have no name, such as page views, count by their type.
type row struct {
	minute time.Time // its beginning, in UTC
	event  string
	count  int64
}

// openDuckDB returns a DuckDB that lives in memory and holds nothing.
func openDuckDB() (*sql.DB, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("%w; DuckDB needs cgo and a C++ compiler", err)
	}
	return db, nil
}

// count counts what the journal in dir holds, whether or not it is being written:
// every event that was acknowledged before the call, and perhaps some of those
// that came since.
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
		// One was sealed, which changes its name, before it could be opened.
	}
}

// query returns the three columns of what it asks for.
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

func gone(file string) bool {
	_, err := os.Lstat(file)
	return errors.Is(err, fs.ErrNotExist)
}
