package pgkeys

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
)

// The tables: their statements, and what of them is missing.

// statements are those of a schema.
type statements struct {
	sources, keys, function string // quoted names
	source, origins         string // queries
}

func statementsFor(schema string) statements {
	name := func(n string) string {
		if schema == "" {
			return quoteName(n)
		}
		return quoteName(schema) + "." + quoteName(n)
	}
	s := statements{sources: name("inlet_sources"), keys: name("inlet_keys"), function: name("inlet_keys_changed")}
	s.source = fmt.Sprintf("SELECT s.id, s.disabled, s.origins, s.rate, s.burst, s.event_rate, s.byte_rate"+
		" FROM %s k JOIN %s s ON s.id = k.source_id WHERE k.sha256 = $1 AND k.revoked_at IS NULL", s.keys, s.sources)
	s.origins = fmt.Sprintf("SELECT ARRAY(SELECT DISTINCT unnest(origins) FROM %s WHERE NOT disabled)", s.sources)
	return s
}

// quoteName returns a name as it is written in SQL.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// createSources and createKeys return the statements that create the tables. The limit of an id is
// that of a notification.
func (s *statements) createSources() []string {
	const rate = "double precision NOT NULL DEFAULT 0 CHECK (%[1]s >= 0 AND %[1]s < 'Infinity')"
	return []string{fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s (
	id text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 1000),
	disabled boolean NOT NULL DEFAULT false,
	origins text[] NOT NULL DEFAULT '{}' CHECK (array_position(origins, NULL) IS NULL),
	rate %s,
	burst integer NOT NULL DEFAULT 0 CHECK (burst >= 0),
	event_rate %s,
	byte_rate %s,
	created_at timestamptz NOT NULL DEFAULT now()
)`, s.sources, fmt.Sprintf(rate, "rate"), fmt.Sprintf(rate, "event_rate"), fmt.Sprintf(rate, "byte_rate"))}
}

func (s *statements) createKeys() []string {
	return []string{
		fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s (
	sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
	source_id text NOT NULL REFERENCES %s (id) ON UPDATE CASCADE ON DELETE CASCADE,
	created_at timestamptz NOT NULL DEFAULT now(),
	revoked_at timestamptz
)`, s.keys, s.sources),
		fmt.Sprintf("CREATE INDEX IF NOT EXISTS inlet_keys_source_id ON %s (source_id)", s.keys),
	}
}

// createFunction returns the statement that creates the function of the triggers.
func (s *statements) createFunction() string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $inlet$
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		PERFORM pg_notify('%[2]s', '');
		RETURN NULL;
	END IF;
	IF TG_OP <> 'INSERT' THEN
		IF TG_ARGV[0] = 'key' THEN
			PERFORM pg_notify('%[2]s', '%[3]c' || encode(OLD.sha256, 'hex'));
		ELSE
			PERFORM pg_notify('%[2]s', '%[4]c' || OLD.id);
		END IF;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		IF TG_ARGV[0] = 'key' THEN
			PERFORM pg_notify('%[2]s', '%[3]c' || encode(NEW.sha256, 'hex'));
		ELSE
			PERFORM pg_notify('%[2]s', '%[4]c' || NEW.id);
		END IF;
	END IF;
	RETURN NULL;
END
$inlet$`, s.function, channel, aboutKey, aboutSource)
}

// createTriggers returns the statements that create those of a table. PostgreSQL 12 and 13 cannot
// replace one.
func (s *statements) createTriggers(table, about string) []string {
	return []string{
		"DROP TRIGGER IF EXISTS inlet_changed ON " + table,
		fmt.Sprintf("CREATE TRIGGER inlet_changed AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s('%s')", table, s.function, about),
		"DROP TRIGGER IF EXISTS inlet_truncated ON " + table,
		fmt.Sprintf("CREATE TRIGGER inlet_truncated AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()", table, s.function),
	}
}

// foundStatement reports whether a table exists, and whether its triggers do and are enabled.
const foundStatement = `SELECT to_regclass($1) IS NOT NULL,
	(SELECT count(*) = 2 FROM pg_trigger WHERE tgrelid = to_regclass($1)
		AND tgname IN ('inlet_changed', 'inlet_truncated') AND tgenabled IN ('O', 'A'))`

// lacks returns the statements that create what is missing.
func (k *Keys) lacks(ctx context.Context, conn *pgxpool.Conn) (missing []string, err error) {
	var triggers []string // of the keys first, in the order in which lookups lock the tables
	for _, t := range []struct {
		name, about string
		create      []string
	}{
		{k.sql.sources, "source", k.sql.createSources()},
		{k.sql.keys, "key", k.sql.createKeys()},
	} {
		var exists, complete bool
		if err := conn.QueryRow(ctx, foundStatement, pgx.QueryExecModeExec, t.name).Scan(&exists, &complete); err != nil {
			return nil, err
		}
		if !exists {
			missing = append(missing, t.create...)
		}
		if !complete {
			triggers = append(k.sql.createTriggers(t.name, t.about), triggers...)
		}
	}
	if len(triggers) > 0 {
		missing = append(append(missing, k.sql.createFunction()), triggers...)
	}
	return missing, nil
}

// prepare makes sure that the tables are there, and can be read.
func (k *Keys) prepare(ctx context.Context) error {
	conn, err := k.pool.Acquire(ctx)
	if err != nil {
		return k.fail("connect", err)
	}
	missing, err := k.lacks(ctx, conn)
	switch {
	case err != nil || len(missing) == 0:
	case k.options.Migrate:
		err = k.change(ctx, conn)
	default:
		err = fmt.Errorf("a table or a trigger is missing; run these statements, or set Migrate:\n%s;", strings.Join(missing, ";\n"))
	}
	conn.Release()
	if err != nil {
		return k.fail("prepare tables", err)
	}
	if err := k.Check(ctx); err != nil {
		return err
	}
	if _, err := k.lookUp(ctx, inlet.Credentials{Key: hashOf("")}); err != nil && !errors.Is(err, inlet.ErrUnknownKey) {
		return err
	}
	return nil
}

// change runs the statements in one transaction, under a lock: IF NOT EXISTS alone fails if two
// processes run it concurrently. Those that waited find that nothing is missing.
func (k *Keys) change(ctx context.Context, conn *pgxpool.Conn) (err error) {
	defer func() {
		if err != nil && execute(ctx, conn.Conn(), "ROLLBACK") != nil {
			_ = conn.Conn().Close(ctx)
		}
	}()
	if err := execute(ctx, conn.Conn(), "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('inlet "+channel+"', 0))"); err != nil {
		return err
	}
	missing, err := k.lacks(ctx, conn)
	if err != nil {
		return err
	}
	if err := execute(ctx, conn.Conn(), strings.Join(append(missing, "COMMIT"), "; ")); err != nil {
		return err
	}
	if len(missing) > 0 {
		k.options.Logger.Info("pgkeys: database changed", "statements", missing)
	}
	return nil
}
