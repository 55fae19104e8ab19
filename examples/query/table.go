package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// printTable prints the counts, the earliest minute first.
func printTable(out io.Writer, rows []row) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MINUTE\tEVENT\tCOUNT")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%d\n", r.minute.Format(time.DateOnly+" 15:04"), printable(r.event), r.count)
	}
	return table.Flush()
}

// printable quotes a name that is not plain text, since any client may have sent it, and
// truncates a long one.
func printable(name string) string {
	short := fmt.Sprintf("%.60s", name)
	if short != name {
		short += "…"
	}
	if quoted := strconv.Quote(short); quoted != `"`+short+`"` {
		return quoted
	}
	return short
}
