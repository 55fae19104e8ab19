//go:build torture

package postgressink

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
	"github.com/inlet-go/inlet/sinktest/torture"
)

// envDSN tells the child where the server is, envMutant what is wrong with its sink, and envTables
// that the tables are typed.
const (
	envDSN    = "INLET_TORTURE_DSN"
	envMutant = "INLET_TORTURE_MUTANT"
	envTables = "INLET_TORTURE_TABLES"
)

func TestMain(m *testing.M) {
	torture.Main(m, torture.Child{
		Sink: func(ctx context.Context) (inlet.Sink, error) {
			if os.Getenv(envTables) != "" {
				return NewTables(ctx, os.Getenv(envDSN), &TablesOptions{Migrate: true, MaxBytes: 30_000, Logger: quiet})
			}
			sink, err := New(ctx, os.Getenv(envDSN), &Options{Migrate: true, MaxBytes: 30_000, Logger: slog.New(slog.DiscardHandler)})
			if m, found := mutants[os.Getenv(envMutant)]; found && err == nil {
				return m.change(sink), nil
			}
			return sink, err
		},
		Poison: func(e *inlet.Event) { e.GroupID = "refused" },
	})
}

// mutants are sinks with a fault, and what the torture says about each.
var mutants = map[string]struct {
	change func(*Sink) inlet.Sink
	says   string
}{
	"an error of the connection is taken for success": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			if err := s.Write(ctx, events); sqlState(err) != "" {
				return err
			}
			return nil
		})
	}, "events are lost"},
	"a refused event is not reported": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			if err := s.Write(ctx, events); sqlState(err) != "23514" {
				return err
			}
			return nil
		})
	}, "events are lost"},
	"a second Write stores an event again": {func(s *Sink) inlet.Sink {
		s.insert = strings.Replace(s.insert, "SELECT c0, c1,", "SELECT c0, c1 || gen_random_uuid(),", 1)
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			return errors.Join(s.Write(ctx, events[:1]), s.Write(ctx, events))
		})
	}, "events are stored twice"},
	"an error of the connection is permanent": {func(s *Sink) inlet.Sink {
		return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			err := s.Write(ctx, events)
			if _, differ := errors.AsType[*inlet.BatchError](err); err != nil && !differ {
				return inlet.Permanent(err)
			}
			return err
		})
	}, "is a dead letter, and nothing is wrong with it"},
	"a payload belongs to another event": {func(s *Sink) inlet.Sink {
		s.insert = strings.Replace(s.insert, "c9::json", "regexp_replace(c9, 'x+', '')::json", 1)
		return s
	}, "is stored with the data of another"},
	"the order of a Write is lost": {func(s *Sink) inlet.Sink {
		s.insert = strings.Replace(s.insert, " ON CONFLICT", " ORDER BY c1 DESC ON CONFLICT", 1)
		return s
	}, "is stored after a later one"},
}

// TestMutants requires that TestTorture would notice sinks with a fault.
func TestMutants(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Seed, o.Kills, o.ServerKills = 1, 4, 4
			if !strings.Contains(name, "connection") {
				o.Server = nil
			}
			o.Env = append(o.Env, envMutant+"="+name)
			_, faults := torture.Faults(t, o)
			require.Contains(t, strings.Join(faults, "\n"), m.says)
		})
	}
}

// TestTorture kills a child and the server. A constraint of the host's own refuses some events.
func TestTorture(t *testing.T) {
	o := options(t)
	if testing.Short() {
		o.Kills, o.ServerKills = 8, 3
	}
	torture.Run(t, o)
}

// TestTortureTables does the same with typed tables, all but one of which the child makes.
func TestTortureTables(t *testing.T) {
	s := pgserver.Start(t)
	sink := openTables(t, s, TablesOptions{Schema: defaultSchema})
	exec(t, s.Connect(t), `ALTER TABLE inlet.tracks ADD CHECK (_extra ->> 'groupId' IS DISTINCT FROM 'refused')`)
	require.NoError(t, sink.Close(t.Context()))
	o := torture.Options{
		Env: []string{envDSN + "=" + s.DSN(), envTables + "=1"},
		Server: func() (start func()) {
			s.Kill()
			return func() { s.Run(t) }
		},
		Stored: func() ([]*inlet.Event, error) { return tortured(t.Context(), s.Connect(t)) },
	}
	if testing.Short() {
		o.Kills, o.ServerKills = 8, 3
	}
	torture.Run(t, o)
}

// tortured returns the events of typed tables, with their properties.
func tortured(ctx context.Context, conn *pgx.Conn) ([]*inlet.Event, error) {
	stored, err := readTables(ctx, conn, defaultSchema)
	for _, e := range stored {
		var f flat
		if err := json.Unmarshal(e.Properties, &f); err != nil {
			return nil, err
		}
		e.Properties = []byte(`{"filler":` + f["properties.filler"] + `}`)
	}
	return stored, err
}

// options are those of the torture of a server of its own.
func options(t *testing.T) torture.Options {
	s := pgserver.Start(t)
	sink, err := New(t.Context(), s.DSN(), &Options{Migrate: true})
	require.NoError(t, err)
	exec(t, s.Connect(t), "ALTER TABLE inlet_events ADD CHECK (group_id <> 'refused')")
	require.NoError(t, sink.Close(t.Context()))
	return torture.Options{
		Env: []string{envDSN + "=" + s.DSN()},
		Server: func() (start func()) {
			s.Kill()
			return func() { s.Run(t) }
		},
		Stored: func() ([]*inlet.Event, error) { return read(t, s.Connect(t), "inlet_events"), nil },
	}
}

// TestLargeBacklog delivers 1 GiB.
func TestLargeBacklog(t *testing.T) {
	backlog(t, pgserver.Start(t, "max_wal_size=4GB"), 1<<30)
}
