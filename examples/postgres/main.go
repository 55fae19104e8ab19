// Postgres shows the whole way of events, from an SDK into PostgreSQL: the SDK sends the visits of
// a shop, a 200 means that they are in the journal, and two deliveries store them, as rows of one
// table and in typed tables. Then it asks both how many visitors have bought something:
//
//	go run ./examples/postgres
//
// It starts a PostgreSQL of its own in a temporary directory, if one is installed, and removes it
// at the end. With -dsn it uses an existing database, where the table inlet_example_events and the
// schema inlet_example remain.
//
// The SQL is in events.sql and tables.sql.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// config is the values of the flags.
type config struct {
	dsn    string // "": a server of its own
	people int
	wait   bool
}

func main() {
	c := parseFlags()
	slog.SetLogLoggerLevel(slog.LevelWarn) // so that only the answers are on the screen
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		os.Exit(1)
	}
}

func parseFlags() (c config) {
	flag.StringVar(&c.dsn, "dsn", "", "connection `string` of an existing database (default: a server of its own)")
	flag.IntVar(&c.people, "people", 1000, "`number` of visitors")
	flag.BoolVar(&c.wait, "wait", false, "wait for Ctrl-C at the end, so that you can ask more")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	return c
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "inlet-postgres-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	psql := "psql, with your -dsn"
	if c.dsn == "" {
		s, err := startServer(dir)
		if err != nil {
			return err
		}
		defer s.stop()
		c.dsn, psql = s.dsn, fmt.Sprintf("psql '%s'", s.dsn)
		fmt.Fprintf(out, "A PostgreSQL of its own is running in %s.\n", dir)
	}
	if err := demonstrate(ctx, c, filepath.Join(dir, "journal"), out); err != nil {
		return err
	}
	if c.wait {
		fmt.Fprintf(out, "\nCtrl-C ends this program. Until then, ask more:\n\n  %s\n", psql)
		<-ctx.Done()
	}
	return nil
}

// demonstrate sends events, and prints what the database then has.
func demonstrate(ctx context.Context, c config, dir string, out io.Writer) error {
	p, err := openPipeline(ctx, c.dsn, dir)
	if err != nil {
		return err
	}
	sent, err := visit(p.url, c.people)
	if err == nil {
		fmt.Fprintf(out, "The SDK has sent %d calls, all of which are in the journal.\n", sent)
		err = p.store.Drain(ctx)
	}
	if err := errors.Join(err, p.close()); err != nil {
		return err
	}
	events, typed := p.events.Stats(), p.typed.Stats()
	fmt.Fprintf(out, "The table has %d new events, and %d that came twice were not stored again.\n", events.Stored, events.Duplicates)
	fmt.Fprintf(out, "The typed tables have %d, in %d columns, which were made on the way.\n", typed.Stored, typed.Columns)
	return funnels(ctx, c.dsn, out)
}
