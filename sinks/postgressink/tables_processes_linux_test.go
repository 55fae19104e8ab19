package postgressink

import (
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// Changes of the tables by several processes at the same time.

const (
	envProcess   = "INLET_TABLES_PROCESS" // the number of a process, which makes it one
	envServer    = "INLET_TABLES_SERVER"
	processes    = 4
	changesEach  = 50
	changeSchema = "changed"
)

// changingEvents returns the events of a process. Each needs a column that it alone has, and one
// that all processes have, by their own type; each fifth needs a table.
func changingEvents(process int) (list []*inlet.Event) {
	shared := []string{`1`, `"text"`, `true`, `1.5`}[process]
	for i := range changesEach {
		id := fmt.Sprintf("%d-%d", process, i)
		e := event(id)
		e.Name = fmt.Sprint("Event ", i/10*(1+i%2))
		e.Properties = json.RawMessage(fmt.Sprintf(`{"own %d %d":%d,"shared %d":%s,"Shared%d":%s}`, process, i, i, i, shared, i, shared))
		e.Context = json.RawMessage(fmt.Sprintf(`{"c%d":%s}`, i/2, shared))
		list = append(list, e)
		switch i % 10 {
		case 4:
			list = append(list, call(inlet.TypeIdentify, "i"+id, fmt.Sprint("u", i%3), 0, fmt.Sprintf(`{"t%d":%s,"plan":"p"}`, i, shared)))
		case 9:
			list = append(list, call(inlet.TypeGroup, "g"+id, "u1", 0, fmt.Sprintf(`{"t%d":%s}`, i, shared)))
		}
	}
	return list
}

// TestTablesProcess is one of the processes of TestTablesProcesses.
func TestTablesProcess(t *testing.T) {
	number, err := strconv.Atoi(os.Getenv(envProcess))
	if err != nil {
		t.Skip("TestTablesProcesses runs it")
	}
	sink, err := NewTables(t.Context(), os.Getenv(envServer), &TablesOptions{Schema: changeSchema, Migrate: true, Logger: quiet})
	require.NoError(t, err)
	for _, e := range changingEvents(number) {
		require.NoError(t, sink.writePatiently(t.Context(), e))
	}
	require.NoError(t, sink.Close(t.Context()))
}

// TestTablesProcesses requires that processes which change the tables at the same time get no
// error, and lose no value.
func TestTablesProcesses(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	var wg sync.WaitGroup
	errs, outputs := make([]error, processes), make([][]byte, processes)
	for i := range processes {
		c := osexec.Command(os.Args[0], "-test.run=^TestTablesProcess$", "-test.count=1")
		c.Env = append(os.Environ(), envProcess+"="+strconv.Itoa(i), envServer+"="+s.DSN())
		wg.Go(func() { outputs[i], errs[i] = c.CombinedOutput() })
	}
	wg.Wait()
	for i, err := range errs {
		require.NoError(t, err, "%s", outputs[i])
	}
	conn := s.Connect(t)
	all := &Tables{opts: TablesOptions{Schema: changeSchema}}
	changes := one[int](t, conn, "SELECT count(*)::int FROM changed._inlet_columns")
	require.Greater(t, changes, 200)
	total := 0
	for i := range processes {
		list := changingEvents(i)
		total += len(list)
		all.mustHave(t, conn, list...)
	}
	t.Logf("%d tables and columns made by %d processes, %d events", changes, processes, total)
	require.Equal(t, total, one[int](t, conn, `SELECT (SELECT count(*) FROM changed.tracks) + (SELECT count(*) FROM changed.identifies) + (SELECT count(*) FROM changed.groups)`))
	require.Equal(t, 3, one[int](t, conn, "SELECT count(*)::int FROM changed.users"))
	missing := one[int](t, conn, `SELECT count(*)::int FROM changed._inlet_columns i WHERE table_name = 'identifies' AND NOT EXISTS (
		SELECT FROM changed._inlet_columns u WHERE u.table_name = 'users' AND (u.path, u.column_name, u.type) = (i.path, i.column_name, i.type))`)
	require.Zero(t, missing, "users has the columns of identifies")
}
