package pgkeys

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// How long to wait for what a server does in its own time, and how often to look. The TTL of the
// caches is longer, so that nothing happens by itself meanwhile.
const (
	waitLong = 2 * time.Minute
	tick     = 5 * time.Millisecond
	ttl      = time.Hour
)

var schemas atomic.Int64

// A rig is keys in a schema of their own, and a connection that changes them.
type rig struct {
	*Keys
	schema string
	admin  *pgx.Conn
	log    *testkit.Log
}

// newRig makes the schema, a source "web" and a key "valid", and waits until changes are heard. No
// notification is on its way then.
func newRig(t testing.TB, s *pgserver.Server, o Options) *rig {
	t.Helper()
	r := &rig{schema: fmt.Sprintf("s%d", schemas.Add(1)), admin: s.Connect(t), log: new(testkit.Log)}
	r.exec(t, "CREATE SCHEMA "+r.schema)
	r.exec(t, "SET search_path = "+r.schema)
	o.Schema, o.Logger, o.Interval, o.patience = r.schema, r.log.Logger(), time.Hour, waitLong
	o.Cache = cached()
	migrated := o
	migrated.Migrate = true
	keys, err := New(t.Context(), s.DSN(), &migrated)
	require.NoError(t, err)
	require.NoError(t, keys.Close())
	r.exec(t, "INSERT INTO inlet_sources (id) VALUES ('web')")
	r.add(t, "valid", "web")
	r.Keys, err = New(t.Context(), s.DSN(), &o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Keys.Close() })
	r.requireHeard(t)
	return r
}

// cached returns options of a cache in which nothing ends by itself, on a slow machine.
func cached() *authcache.Options {
	return &authcache.Options{TTL: ttl, NegativeTTL: ttl, StaleFor: ttl, Timeout: time.Minute}
}

func (r *rig) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := r.admin.Exec(context.Background(), sql, args...)
	require.NoError(t, err)
}

func (r *rig) add(t testing.TB, key, source string) {
	t.Helper()
	r.exec(t, "INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256($1::text::bytea), $2)", key, source)
}

func (r *rig) revoke(t testing.TB, key string) {
	t.Helper()
	r.exec(t, "UPDATE inlet_keys SET revoked_at = now() WHERE sha256 = sha256($1::text::bytea)", key)
}

func (r *rig) requireHeard(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return r.Err() == nil }, waitLong, tick)
}

func (r *rig) source(key string) (*inlet.Source, error) {
	return r.Authenticate(context.Background(), inlet.Credentials{Key: key})
}

func (r *rig) requireKnown(t testing.TB, key string) *inlet.Source {
	t.Helper()
	source, err := r.source(key)
	require.NoError(t, err)
	return source
}

func (r *rig) requireUnknown(t testing.TB, key string) {
	t.Helper()
	_, err := r.source(key)
	require.ErrorIs(t, err, inlet.ErrUnknownKey)
}

// requireSoon waits until a key is known or refused, which is soon, and never without a
// notification.
func (r *rig) requireSoon(t testing.TB, key string, known bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := r.source(key)
		return known && err == nil || !known && errors.Is(err, inlet.ErrUnknownKey)
	}, waitLong, tick, key)
}
