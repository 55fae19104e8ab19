package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
)

// The numbers of revoked keys are not used again: AUTOINCREMENT. The origins are a list in JSON.
const schema = `
CREATE TABLE IF NOT EXISTS keys (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	sha256  BLOB NOT NULL UNIQUE,
	source  TEXT NOT NULL,
	origins TEXT NOT NULL
)`

// keys is an authenticator that looks keys up in the database, and the cache in front of it, which
// is what the layers get. Another process with the same database learns that a key was revoked when
// its own cache looks it up again, after the TTL.
type keys struct {
	db    *sql.DB
	cache *authcache.Cache
}

func openKeys(file string) (*keys, error) {
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		return nil, err
	}
	k := &keys{db: db}
	if k.cache, err = authcache.New(k, nil); err == nil {
		_, err = db.Exec(schema)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return k, nil
}

// Authenticate returns the source of a key. Any error of the database is answered with 503, so that
// the client keeps its events.
func (k *keys) Authenticate(ctx context.Context, c inlet.Credentials) (*inlet.Source, error) {
	var origins []byte
	source := new(inlet.Source)
	row := k.db.QueryRowContext(ctx, `SELECT source, origins FROM keys WHERE sha256 = ?`, hashOf(c.Key))
	switch err := row.Scan(&source.ID, &origins); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, inlet.ErrUnknownKey
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(origins, &source.Origins); err != nil {
		return nil, err
	}
	return source, nil
}

// AllowsOrigin reports whether a key is bound to an origin, before a browser sends the key. What a
// key is bound to may be a pattern, so it is compared as inlet.Keys does it, and not by SQL. The
// cache calls this about once a minute for each origin.
func (k *keys) AllowsOrigin(ctx context.Context, origin string) bool {
	all, err := k.list(ctx)
	return err == nil && slices.ContainsFunc(all, func(made writeKey) bool {
		found, err := inlet.NewKeys(map[string]inlet.Source{"any": {ID: made.Source, Origins: made.Origins}})
		return err == nil && found.AllowsOrigin(ctx, origin)
	})
}

// hashOf returns what the database has of a key. A plain hash is enough, because keys are random.
func hashOf(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// A writeKey is a row of the table.
type writeKey struct {
	ID      int64    `json:"id"`
	Key     string   `json:"key,omitempty"` // only when it is made
	Source  string   `json:"source"`
	Origins []string `json:"origins"`
}

// add makes a key, which only the caller knows afterwards.
func (k *keys) add(ctx context.Context, source string, origins []string) (*writeKey, error) {
	made := &writeKey{Key: rand.Text(), Source: source, Origins: origins}
	if _, err := inlet.NewKeys(map[string]inlet.Source{made.Key: {ID: source, Origins: origins}}); err != nil {
		return nil, &invalidError{err} // such as an origin that no page has
	}
	if made.Origins == nil {
		made.Origins = []string{}
	}
	list, err := json.Marshal(made.Origins)
	if err != nil {
		return nil, err
	}
	result, err := k.db.ExecContext(ctx, `INSERT INTO keys (sha256, source, origins) VALUES (?, ?, ?)`, hashOf(made.Key), source, string(list))
	if err != nil {
		return nil, err
	}
	k.cache.ForgetSource(source) // whose origins a browser may have tried too early
	made.ID, err = result.LastInsertId()
	return made, err
}

// An invalidError is the fault of the caller.
type invalidError struct{ error }

// revoke removes a key. Only its hash is known, so the cache cannot forget it alone: it forgets
// all keys of the source, and looks the others up again.
func (k *keys) revoke(ctx context.Context, id int64) error {
	var source string
	if err := k.db.QueryRowContext(ctx, `DELETE FROM keys WHERE id = ? RETURNING source`, id).Scan(&source); err != nil {
		return err
	}
	k.cache.ForgetSource(source)
	return nil
}

func (k *keys) list(ctx context.Context) (all []writeKey, err error) {
	all = []writeKey{} // which JSON shows as a list
	rows, err := k.db.QueryContext(ctx, `SELECT id, source, origins FROM keys ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row writeKey
		var origins []byte
		if err := rows.Scan(&row.ID, &row.Source, &origins); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(origins, &row.Origins); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
