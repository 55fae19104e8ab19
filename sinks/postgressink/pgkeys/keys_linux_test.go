package pgkeys

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/inlettest"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)

	t.Run("the columns are the fields of a source", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		r.exec(t, "INSERT INTO inlet_sources (id, disabled, origins, rate, burst, event_rate, byte_rate)"+
			" VALUES ('all', true, '{https://shop.example,https://*.shop.example}', 0.5, 7, 1000.25, 1e9)")
		r.add(t, "all", "all")
		require.Equal(t, &inlet.Source{
			ID: "all", Disabled: true, Origins: []string{"https://shop.example", "https://*.shop.example"},
			Rate: 0.5, Burst: 7, EventRate: 1000.25, ByteRate: 1e9,
		}, r.requireKnown(t, "all"))
		source := r.requireKnown(t, "valid")
		require.Equal(t, "web", source.ID)
		require.Empty(t, source.Origins)
		require.Same(t, source, r.requireKnown(t, "valid"), "it is in the cache")
		require.EqualValues(t, 2, r.Stats().Lookups)
	})

	t.Run("what is no key", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		for _, key := range []string{
			"Valid", "valid ", "' OR 1=1 --", "a\x00b", "\xff", `\x00`, strings.Repeat("x", 1<<20), hashOf("valid"), "",
		} {
			r.requireUnknown(t, key)
		}
		r.requireKnown(t, "valid")
	})

	t.Run("a change is heard", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		r.requireKnown(t, "valid")
		r.requireUnknown(t, "new")
		r.add(t, "new", "web")
		r.requireSoon(t, "new", true)
		for name, c := range map[string]struct {
			key  string
			undo string
			do   string
		}{
			"revoked":          {"valid", "UPDATE inlet_keys SET revoked_at = NULL", "UPDATE inlet_keys SET revoked_at = now()"},
			"moved":            {"new", "UPDATE inlet_keys SET sha256 = sha256('new') WHERE sha256 = sha256('other')", "UPDATE inlet_keys SET sha256 = sha256('other') WHERE sha256 = sha256('new')"},
			"deleted":          {"new", "INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256('new'), 'web')", "DELETE FROM inlet_keys WHERE sha256 = sha256('new')"},
			"source deleted":   {"valid", "INSERT INTO inlet_sources (id) VALUES ('web'); INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256('new'), 'web'), (sha256('valid'), 'web')", "DELETE FROM inlet_sources"},
			"tables truncated": {"valid", "INSERT INTO inlet_sources (id) VALUES ('web'); INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256('new'), 'web'), (sha256('valid'), 'web')", "TRUNCATE inlet_sources, inlet_keys"},
			"keys truncated":   {"valid", "INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256('new'), 'web'), (sha256('valid'), 'web')", "TRUNCATE inlet_keys"},
		} {
			r.requireSoon(t, c.key, true)
			r.exec(t, c.do)
			t.Log(name)
			r.requireSoon(t, c.key, false)
			r.exec(t, c.undo)
			r.requireSoon(t, c.key, true)
		}
		for _, c := range []struct {
			do   string
			want func(*inlet.Source) bool
		}{
			{"UPDATE inlet_sources SET disabled = true", func(s *inlet.Source) bool { return s.Disabled }},
			{"UPDATE inlet_sources SET disabled = false, rate = 3", func(s *inlet.Source) bool { return !s.Disabled && s.Rate == 3 }},
			{"UPDATE inlet_sources SET id = 'renamed'", func(s *inlet.Source) bool { return s.ID == "renamed" }},
		} {
			r.exec(t, c.do)
			require.Eventually(t, func() bool { source, err := r.source("valid"); return err == nil && c.want(source) }, waitLong, tick, c.do)
		}
	})

	t.Run("one that was undone is not", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		r.requireKnown(t, "valid")
		r.exec(t, "BEGIN; UPDATE inlet_keys SET revoked_at = now(); ROLLBACK")
		r.exec(t, "INSERT INTO inlet_sources (id) VALUES ('after')")
		r.add(t, "after", "after")
		r.requireSoon(t, "after", true)
		r.requireKnown(t, "valid")
	})

	t.Run("10,000 keys", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		const n = 10_000
		r.exec(t, "INSERT INTO inlet_sources (id) SELECT 'source-' || i FROM generate_series(0, 99) i")
		r.exec(t, "INSERT INTO inlet_keys (sha256, source_id) SELECT sha256(('key-' || i)::bytea), 'source-' || i % 100 FROM generate_series(1, $1::int) i", n)
		var clients sync.WaitGroup
		for c := range 8 {
			clients.Go(func() {
				for i := 1 + c; i <= n; i += 8 {
					source, err := r.source(fmt.Sprintf("key-%d", i))
					if err != nil || source.ID != fmt.Sprintf("source-%d", i%100) {
						t.Errorf("key-%d: %v, %v", i, source, err)
						return
					}
				}
			})
		}
		clients.Wait()
		r.exec(t, "UPDATE inlet_keys SET revoked_at = now() WHERE sha256 <> sha256('key-1')")
		r.requireSoon(t, fmt.Sprintf("key-%d", n), false)
		for i := 2; i <= n; i += 97 {
			r.requireSoon(t, fmt.Sprintf("key-%d", i), false)
		}
		r.requireKnown(t, "key-1")
	})

	t.Run("origins", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		layers := middleware.Standard(r.Keys, &middleware.StandardOptions{SourceOrigins: true, Logger: r.log.Logger()})
		stored := inlettest.New(t, nil)
		api, err := inlet.New(stored.Sink(), nil)
		require.NoError(t, err)
		h := layers(api)
		preflight := func(origin string) bool {
			w, q := httptest.NewRecorder(), httptest.NewRequest(http.MethodOptions, "/v1/track", http.NoBody)
			q.Header.Set("Origin", origin)
			q.Header.Set("Access-Control-Request-Method", http.MethodPost)
			h.ServeHTTP(w, q)
			return w.Header().Get("Access-Control-Allow-Origin") == origin
		}
		require.False(t, preflight("https://shop.example"))
		r.exec(t, "UPDATE inlet_sources SET origins = '{HTTPS://Shop.example:443/,https://*.shop.example}'")
		require.Eventually(t, func() bool { return preflight("https://shop.example") }, waitLong, tick)
		require.True(t, preflight("https://www.shop.example"))
		require.False(t, preflight("https://evil.example"))
		r.exec(t, "UPDATE inlet_sources SET disabled = true")
		require.Eventually(t, func() bool { return !preflight("https://shop.example") }, waitLong, tick)
	})

	t.Run("without Migrate", func(t *testing.T) {
		t.Parallel()
		admin := s.Connect(t)
		exec := func(sql string) {
			t.Helper()
			_, err := admin.Exec(context.Background(), sql)
			require.NoError(t, err)
		}
		exec(`CREATE SCHEMA "by hand"; CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA "by hand" TO reader`)
		o := &Options{Schema: "by hand", Logger: new(testkit.Log).Logger()}
		open := func() (*Keys, error) { return New(t.Context(), s.DSN("user=reader"), o) }
		run := func(sql string) {
			t.Helper()
			exec(sql)
			_, err := open()
			require.ErrorContains(t, err, "run these statements, or set Migrate:\n")
			_, statements, _ := strings.Cut(err.Error(), "Migrate:\n")
			exec(statements)
		}
		run("SELECT 1")
		_, err := open()
		require.ErrorContains(t, err, "permission denied for table inlet_sources")
		exec(`GRANT SELECT ON "by hand".inlet_sources TO reader`)
		_, err = open()
		require.ErrorContains(t, err, "permission denied for table inlet_keys")
		exec(`GRANT SELECT ON "by hand".inlet_keys TO reader`)
		keys, err := open()
		require.NoError(t, err, "which is all it needs")
		require.NoError(t, keys.Check(t.Context()))
		require.NoError(t, keys.Close())
		run(`DROP TRIGGER inlet_changed ON "by hand".inlet_keys`)
		run(`ALTER TABLE "by hand".inlet_sources DISABLE TRIGGER inlet_truncated`)
		keys, err = open()
		require.NoError(t, err)
		require.NoError(t, keys.Close())
		exec(`ALTER TABLE "by hand".inlet_sources DROP COLUMN burst`)
		_, err = open()
		require.ErrorContains(t, err, "burst does not exist")
	})

	t.Run("many processes start at once", func(t *testing.T) {
		t.Parallel()
		admin := s.Connect(t)
		_, err := admin.Exec(t.Context(), "CREATE SCHEMA crowd")
		require.NoError(t, err)
		failed := make(chan error, 8)
		for range cap(failed) {
			go func() {
				keys, err := New(t.Context(), s.DSN(), &Options{Schema: "crowd", Migrate: true, Logger: new(testkit.Log).Logger(), MaxConcurrent: 1})
				if err == nil {
					err = keys.Close()
				}
				failed <- err
			}()
		}
		for range cap(failed) {
			require.NoError(t, <-failed)
		}
	})

	t.Run("a row that no source can be", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		for _, sql := range []string{
			"INSERT INTO inlet_sources (id) VALUES ('')",
			"INSERT INTO inlet_sources (id) VALUES (repeat('x', 1001))",
			"INSERT INTO inlet_sources (id, rate) VALUES ('x', -1)",
			"INSERT INTO inlet_sources (id, rate) VALUES ('x', 'NaN')",
			"INSERT INTO inlet_sources (id, event_rate) VALUES ('x', 'Infinity')",
			"INSERT INTO inlet_sources (id, burst) VALUES ('x', -1)",
			"INSERT INTO inlet_sources (id, origins) VALUES ('x', '{NULL}')",
			"INSERT INTO inlet_sources (id, origins) VALUES ('x', '{{a},{b}}')",
			"INSERT INTO inlet_keys (sha256, source_id) VALUES ('short', 'web')",
			"INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256('x'), 'unknown')",
			"INSERT INTO inlet_keys (sha256, source_id) VALUES (sha256('valid'), 'web')",
		} {
			_, err := r.admin.Exec(t.Context(), sql)
			require.Error(t, err, sql)
		}
		id := strings.Repeat("é", 500)
		r.exec(t, "INSERT INTO inlet_sources (id) VALUES ($1)", id)
		r.add(t, "long", id)
		require.Equal(t, id, r.requireKnown(t, "long").ID)
	})

	t.Run("a pool of the caller's", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		config, err := pgxpool.ParseConfig(s.DSN())
		require.NoError(t, err)
		config.MaxConns = 1
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		defer pool.Close()
		keys, err := New(t.Context(), pool, &Options{Schema: r.schema, Cache: cached(), Logger: r.log.Logger()})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return keys.Err() == nil }, waitLong, tick)
		valid := func() bool {
			_, err := keys.Authenticate(context.Background(), inlet.Credentials{Key: "valid"})
			return err == nil
		}
		require.True(t, valid())
		r.revoke(t, "valid")
		require.Eventually(t, func() bool { return !valid() }, waitLong, tick)
		require.NoError(t, keys.Close())
		require.NoError(t, pool.Ping(t.Context()), "it is the caller's")
	})

	t.Run("the documented statements", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, s, Options{})
		text, err := os.ReadFile("doc.go")
		require.NoError(t, err)
		_, text2, _ := strings.Cut(string(text), "end of the key:\n//\n")
		block, _, _ := strings.Cut(text2, "//\n// Deleting")
		statements := strings.Split(strings.ReplaceAll(block, "//", ""), ";")
		require.Len(t, statements, 4)
		r.exec(t, strings.Replace(statements[0], "https:shop", "https://shop", 1))
		var key string
		require.NoError(t, r.admin.QueryRow(t.Context(), statements[1]).Scan(&key))
		require.Len(t, key, 32)
		source := r.requireKnown(t, key)
		require.Equal(t, &inlet.Source{ID: "website", Origins: []string{"https://shop.example"}}, source)
		r.exec(t, strings.ReplaceAll(statements[2], "my-write-key", key))
		r.requireSoon(t, key, false)
	})

	t.Run("no password in texts", func(t *testing.T) {
		t.Parallel()
		for _, dsn := range []string{
			s.DSN("user=unknown password=hunter2secret"), "postgres://u:hunter2secret@[::1", "host=/nowhere password=hunter2secret",
		} {
			_, err := New(t.Context(), dsn, nil)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2secret")
			_, err = New(t.Context(), s.DSN(), &Options{ListenTo: "postgres://u:hunter2secret@[::1"})
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2secret")
		}
		r := newRig(t, s, Options{ListenTo: s.DSN("password=hunter2secret")})
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", r.Keys, r.Keys, r.Keys), "hunter2secret")
	})
}

// TestOutages has a server of its own, which it breaks and repairs.
func TestOutages(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)

	t.Run("a change while the connection is interrupted", func(t *testing.T) {
		r := newRig(t, s, Options{})
		for round := range 10 {
			key := fmt.Sprintf("key-%d", round)
			r.add(t, key, "web")
			r.requireSoon(t, key, true)
			// The connection ends before the change is committed, and hears nothing of it.
			r.exec(t, "BEGIN")
			r.revoke(t, key)
			r.exec(t, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
			r.exec(t, "COMMIT")
			r.requireSoon(t, key, false)
			r.requireHeard(t)
		}
		r.requireKnown(t, "valid")
		require.Contains(t, r.log.String(), "pgkeys: changes of keys are not heard")
		require.Contains(t, r.log.String(), "pgkeys: changes of keys are heard again")
	})

	t.Run("a server that is killed", func(t *testing.T) {
		r := newRig(t, s, Options{})
		r.add(t, "other", "web")
		r.requireSoon(t, "other", true)
		r.requireKnown(t, "valid")
		stored := inlettest.New(t, nil)
		api, err := inlet.New(stored.Sink(), nil)
		require.NoError(t, err)
		h := middleware.Standard(r.Keys, &middleware.StandardOptions{Logger: r.log.Logger()})(api)
		track := func(key string) int {
			w, q := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"event":"E","userId":"u"}`))
			q.Header.Set("X-Write-Key", key)
			h.ServeHTTP(w, q)
			return w.Code
		}
		require.Equal(t, 401, track("unknown"))
		for round := range 3 {
			unseen := ""
			r.requireKnown(t, "valid")
			s.Kill()
			require.Equal(t, 200, track("valid"), "it is in the cache")
			for n := 0; ; n++ { // processes of the server live a moment longer, and answer
				unseen = fmt.Sprintf("never seen before %d.%d", round, n)
				if status := track(unseen); status != 401 {
					require.Equal(t, 503, status, "a key that may be valid")
					break
				}
			}
			require.Eventually(t, func() bool { return r.Err() != nil }, waitLong, tick)
			require.Error(t, r.Check(t.Context()))
			s.Run(t)
			r.admin = s.Connect(t)
			r.exec(t, "SET search_path = "+r.schema)
			r.requireHeard(t)
			require.Equal(t, 401, track(unseen))
			r.requireKnown(t, "other")
			r.revoke(t, "other")
			r.requireSoon(t, "other", false)
			r.exec(t, "UPDATE inlet_keys SET revoked_at = NULL WHERE sha256 = sha256('other')")
			r.requireSoon(t, "other", true)
			require.NoError(t, r.Check(t.Context()))
		}
	})
}

// A connection whose other end says nothing any more, as after a power cut, is here one to a
// process that is stopped.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	r := newRig(t, s, Options{})
	keys, err := New(t.Context(), s.DSN(), &Options{
		Schema: r.schema, ListenTo: s.DSN("application_name=listener"), Cache: cached(), Logger: r.log.Logger(),
		Interval: 10 * time.Millisecond, patience: time.Second,
	})
	require.NoError(t, err)
	defer keys.Close()
	listening := &rig{Keys: keys}
	listening.requireHeard(t)
	listening.requireKnown(t, "valid")
	var pid int
	require.Eventually(t, func() bool {
		err := r.admin.QueryRow(context.Background(), "SELECT pid FROM pg_stat_activity WHERE application_name = 'listener' ORDER BY backend_start DESC LIMIT 1").Scan(&pid)
		return err == nil && syscall.Kill(pid, syscall.SIGSTOP) == nil
	}, waitLong, tick)
	defer syscall.Kill(pid, syscall.SIGKILL) // which the server does not outlive
	r.revoke(t, "valid")
	listening.requireSoon(t, "valid", false)
}

func TestTTL(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	b := pgserver.StartBouncer(t, s)
	t.Run("a pooler in transaction mode", func(t *testing.T) {
		t.Parallel()
		direct := newRig(t, s, Options{})
		log := new(testkit.Log)
		keys, err := New(t.Context(), b.DSN(), &Options{
			Schema: direct.schema, Logger: log.Logger(), Cache: &authcache.Options{TTL: time.Second, Timeout: time.Minute},
		})
		require.NoError(t, err)
		defer keys.Close()
		valid := func() bool {
			_, err := keys.Authenticate(context.Background(), inlet.Credentials{Key: "valid"})
			return err == nil
		}
		require.True(t, valid())
		require.Eventually(t, func() bool { return strings.Contains(log.String(), "set ListenTo") }, waitLong, tick)
		require.ErrorContains(t, keys.Err(), "a connection pooler in transaction mode")
		direct.revoke(t, "valid")
		require.Eventually(t, func() bool { return !valid() }, waitLong, tick, "after the TTL")
	})
	t.Run("a way around it", func(t *testing.T) {
		t.Parallel()
		direct := newRig(t, s, Options{})
		keys, err := New(t.Context(), b.DSN(), &Options{
			Schema: direct.schema, ListenTo: s.DSN(), Logger: new(testkit.Log).Logger(), Cache: cached(),
		})
		require.NoError(t, err)
		defer keys.Close()
		around := &rig{Keys: keys}
		around.requireHeard(t)
		around.requireKnown(t, "valid")
		direct.revoke(t, "valid")
		around.requireSoon(t, "valid", false)
	})
}

// TestClose is not parallel: it counts goroutines.
func TestClose(t *testing.T) {
	s := pgserver.Start(t)
	r := newRig(t, s, Options{})
	require.NoError(t, r.Close())
	before := runtime.NumGoroutine()
	for range 5 {
		keys, err := New(t.Context(), s.DSN(), &Options{Schema: r.schema, Logger: r.log.Logger()})
		require.NoError(t, err)
		_, err = keys.Authenticate(t.Context(), inlet.Credentials{Key: "valid"})
		require.NoError(t, err)
		require.NoError(t, keys.Close())
		require.NoError(t, keys.Close(), "again")
	}
	// Not by require.Eventually, which has a goroutine of its own for what it asks.
	wait := func(what string, left func() int) {
		for end := time.Now().Add(waitLong); left() > 0; time.Sleep(tick) {
			require.True(t, time.Now().Before(end), what)
		}
	}
	wait("goroutines are left", func() int { return runtime.NumGoroutine() - before })
	wait("connections are left", func() (left int) {
		require.NoError(t, r.admin.QueryRow(t.Context(), "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'").Scan(&left))
		return left
	})
}
