package postgressink

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// TestOutages has a server of its own, which it breaks and repairs.
func TestOutages(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	exec(t, conn, "CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain")
	plain := func(t *testing.T) *Sink {
		sink, err := New(t.Context(), s.DSN("user=plain"), &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
		return sink
	}

	t.Run("read-only", func(t *testing.T) {
		sink := plain(t)
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "ALTER ROLE plain SET default_transaction_read_only = on")
		sink.pool.Reset()
		for range 3 {
			err := sink.Write(t.Context(), events("n", 2))
			require.Equal(t, "25006", sqlState(err), err)
			require.False(t, inlet.IsPermanent(err))
			require.ErrorContains(t, err, "the server is read-only")
			require.ErrorContains(t, sink.Check(t.Context()), "the server is read-only")
		}
		exec(t, conn, "ALTER ROLE plain RESET default_transaction_read_only")
		require.NoError(t, sink.Write(t.Context(), events("n", 2)), "on a new connection")
	})

	t.Run("too many connections", func(t *testing.T) {
		sink := plain(t)
		exec(t, conn, "ALTER ROLE plain CONNECTION LIMIT 0")
		sink.pool.Reset()
		err := sink.Write(t.Context(), events("m", 2))
		require.Equal(t, "53300", sqlState(err), err)
		wait, ok := inlet.RetryDelay(err)
		require.True(t, ok)
		require.Equal(t, time.Second, wait)
		exec(t, conn, "ALTER ROLE plain CONNECTION LIMIT -1")
		require.NoError(t, sink.Write(t.Context(), events("m", 2)))
	})

	t.Run("terminated connections", func(t *testing.T) {
		sink := plain(t)
		for range 5 {
			require.NoError(t, sink.Write(t.Context(), events("m", 2)))
			exec(t, conn, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'plain'")
			require.NoError(t, sink.Write(t.Context(), events("n", 2)), "tried once more on another connection")
		}
	})

	t.Run("a server that is gone", func(t *testing.T) {
		sink := plain(t)
		require.NoError(t, sink.Write(t.Context(), events("m", 2)))
		s.Stop()
		err := sink.Write(t.Context(), events("n", 2))
		require.Error(t, err)
		require.False(t, inlet.IsPermanent(err))
		require.Error(t, sink.Check(t.Context()))
		s.Run(t)
		require.NoError(t, sink.Write(t.Context(), events("n", 2)))
		require.NoError(t, sink.Check(t.Context()))
	})
}
