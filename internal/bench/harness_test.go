package bench

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A result is a row of the table that is printed at the end.
type result struct {
	number   string // of the goal; "" for a row that is only context
	what     string
	bound    float64
	atLeast  bool // bound is the least, not the most
	measured float64
	note     string
}

// place orders the goals by their numbers, and puts what is no goal behind them.
func (r result) place() int {
	n, err := strconv.Atoi(r.number)
	if err != nil {
		return math.MaxInt32
	}
	return n
}

// verdict says whether the goal is met.
func (r result) verdict() string {
	switch {
	case r.number == "":
		return "context"
	case r.atLeast && r.measured >= r.bound, !r.atLeast && r.measured <= r.bound:
		return "ok"
	}
	return "miss"
}

func (r result) String() string {
	bound := "–"
	if r.number != "" {
		bound = fmt.Sprintf("%.4g", r.bound)
		if r.atLeast {
			bound = "at least " + bound
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %.4g%s | %s |", r.number, r.what, bound, r.measured, r.note, r.verdict())
}

// A table gathers the results of all benchmarks of a run.
type table struct {
	mu   sync.Mutex
	rows []result
}

// results is filled by the benchmarks and printed by TestMain.
var results table

// add puts r into the table, in place of an earlier result of the same name:
// benchmarks are run more than once.
func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	same := func(old result) bool { return old.number == r.number && old.what == r.what }
	if i := slices.IndexFunc(t.rows, same); i >= 0 {
		t.rows[i] = r
		return
	}
	t.rows = append(t.rows, r)
}

// print writes the table in Markdown, and nothing if there is none.
func (t *table) print(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	rows := slices.SortedStableFunc(slices.Values(t.rows), func(a, b result) int { return a.place() - b.place() })
	lines := []string{"", "| # | goal | at most | measured | |", "|---|---|--:|--:|---|"}
	for _, r := range rows {
		lines = append(lines, r.String())
	}
	_, _ = fmt.Fprintln(w, strings.Join(lines, "\n"))
}

// TestMain prints the table after the benchmarks. In a process that a benchmark
// started to be a server, it serves instead.
func TestMain(m *testing.M) {
	if serveForBenchmark() {
		return
	}
	code := m.Run()
	results.print(os.Stdout)
	os.Exit(code)
}
