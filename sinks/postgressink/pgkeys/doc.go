// Package pgkeys provides an [inlet.Authenticator] whose write keys are in PostgreSQL 12 or later.
// Every process refuses a key within moments of its being revoked there: the tables notify them.
//
//	keys, err := pgkeys.New(ctx, "postgres://inlet@db.example/events",
//		&pgkeys.Options{Migrate: true})
//	layers := middleware.Standard(keys, &middleware.StandardOptions{SourceOrigins: true})
//
// # The tables
//
// inlet_sources has a row for each source, whose columns are the fields of [inlet.Source]: id,
// disabled, origins, rate, burst, event_rate and byte_rate; all but id have a default. inlet_keys
// has the SHA-256 hash of each key, the source it belongs to, and revoked_at, which is null while
// the key is valid. A host administers them by SQL. A source, a key of it, which only this
// statement shows, and the end of the key:
//
//	INSERT INTO inlet_sources (id, origins) VALUES ('website', '{https://shop.example}');
//
//	WITH made AS (SELECT replace(gen_random_uuid()::text, '-', '') AS key),
//	stored AS (INSERT INTO inlet_keys (sha256, source_id)
//		SELECT sha256(key::bytea), 'website' FROM made)
//	SELECT key FROM made;
//
//	UPDATE inlet_keys SET revoked_at = now() WHERE sha256 = sha256('my-write-key');
//
// Deleting the row, or that of the source, does the same. Hashes hide keys that cannot be guessed,
// such as the one above; a key that is a word can be found by trying.
//
// # How a change is heard
//
// Triggers on both tables send a notification to the channel "inlet_keys", in the transaction of
// the change. Each [Keys] listens on a connection of its own and forgets what it has cached of the
// key or of the source. The notification of a key has its hash, which every user of the database
// may read. After that connection was interrupted all is forgotten, so that no change is missed.
//
// While it is interrupted, and where notifications do not arrive at all, keys are looked up again
// after the TTL of the cache: a revoked key then works for that long at most, and for its StaleFor
// while the database cannot be asked. pgbouncer in transaction mode passes no notifications on.
// That is detected, logged, and returned by [Keys.Err]; Options.ListenTo is a way around it.
package pgkeys
