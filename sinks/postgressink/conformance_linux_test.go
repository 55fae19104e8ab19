package postgressink

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
	"github.com/inlet-go/inlet/sinktest"
)

// harness tests sinks for a table of their own each.
func harness(s *pgserver.Server, dsn string, o Options) sinktest.Harness {
	return sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			o := o
			o.Table, o.Migrate = table(t), true
			sink, err := New(t.Context(), dsn, &o)
			require.NoError(t, err)
			return sink
		},
		Read: func(t testing.TB, sink inlet.Sink) []*inlet.Event {
			conn, err := pgx.Connect(context.Background(), s.DSN())
			require.NoError(t, err)
			defer conn.Close(context.Background())
			return read(t, conn, sink.(*Sink).opts.Table)
		},
		Features: sinktest.Features{
			Durability: inlet.DurabilityFsync, Ordered: true, Dedupes: true, Partial: true,
			Patience: time.Minute, Grace: time.Minute,
			Order:  func(*inlet.Event) string { return "" },
			Poison: func(e *inlet.Event) { e.MessageID += strings.Repeat("x", 200) + incompressible },
			Refuse: func(e *inlet.Event) { e.MessageID += strings.Repeat("x", 200) + incompressible },
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("json", func(t *testing.T) {
		t.Parallel()
		s := pgserver.Start(t)
		h := harness(s, s.DSN(), Options{})
		h.Features.Stall = func(sink inlet.Sink) (release func()) {
			conn := s.Connect(t)
			exec(t, conn, "BEGIN")
			exec(t, conn, "LOCK TABLE "+sink.(*Sink).table.sql())
			return func() { exec(t, conn, "ROLLBACK"); conn.Close(context.Background()) }
		}
		h.Features.Restart = func(inlet.Sink) (start func()) {
			s.Kill()
			return func() { s.Run(t) }
		}
		h.Features.Crash = func(sink inlet.Sink) []*inlet.Event {
			s.Kill()
			s.Run(t)
			return h.Read(t, sink)
		}
		sinktest.Run(t, h)
	})
	t.Run("pgbouncer", func(t *testing.T) {
		t.Parallel()
		s := pgserver.Start(t)
		sinktest.Run(t, harness(s, pgserver.StartBouncer(t, s).DSN(), Options{MaxBytes: 20_000}))
	})
	t.Run("jsonb", func(t *testing.T) {
		t.Parallel()
		s := pgserver.Start(t)
		h := harness(s, s.DSN(), Options{JSONB: true})
		h.Features.NoNUL, h.Features.Same = true, sameValues
		sinktest.Run(t, h)
	})
}

// tablesHarness tests sinks for a schema of their own each.
func tablesHarness(s *pgserver.Server, dsn string, o TablesOptions) sinktest.Harness {
	return sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			o := o
			o.Schema, o.Migrate, o.Logger = table(t), true, slog.New(slog.DiscardHandler)
			sink, err := NewTables(t.Context(), dsn, &o)
			require.NoError(t, err)
			return sink
		},
		Read: func(t testing.TB, sink inlet.Sink) []*inlet.Event {
			conn, err := pgx.Connect(context.Background(), s.DSN())
			require.NoError(t, err)
			defer conn.Close(context.Background())
			stored, err := readTables(context.Background(), conn, sink.(*Tables).opts.Schema)
			require.NoError(t, err)
			return stored
		},
		Features: sinktest.Features{
			Durability: inlet.DurabilityFsync, Dedupes: true, Partial: true, NoNUL: true, Same: sameInTables,
			Patience: time.Minute, Grace: time.Minute,
			Order:  func(e *inlet.Event) string { return string(e.Type) },
			Poison: func(e *inlet.Event) { e.MessageID += strings.Repeat("x", 200) + incompressible },
			Refuse: func(e *inlet.Event) { e.MessageID += strings.Repeat("x", 200) + incompressible },
		},
	}
}

func TestTablesConformance(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	h := tablesHarness(s, s.DSN(), TablesOptions{})
	h.Features.Stall = func(sink inlet.Sink) (release func()) {
		conn := s.Connect(t)
		exec(t, conn, "BEGIN")
		for _, name := range []string{"tracks", "identifies", "pages", "screens", "groups", "aliases"} {
			exec(t, conn, "LOCK TABLE "+sink.(*Tables).name(name))
		}
		return func() { exec(t, conn, "ROLLBACK"); conn.Close(context.Background()) }
	}
	h.Features.Restart = func(inlet.Sink) (start func()) {
		s.Kill()
		return func() { s.Run(t) }
	}
	h.Features.Crash = func(sink inlet.Sink) []*inlet.Event {
		s.Kill()
		s.Run(t)
		return h.Read(t, sink)
	}
	sinktest.Run(t, h)
}

// incompressible makes a key too long for its index.
var incompressible = func() string {
	var b strings.Builder
	for i := uint32(1); b.Len() < 9000; i = i*1664525 + 1013904223 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789"[(i>>16)%36])
	}
	return b.String()
}()

// sameValues compares events as jsonb keeps them.
func sameValues(written, stored *inlet.Event) bool {
	return bytes.Equal(normalised(written), normalised(stored))
}

func normalised(e *inlet.Event) []byte {
	d := json.NewDecoder(bytes.NewReader(e.AppendJSON(nil)))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return nil
	}
	text, _ := json.Marshal(numbers(value))
	return text
}

// numbers gives each number one form.
func numbers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = numbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = numbers(element)
		}
	case json.Number:
		return canonicalNumber(v.String())
	}
	return value
}

// canonicalNumber returns the digits of a number and its exponent.
func canonicalNumber(text string) string {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return text
	}
	return r.String()
}
