package pgkeys

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/inlet-go/inlet/internal/backoff"
)

// channel is where the triggers send their notifications: a letter, and what has changed. That of
// a change of everything is empty.
const channel = "inlet_keys"

// What a notification is about, by its first letter.
const (
	aboutKey    = 'k' // its hash in hexadecimal
	aboutSource = 's' // its id
	aboutTrial  = 't' // the text of a process that finds out whether it hears anything
)

const (
	// patience is how long the server may take for an answer, and for a notification.
	patience = 5 * time.Second
	// minRetry and maxRetry are the waits between attempts to listen.
	minRetry, maxRetry = 100 * time.Millisecond, 30 * time.Second
	// maxForgotten is how many changes that come together are forgotten one by one: forgetting a
	// source costs as much as forgetting everything.
	maxForgotten = 1000
)

// Why changes are not heard.
var (
	errNotYet  = errors.New("pgkeys: not listening yet")
	errNothing = errors.New("no notification arrives, as behind a connection pooler in transaction mode: " +
		"set ListenTo to a connection string that leads to the server directly, or keys are revoked after the TTL of the cache")
)

// listen hears changes until ctx is done.
func (k *Keys) listen(ctx context.Context) {
	defer close(k.stopped)
	for failures := 1; ; failures++ {
		err := k.listenOnce(ctx, func() { failures = 0; k.report(nil) })
		if ctx.Err() != nil {
			return
		}
		k.report(k.fail("listen", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff.Delay(max(failures, 1), minRetry, maxRetry)):
		}
	}
}

// report notes why changes are not heard, and logs it if that is new.
func (k *Keys) report(err error) {
	before := k.Err()
	k.failure.Store(&err)
	switch {
	case err == nil && before != nil && !errors.Is(before, errNotYet):
		k.options.Logger.Info("pgkeys: changes of keys are heard again")
	case err != nil && (before == nil || before.Error() != err.Error()):
		k.options.Logger.Error("pgkeys: changes of keys are not heard; revoked keys work until the TTL is over", "error", err)
	}
}

// listenOnce listens on a new connection until that fails. It calls heard once changes are heard.
func (k *Keys) listenOnce(ctx context.Context, heard func()) error {
	conn, err := k.connectListener(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.options.patience)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := k.within(ctx, func(ctx context.Context) error { return k.try(ctx, conn) }); err != nil {
		if errors.Is(err, errNothing) { // so that the pooler does not send others what this one asked for
			_ = k.within(ctx, func(ctx context.Context) error { return execute(ctx, conn, "UNLISTEN "+channel) })
		}
		return err
	}
	// What was cached until now may have changed unheard; what changes from now on is heard.
	k.forgetAll()
	heard()
	for {
		if err := k.hear(ctx, conn); err != nil {
			return err
		}
	}
}

// within calls f with a limit of time.
func (k *Keys) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, k.options.patience)
	defer cancel()
	return f(ctx)
}

func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

func (k *Keys) connectListener(ctx context.Context) (conn *pgx.Conn, err error) {
	config, err := k.listenConfig(ctx)
	if err != nil {
		return nil, err
	}
	err = k.within(ctx, func(ctx context.Context) error {
		conn, err = pgx.ConnectConfig(ctx, config)
		return err
	})
	return conn, err
}

// try listens, and then sends a notification on another connection, which must arrive. Sent on the
// same one, it would arrive behind a pooler, too.
func (k *Keys) try(ctx context.Context, conn *pgx.Conn) error {
	if err := execute(ctx, conn, "LISTEN "+channel); err != nil {
		return err
	}
	text := string(aboutTrial) + rand.Text()
	if _, err := k.pool.Exec(ctx, "SELECT pg_notify($1, $2)", pgx.QueryExecModeExec, channel, text); err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		switch {
		case err != nil && ctx.Err() != nil && !conn.IsClosed():
			return errNothing
		case err != nil:
			return err
		case n.Payload == text:
			return nil
		}
	}
}

// hear waits for changes, for Options.Interval at most, and forgets them and all others that have
// arrived. It fails if the connection is dead.
func (k *Keys) hear(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, k.options.Interval)
	first, err := conn.WaitForNotification(waiting)
	cancel()
	if err != nil && (conn.IsClosed() || waiting.Err() == nil || ctx.Err() != nil) {
		return err
	}
	var changes []string
	if first != nil {
		changes = append(changes, first.Payload)
	}
	// The answer comes after all notifications that were sent before it.
	if err := k.within(ctx, conn.Ping); err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	for { // those that have arrived, which need no waiting
		n, err := conn.WaitForNotification(done)
		if err != nil {
			break
		}
		changes = append(changes, n.Payload)
	}
	k.forget(changes)
	return nil
}

// forget forgets what has changed.
func (k *Keys) forget(changes []string) {
	if len(changes) > maxForgotten {
		k.forgetAll()
		return
	}
	for _, change := range changes {
		switch {
		case strings.HasPrefix(change, string(aboutKey)):
			k.cache.Forget(change[1:])
		case strings.HasPrefix(change, string(aboutSource)):
			k.cache.ForgetSource(change[1:])
			k.origins.Forget(originsKey)
		case !strings.HasPrefix(change, string(aboutTrial)):
			k.forgetAll()
		}
	}
}

func (k *Keys) forgetAll() {
	k.cache.ForgetAll()
	k.origins.ForgetAll()
}
