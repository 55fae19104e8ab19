//go:build torture

package postgressink

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
	"github.com/inlet-go/inlet/sinktest/torture"
)

// envDSN tells the child where the server is.
const envDSN = "INLET_TORTURE_DSN"

func TestMain(m *testing.M) {
	torture.Main(m, torture.Child{
		Sink: func(ctx context.Context) (inlet.Sink, error) {
			return New(ctx, os.Getenv(envDSN), &Options{Migrate: true, MaxBytes: 30_000, Logger: slog.New(slog.DiscardHandler)})
		},
		Poison: func(e *inlet.Event) { e.GroupID = "refused" },
	})
}

// TestTorture kills a child and the server. A constraint of the host's own refuses some events.
func TestTorture(t *testing.T) {
	s := pgserver.Start(t)
	sink, err := New(t.Context(), s.DSN(), &Options{Migrate: true})
	require.NoError(t, err)
	exec(t, s.Connect(t), "ALTER TABLE inlet_events ADD CHECK (group_id <> 'refused')")
	require.NoError(t, sink.Close(t.Context()))
	o := torture.Options{
		Env: []string{envDSN + "=" + s.DSN()},
		Server: func() (start func()) {
			s.Kill()
			return func() { s.Run(t) }
		},
		Stored: func() ([]*inlet.Event, error) { return read(t, s.Connect(t), "inlet_events"), nil },
	}
	if testing.Short() {
		o.Kills, o.ServerKills = 8, 3
	}
	torture.Run(t, o)
}
