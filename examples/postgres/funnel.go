package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
)

//go:embed events.sql
var eventsSQL string

//go:embed tables.sql
var tablesSQL string

// funnels prints the answers of both forms.
func funnels(ctx context.Context, dsn string, out io.Writer) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, form := range []struct{ name, sql string }{
		{"the table of events (events.sql)", eventsSQL},
		{"typed tables (tables.sql)", tablesSQL},
	} {
		steps, err := ask(ctx, conn, form.sql)
		if err != nil {
			return fmt.Errorf("%s: %w", form.name, err)
		}
		fmt.Fprintf(out, "\nFrom %s:\n\n", form.name)
		if err := printFunnel(out, steps); err != nil {
			return err
		}
	}
	return nil
}

// A step is a row of the answer.
type step struct {
	Number  int
	Step    string
	People  int64
	Revenue string // "" before the last step
}

func ask(ctx context.Context, conn *pgx.Conn, sql string) ([]step, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[step])
}

func printFunnel(out io.Writer, steps []step) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STEP\tPEOPLE\tSHARE\tREVENUE")
	for _, s := range steps {
		share := 100 * float64(s.People) / float64(max(steps[0].People, 1))
		fmt.Fprintf(table, "%s\t%d\t%.1f%%\t%s\n", s.Step, s.People, share, s.Revenue)
	}
	return table.Flush()
}
