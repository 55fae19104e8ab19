package pgkeys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/internal/origin"
	"github.com/inlet-go/inlet/internal/sinkkit"
	"github.com/inlet-go/inlet/sinks/postgressink"
)

// Keys is an [inlet.Authenticator] of the keys in a database, with a cache in front of it. Make one
// with [New].
//
// While the database cannot be asked, keys in the cache stay valid as [authcache.Options] say, and
// all others are answered with 503, so that clients keep their events.
//
// Secrets: it holds digests, not the keys. The database and its log get hashes.
//
// Concurrency: its methods may be called concurrently.
type Keys struct {
	options Options
	pool    *pgxpool.Pool
	ownPool bool
	// listenConfig returns where to listen. It is called for each connection.
	listenConfig func(ctx context.Context) (*pgx.ConnConfig, error)
	secrets      sinkkit.Secrets
	sql          statements

	cache   *authcache.Cache // of sources, by hashes in place of keys
	origins *authcache.Cache // of one source that has the origins of all
	set     atomic.Pointer[originSet]

	failure atomic.Pointer[error]
	stop    context.CancelFunc
	stopped chan struct{}
	closing sync.Once
}

var (
	_ inlet.Authenticator = (*Keys)(nil)
	_ io.Closer           = (*Keys)(nil)
)

// New connects, and starts a goroutine that listens for changes until [Keys.Close]. The target is
// a connection string, with everything that libpq reads from one and from the environment, or a
// pool, which the caller closes after the keys.
//
// It fails if the server cannot be reached, and if a table or a trigger is missing: the error then
// has the statements to run. With Options.Migrate it runs them itself, under an advisory lock, so
// that any number of processes may start at once. It does not wait until changes are heard, and
// need not: once they are, all that was cached before is forgotten. No error has a password.
func New[T postgressink.Target](ctx context.Context, target T, o *Options) (*Keys, error) {
	options, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	k := &Keys{options: options, sql: statementsFor(options.Schema), stopped: make(chan struct{})}
	if k.cache, err = authcache.New(inlet.AuthenticatorFunc(k.lookUp), options.Cache); err != nil {
		return nil, err
	}
	if k.origins, err = authcache.New(inlet.AuthenticatorFunc(k.lookUpOrigins), options.Cache); err != nil {
		return nil, err
	}
	switch target := any(target).(type) {
	case string:
		err = k.connect(ctx, target)
	case *pgxpool.Pool:
		err = k.use(target)
	}
	if err != nil {
		return nil, err
	}
	if err = k.listenElsewhere(); err == nil {
		err = k.prepare(ctx)
	}
	if err != nil {
		if k.ownPool {
			k.pool.Close()
		}
		return nil, err
	}
	k.failure.Store(&errNotYet)
	ctx, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	go k.listen(ctx)
	return k, nil
}

// connect makes a pool for a connection string.
func (k *Keys) connect(ctx context.Context, dsn string) error {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // its text may have a part of the password
		return errors.New("pgkeys: target is not a valid connection string; it is not quoted, since it may have a password")
	}
	config.MaxConns = int32(k.options.MaxConcurrent)
	adapt(config.ConnConfig)
	k.secrets = sinkkit.NewSecrets("[password]", config.ConnConfig.Password)
	k.listenConfig = func(context.Context) (*pgx.ConnConfig, error) { return config.ConnConfig.Copy(), nil }
	if k.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return k.fail("connect", err)
	}
	k.ownPool = true
	return nil
}

// use uses a pool of the caller's, whose connections may get their passwords from a function.
func (k *Keys) use(pool *pgxpool.Pool) error {
	if pool == nil {
		return errors.New("pgkeys: target is nil")
	}
	k.pool = pool
	k.secrets = sinkkit.NewSecrets("[password]", pool.Config().ConnConfig.Password)
	k.listenConfig = func(ctx context.Context) (*pgx.ConnConfig, error) {
		config := pool.Config()
		if config.BeforeConnect != nil {
			if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
				return nil, err
			}
		}
		config.ConnConfig.OnNotification = nil // of the caller's, for other channels
		return config.ConnConfig, nil
	}
	return nil
}

// listenElsewhere obeys Options.ListenTo.
func (k *Keys) listenElsewhere() error {
	if k.options.ListenTo == "" {
		return nil
	}
	config, err := pgx.ParseConfig(k.options.ListenTo)
	if err != nil {
		return errors.New("pgkeys: ListenTo is not a valid connection string; it is not quoted, since it may have a password")
	}
	adapt(config)
	k.secrets = sinkkit.NewSecrets("[password]", config.Password, k.pool.Config().ConnConfig.Password)
	k.listenConfig = func(context.Context) (*pgx.ConnConfig, error) { return config.Copy(), nil }
	return nil
}

// adapt prefers, of several servers, the one that accepts writes: only there can one listen.
func adapt(config *pgx.ConnConfig) {
	several := slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		return f.Host != config.Host || f.Port != config.Port
	})
	if several && config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "inlet"
	}
}

// fail returns an error of the package without passwords.
func (k *Keys) fail(what string, err error) error {
	return fmt.Errorf("pgkeys: %s: %w", what, k.secrets.HideError(err))
}

// Authenticate returns the source of the key, from the cache or from the database, or
// [inlet.ErrUnknownKey]. Any other error means that the database could not be asked.
func (k *Keys) Authenticate(ctx context.Context, c inlet.Credentials) (*inlet.Source, error) {
	return k.cache.Authenticate(ctx, inlet.Credentials{Key: hashOf(c.Key)})
}

// hashOf returns what stands for a key: its hash, as notifications have it.
func hashOf(key string) string {
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:])
}

// lookUp asks the database for the source of the key whose hash it gets.
func (k *Keys) lookUp(ctx context.Context, c inlet.Credentials) (*inlet.Source, error) {
	hash, err := hex.DecodeString(c.Key)
	if err != nil {
		return nil, err
	}
	s := new(inlet.Source)
	err = k.query(ctx, k.sql.source, hash, &s.ID, &s.Disabled, &s.Origins, &s.Rate, &s.Burst, &s.EventRate, &s.ByteRate)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, inlet.ErrUnknownKey
	case err != nil:
		return nil, k.fail("look a key up", err)
	}
	return s, nil
}

// lookUpOrigins asks the database for the origins of all sources.
func (k *Keys) lookUpOrigins(ctx context.Context, _ inlet.Credentials) (*inlet.Source, error) {
	all := new(inlet.Source)
	if err := k.query(ctx, k.sql.origins, nil, &all.Origins); err != nil {
		return nil, k.fail("look the origins up", err)
	}
	return all, nil
}

// query reads a row. It has no prepared statement, which would not work behind a pooler. After the
// server was restarted, all connections of the pool may be dead: each is tried once.
func (k *Keys) query(ctx context.Context, sql string, hash []byte, into ...any) (err error) {
	args := []any{pgx.QueryExecModeExec}
	if hash != nil {
		args = append(args, hash)
	}
	for range k.pool.Config().MaxConns + 1 {
		err = k.pool.QueryRow(ctx, sql, args...).Scan(into...)
		if err == nil || ctx.Err() != nil || !isDeadConnection(err) {
			break
		}
	}
	return err
}

// isDeadConnection reports whether another connection may work. A server that stops says 57P01.
func isDeadConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	pg, fromServer := errors.AsType[*pgconn.PgError](err)
	return !fromServer || pg.Code == "57P01"
}

// An originSet is the origins of a source, which AllowsOrigin looks up in it.
type originSet struct {
	of  *inlet.Source
	set origin.Set
}

// originsKey is what the one entry of the cache of origins is found by.
const originsKey = "origins"

// AllowsOrigin reports whether a source that is not disabled is bound to the origin, as a browser
// sends it. It is what [inlet.Keys.AllowsOrigin] is for a fixed set of keys. While the origins
// cannot be read, and are not in the cache, no origin is allowed.
func (k *Keys) AllowsOrigin(ctx context.Context, sent string) bool {
	all, err := k.origins.Authenticate(ctx, inlet.Credentials{Key: originsKey})
	if err != nil {
		return false
	}
	found := k.set.Load()
	if found == nil || found.of != all {
		found = &originSet{of: all}
		for _, listed := range all.Origins {
			found.set.Add(listed)
		}
		k.set.Store(found)
	}
	return found.set.Has(sent)
}

// Check asks the database whether keys can be looked up.
func (k *Keys) Check(ctx context.Context) error {
	var unused []string
	if err := k.query(ctx, k.sql.origins, nil, &unused); err != nil {
		return k.fail("check", err)
	}
	return nil
}

// Err returns why changes of keys are not heard now, so that a revoked key works until the TTL of
// the cache is over, or nil, for a check of health.
func (k *Keys) Err() error {
	return *k.failure.Load()
}

// Stats returns the counters of the cache of keys.
func (k *Keys) Stats() authcache.Stats { return k.cache.Stats() }

// Close ends the goroutine, and the connections that New has made, and waits for both. Keys in the
// cache stay as they are. It may be called more than once, and always returns nil.
func (k *Keys) Close() error {
	k.closing.Do(func() {
		k.stop()
		<-k.stopped
		if k.ownPool {
			k.pool.Close()
		}
	})
	return nil
}

// String returns the name of the tables, without user and password.
func (k *Keys) String() string { return "pgkeys in " + k.sql.sources + " and " + k.sql.keys }

// GoString returns String: otherwise fmt would print the fields, with the password.
func (k *Keys) GoString() string { return k.String() }
