// Query counts events by name and minute with SQL over the files of a journal,
// while the journal is written to: nothing is exported first, and the server that
// writes need not know. By itself it makes a journal that lasts as long as the
// program, sends events to a handler, and counts while they come:
//
//	cd examples/query
//	go run .
//
// With -dir it counts what a journal holds, such as that of examples/standalone,
// which may be running:
//
//	go run . -dir ../../inlet-data
//
// The SQL is in counts.sql. It is a module of its own, since DuckDB, which runs
// the SQL, is 30 MB to download, and needs cgo and a C++ compiler.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// config is what the flags say.
type config struct {
	dir        string // "": a journal of the program's own
	temporary  string // the directory for that, "": the system's
	events     int
	writeAhead bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parseFlags(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "query:", err)
		os.Exit(1)
	}
}

func parseFlags() (c config) {
	flag.StringVar(&c.dir, "dir", "", "`directory` of a journal to count, in place of one that is made, filled and\nremoved")
	flag.IntVar(&c.events, "events", 3000, "`number` of events to send to the journal that is made")
	flag.BoolVar(&c.writeAhead, "write-ahead", false, "let that journal write its files ahead")
	flag.Parse()
	return c
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	db, err := openDuckDB()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if c.dir == "" {
		return demonstrate(ctx, db, c, out)
	}
	return show(ctx, db, c.dir, out)
}

// show counts once and prints the counts.
func show(ctx context.Context, db *sql.DB, dir string, out io.Writer) error {
	rows, err := count(ctx, db, dir)
	if err != nil {
		return err
	}
	return printTable(out, rows)
}
