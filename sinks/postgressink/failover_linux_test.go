package postgressink

import (
	"context"
	"errors"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// TestFailover has a primary and a synchronous standby, which goes, comes back, and becomes the
// primary when that is killed.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := pgserver.Start(t)
	standby := primary.Standby(t, "one")
	conn := primary.Connect(t)
	// requireStandby makes the server wait for standbys, and waits for that.
	requireStandby := func(t *testing.T, s *pgserver.Server, names string) {
		c := s.Connect(t)
		exec(t, c, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'")
		require.True(t, one[bool](t, c, "SELECT pg_reload_conf()"))
		require.Eventually(t, func() bool {
			return one[bool](t, c, "SELECT current_setting('synchronous_standby_names') = $1 AND EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')", names)
		}, waitLong, tick)
	}
	requireStandby(t, primary, "one")
	sink := open(t, primary, Options{})
	require.Equal(t, inlet.DurabilityReplicated, sink.Durability())
	both, err := New(t.Context(), primary.DSN("host="+primary.Dir+","+standby.Dir), &Options{Table: sink.opts.Table})
	require.NoError(t, err)
	defer both.Close(context.Background())
	// rows returns how many rows a server has.
	rows := func(s *pgserver.Server) int {
		c, err := pgx.Connect(context.Background(), s.DSN())
		require.NoError(t, err)
		defer c.Close(context.Background())
		return one[int](t, c, "SELECT count(*)::int FROM "+sink.table.sql())
	}
	require.NoError(t, sink.Write(t.Context(), events("m", 2)))
	require.Eventually(t, func() bool { return rows(standby) == 2 }, waitLong, tick)

	t.Run("25006: a standby", func(t *testing.T) {
		reads, err := New(t.Context(), standby.DSN(), &Options{Table: sink.opts.Table})
		require.NoError(t, err)
		defer reads.Close(context.Background())
		err = reads.Write(t.Context(), events("m", 2))
		require.Equal(t, "25006", sqlState(err), err)
		require.False(t, inlet.IsPermanent(err))
		require.ErrorContains(t, reads.Check(t.Context()), "the server is read-only")
		_, err = New(t.Context(), standby.DSN(), &Options{Table: table(t), Migrate: true})
		require.Equal(t, "25006", sqlState(err), err)
	})

	// waits reports whether a commit waits for a standby.
	waits := func() bool {
		return one[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')")
	}
	// awaitStandby waits until a Write does, which must not end before.
	awaitStandby := func(done <-chan error) {
		for !waits() {
			select {
			case err := <-done:
				require.FailNow(t, "the Write did not wait for a standby", "%v", err)
			case <-time.After(tick):
			}
		}
	}
	// end ends each wait of a Write for a standby with a function of the server, until it returns.
	end := func(t *testing.T, sink inlet.Sink, list []*inlet.Event, how string) error {
		ctx, cancel := context.WithTimeout(t.Context(), waitLong)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- sink.Write(ctx, list) }()
		ended := map[string]bool{}
		for {
			select {
			case err := <-done:
				return err
			case <-time.After(tick):
			}
			var pid int32
			var since string
			err := conn.QueryRow(t.Context(), "SELECT pid, pid || ' ' || query_start FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&pid, &since)
			if err == nil && !ended[since] { // once, so that what follows on the connection is not ended
				ended[since] = true
				exec(t, conn, "SELECT "+how+"($1)", pid)
			}
		}
	}
	quiet := "options='-c client_min_messages=error'"
	tables, err := NewTables(t.Context(), primary.DSN(quiet), &TablesOptions{Migrate: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer tables.Close(context.Background())
	require.NoError(t, tables.Write(t.Context(), events("m", 2)))
	standbyIsGone := func(t *testing.T, sink inlet.Sink) {
		standby.Stop()
		list := events("n", 2)
		requireTold := func(err error) {
			require.ErrorIs(t, err, errNotReplicated)
			require.False(t, inlet.IsPermanent(err))
		}
		requireTold(end(t, sink, list, "pg_cancel_backend"))
		for range 5 { // the row is there from the first time on, and the standby has none
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- sink.Write(ctx, list) }()
			awaitStandby(done)
			cancel()
			err := <-done
			require.ErrorContains(t, err, "the outcome is unknown")
			require.False(t, inlet.IsPermanent(err))
			require.Eventually(t, func() bool { return !waits() }, waitLong, tick)
		}
		requireTold(end(t, sink, list, "pg_cancel_backend"))
		err := end(t, sink, list, "pg_terminate_backend")
		require.Error(t, err)
		require.False(t, inlet.IsPermanent(err))
		done := make(chan error, 1)
		go func() { done <- sink.Write(t.Context(), list) }()
		awaitStandby(done)
		standby.Run(t)
		require.NoError(t, <-done, "it waited for the standby")
	}
	t.Run("the standby is gone", func(t *testing.T) {
		standbyIsGone(t, sink)
		require.Eventually(t, func() bool { return rows(standby) == 4 }, waitLong, tick)
		require.EqualValues(t, 2, sink.Stats().Duplicates)
	})
	t.Run("the standby is gone, typed tables", func(t *testing.T) {
		standbyIsGone(t, tables)
		require.EqualValues(t, 2, tables.Stats().Duplicates)
	})

	if t.Failed() { // the standby may be gone, for which Writes would wait
		return
	}
	t.Run("the primary is killed", func(t *testing.T) {
		require.NoError(t, both.Write(t.Context(), events("o", 50)))
		primary.Kill()
		err := both.Write(t.Context(), events("p", 2))
		require.Error(t, err, "there is only a standby")
		require.False(t, inlet.IsPermanent(err))
		promoted := standby.Connect(t)
		require.True(t, one[bool](t, promoted, "SELECT pg_promote()"))
		require.Eventually(t, func() bool {
			err := both.Write(t.Context(), events("p", 2))
			return errors.Is(err, errWeak)
		}, waitLong, tick, "it finds the new one, which has no standby")
		third := standby.Standby(t, "two")
		requireStandby(t, standby, "two")
		require.NoError(t, both.Write(t.Context(), events("p", 2)))
		require.Equal(t, 56, rows(standby), "nothing that was acknowledged is lost")
		require.Eventually(t, func() bool { return rows(third) == 56 }, waitLong, tick)
	})
}

// A delivery is one, and its journal.
type delivery struct {
	*journal.Delivery
	journal *journal.Journal
}

// deliver returns a journal of its own that delivers to a sink.
func deliver(t testing.TB, sink inlet.Sink) delivery {
	j, err := journal.Open(t.TempDir(), &journal.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close(context.Background())) })
	d, err := j.Deliver("postgres", sink, &journal.DeliverOptions{MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	require.NoError(t, err)
	return delivery{d, j}
}

// tmpfs mounts one of that size, until the test ends.
func tmpfs(t *testing.T, size string) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a full disk needs root, for mounting")
	}
	dir, err := os.MkdirTemp("", "inlet-disk")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(dir) })
	if out, err := osexec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "inlet", dir).CombinedOutput(); err != nil {
		t.Skipf("a full disk needs to be mounted: %v %s", err, out)
	}
	t.Cleanup(func() {
		if err := osexec.Command("umount", dir).Run(); err != nil { // a server that is being killed uses it
			_ = osexec.Command("umount", "-l", dir).Run()
		}
	})
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, pgserver.Own(dir))
	return dir
}

// fill fills a disk.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(f.Name())) }
}

// TestDiskFull fills the disk of the table, and that of the write-ahead log, while a journal
// delivers.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("53100: that of the table", func(t *testing.T) {
		t.Parallel()
		dir := tmpfs(t, "64m")
		s := pgserver.Start(t)
		conn := s.Connect(t)
		sink := open(t, s, Options{})
		exec(t, conn, "CREATE TABLESPACE small LOCATION '"+dir+"'")
		exec(t, conn, "ALTER TABLE "+sink.opts.Table+" SET TABLESPACE small")
		d := deliver(t, sink)
		require.NoError(t, d.journal.Write(t.Context(), events("m", 1000)))
		require.NoError(t, d.Drain(t.Context()))
		free := fill(t, dir)
		require.NoError(t, d.journal.Write(t.Context(), events("n", 5000)))
		require.Eventually(t, func() bool { return d.Stats().Failures > 2 }, waitLong, tick)
		require.Equal(t, "53100", sqlState(sink.Write(t.Context(), events("o", 5000))))
		free()
		require.NoError(t, d.Drain(t.Context()))
		require.Equal(t, 6000, one[int](t, conn, "SELECT count(*)::int FROM "+sink.opts.Table+" WHERE message_id NOT LIKE 'o-%'"))
		require.Zero(t, d.Stats().Refused)
	})
	t.Run("that of the write-ahead log, which ends the server", func(t *testing.T) {
		t.Parallel()
		dir := tmpfs(t, "96m")
		s := pgserver.Start(t, "max_wal_size=32MB", "min_wal_size=32MB")
		sink := open(t, s, Options{})
		s.Stop()
		wal := filepath.Join(s.Data(), "pg_wal")
		out, err := osexec.Command("cp", "-a", wal+"/.", dir).CombinedOutput()
		require.NoError(t, err, string(out))
		require.NoError(t, os.RemoveAll(wal))
		require.NoError(t, os.Symlink(dir, wal))
		s.Run(t)
		d := deliver(t, sink)
		require.NoError(t, d.journal.Write(t.Context(), events("m", 1000)))
		require.NoError(t, d.Drain(t.Context()))
		free := fill(t, dir)
		large := events("n", 6000) // several segments of 16 MiB
		for _, e := range large {
			e.Properties = []byte(`{"text":"` + incompressible + `"}`)
		}
		for len(large) > 0 {
			require.NoError(t, d.journal.Write(t.Context(), large[:500]))
			large = large[500:]
		}
		require.Eventually(t, func() bool { // it recovers, and ends again, or gives up
			return s.Ended() || d.Stats().Failures > 20
		}, waitLong, tick)
		free()
		s.Kill()
		s.Run(t)
		require.NoError(t, d.Drain(t.Context()))
		require.Equal(t, 7000, one[int](t, s.Connect(t), "SELECT count(*)::int FROM "+sink.opts.Table))
		require.Zero(t, d.Stats().Refused)
	})
}
