// Query shows how to count events with SQL over the files of a journal, by name and minute, while
// a server writes to it: nothing is exported, and the server need not know. By default it makes a
// journal that lasts as long as the program, sends events to a handler, and counts while they
// arrive:
//
//	go run ./examples/query
//
// With -dir it counts the events of an existing journal, such as that of examples/standalone,
// which may be running: -dir inlet-data.
//
// The SQL is in counts.sql. It is a module of its own because DuckDB, which runs the SQL, is a
// download of 30 MB, and needs cgo and a C++ compiler.
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

// config is the values of the flags.
type config struct {
	dir        string // "": a temporary journal
	temporary  string // the directory for that; "": that of the system
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
	flag.StringVar(&c.dir, "dir", "", "`directory` of a journal to count (default: a temporary one, filled with events)")
	flag.IntVar(&c.events, "events", 3000, "`number` of events to send to the temporary journal")
	flag.BoolVar(&c.writeAhead, "write-ahead", false, "let the temporary journal write its files ahead")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
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

// show counts and prints the counts.
func show(ctx context.Context, db *sql.DB, dir string, out io.Writer) error {
	rows, err := count(ctx, db, dir)
	if err != nil {
		return err
	}
	return printTable(out, rows)
}
