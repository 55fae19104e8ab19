package redislimit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/inlet-go/inlet/internal/sinkkit"
	"github.com/inlet-go/inlet/middleware"
)

// ErrClosed is returned by a limiter that is closed.
var ErrClosed = errors.New("redislimit: closed")

// A Limiter keeps buckets in Redis, as the package says. Its methods may be called concurrently.
type Limiter struct {
	o       Options
	client  rueidis.Client
	owned   bool // the client is closed with the limiter
	where   string
	secrets sinkkit.Secrets
	script  *rueidis.Lua
	clock   func() time.Duration // since some moment
	moment  func() int64         // the time that is sent to Redis, in µs; 0 lets it use its own
	table   table

	closed  atomic.Bool
	closing sync.Once

	charges, exchanges, failures atomic.Uint64
}

// New returns a limiter for the Redis of a URL, such as "redis://user:password@host:6379/0",
// "rediss://host" for TLS, or "unix:///run/redis.sock", with the parameters that rueidis reads.
//
// Redis need not be reachable: New waits for a second at most, logs why not, and the limiter
// connects later. Use [Limiter.Check] to require it. An error is about the options or the URL, and
// shows no password.
func New(ctx context.Context, target string, o *Options) (*Limiter, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	secrets := passwords(target)
	co, err := rueidis.ParseURL(target)
	if err != nil {
		return nil, fmt.Errorf("redislimit: URL: %w", secrets.HideError(err))
	}
	co.ForceSingleClient = true // returned even if it cannot connect yet
	co.DisableRetry = true      // a charge whose answer is lost may have been made
	co.DisableCache = true
	if co.Dialer.Timeout == 0 {
		co.Dialer.Timeout = time.Second
	}
	if co.ConnWriteTimeout == 0 {
		co.ConnWriteTimeout = time.Second
	}
	client, err := rueidis.NewClient(co)
	if client == nil {
		return nil, fmt.Errorf("redislimit: %w", secrets.HideError(err))
	}
	l := newLimiter(client, filled)
	l.owned, l.secrets, l.where = true, secrets, co.InitAddress[0]
	if err != nil {
		filled.Logger.WarnContext(ctx, "redislimit: Redis cannot be reached yet", "address", l.where, "error", secrets.HideError(err))
	}
	return l, nil
}

// NewWithClient returns a limiter that uses a client of the caller's, such as one for a cluster or
// with sentinels. The caller closes it, after the limiter. The client should have DisableRetry set:
// otherwise it may make a charge again whose answer was lost.
func NewWithClient(client rueidis.Client, o *Options) (*Limiter, error) {
	filled, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, errors.New("redislimit: client is nil")
	}
	return newLimiter(client, filled), nil
}

func newLimiter(client rueidis.Client, o Options) *Limiter {
	start := time.Now()
	return &Limiter{
		o: o, client: client, where: "a client of the caller's",
		secrets: sinkkit.NewSecrets(""),
		script:  rueidis.NewLuaScript(script),
		clock:   func() time.Duration { return time.Since(start) },
		moment:  func() int64 { return 0 },
		table:   newTable(o.MaxKeys),
	}
}

// passwords returns what hides the URL, and the password in it, in both of its forms.
func passwords(target string) sinkkit.Secrets {
	secrets := []string{target}
	if u, err := url.Parse(target); err == nil {
		if password, ok := u.User.Password(); ok {
			_, escaped, _ := strings.Cut(u.User.String(), ":")
			secrets = append(secrets, escaped, password)
		}
	}
	return sinkkit.NewSecrets("[hidden]", secrets...)
}

// String returns the name of the package and the address of Redis, without a password.
func (l *Limiter) String() string { return "redislimit(" + l.where + ")" }

// Take implements [middleware.Limiter]. It waits for at most one exchange with Redis, unless other
// charges of the same key take what was leased in the meantime. After an error, Redis may have made
// the charge.
func (l *Limiter) Take(ctx context.Context, c middleware.Charge) (middleware.Quota, error) {
	if l.closed.Load() {
		return middleware.Quota{}, ErrClosed
	}
	l.charges.Add(1)
	e := l.table.lookup(&c)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.arrive(&c)
	for {
		q, decided := e.draw(&c, l.clock())
		if decided {
			return q, nil
		}
		if e.asking == nil {
			return l.ask(ctx, e, &c)
		}
		if err := e.await(ctx); err != nil {
			return middleware.Quota{}, err
		}
	}
}

// ask makes the charge in Redis, and leases what the key may need next. The entry is locked before
// and after, not during the exchange.
func (l *Limiter) ask(ctx context.Context, e *entry, c *middleware.Charge) (middleware.Quota, error) {
	sent := l.clock()
	r := e.request(c, sent, l.o.Lease)
	a, err := e.exchange(ctx, func() (answer, error) { return l.send(ctx, c, &r) })
	if err != nil {
		return middleware.Quota{}, err
	}
	e.settle(&r, &a, sent, l.o.Lease)
	if !a.granted {
		if q, decided := e.draw(c, sent); decided { // others may have returned tokens meanwhile
			return q, nil
		}
		return e.refusal(c, sent), nil
	}
	e.take(c)
	return e.quota(c, sent), nil
}

// send runs the script.
func (l *Limiter) send(ctx context.Context, c *middleware.Charge, r *request) (answer, error) {
	l.exchanges.Add(1)
	result := l.script.Exec(ctx, l.client, []string{storedKey(l.o.Prefix, c)}, r.arguments(l.moment()))
	values, err := result.AsStrSlice()
	var a answer
	if err == nil {
		a, err = parseAnswer(values, r)
	}
	if err != nil {
		l.failures.Add(1)
		return answer{}, fmt.Errorf("redislimit: %w", l.secrets.HideError(err))
	}
	return a, nil
}

// Check returns why Redis cannot be used now, for a readiness check that requires it.
func (l *Limiter) Check(ctx context.Context) error {
	if l.closed.Load() {
		return ErrClosed
	}
	if err := l.client.Do(ctx, l.client.B().Ping().Build()).Error(); err != nil {
		return fmt.Errorf("redislimit: %w", l.secrets.HideError(err))
	}
	return nil
}

// Close ends the connection that [New] made. Charges fail from then on. What is leased is lost. It
// may be called again.
func (l *Limiter) Close() error {
	l.closed.Store(true)
	l.closing.Do(func() {
		if l.owned {
			l.client.Close()
		}
	})
	return nil
}

// Stats are counts since construction.
type Stats struct {
	// Charges is how often [Limiter.Take] was called.
	Charges uint64
	// Exchanges is how often Redis was asked, and Failures how often that failed.
	Exchanges, Failures uint64
	// Keys is how many keys are remembered now.
	Keys int
}

// Stats returns the counts. They are read one after another.
func (l *Limiter) Stats() Stats {
	return Stats{
		Charges: l.charges.Load(), Exchanges: l.exchanges.Load(), Failures: l.failures.Load(),
		Keys: l.table.len(),
	}
}
