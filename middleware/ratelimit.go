package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// RateLimitOptions configure [RateLimit].
type RateLimitOptions struct {
	// Rate is how many requests per second each key may make in the long run.
	// Required.
	Rate float64
	// Burst is how many requests a key may make at once, after a rest. Defaults
	// to Rate, rounded up.
	Burst int
	// EventRate is how many events per second each key may have stored in the
	// long run, and after a rest those of ten seconds at once. Defaults to 0: not
	// limited, but for keys that have one of their own.
	EventRate float64
	// ByteRate is the same in bytes of bodies after decompression. Defaults to 0:
	// not limited, but for keys that have one of their own.
	ByteRate float64
	// Key says what a request is counted under, such as [ByIP] or [BySource].
	// Required: whom a limit hits is the host's decision.
	Key func(*http.Request) (RateKey, bool)
	// MaxKeys is that of the [MemoryLimiter] of this layer. Defaults to 65,536.
	MaxKeys int
	// Policy names the limit in the RateLimit fields and in the charges that a
	// Limiter gets: 1 to 64 letters, digits, underscores and hyphens. Layers that
	// share a Limiter need different ones. Defaults to "default".
	Policy string
	// Limiter keeps the buckets. Defaults to a [MemoryLimiter] of this layer's own.
	Limiter Limiter
	// LimiterTimeout is how long a request waits for the Limiter. Defaults to
	// 100 milliseconds.
	LimiterTimeout time.Duration
	// OnError says what becomes of requests while the Limiter returns errors.
	// After an error it is not asked for a second. Defaults to [FallBackLocal].
	OnError LimiterFailure
	// Logger gets the errors of the Limiter, at most one a second. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

// RateLimit lets each key make requests at a rate, with bursts, and answers the
// others 429. A request costs one, whatever it holds, before its body is read;
// one that is refused costs nothing. Requests that Key gives no key pass.
//
// Where events or bytes are limited too, a request is refused before its body is
// read while the key has none left, and otherwise charged once it has been read
// and checked, before anything is stored: the 429 means that nothing is, and the
// client sends all of it again. A request that holds more than the key may send
// at once passes when the key has rested, and the key then rests the longer, so
// that large batches are neither shut out nor cheaper. The charge stands whatever
// the sink then says. It is made by an [inlet.Handler] behind; other handlers are
// charged for requests only.
//
// A refusal carries Retry-After and X-RateLimit-Reset, both the same whole
// seconds to wait, with a random part, so that those who were refused together
// do not come back together; and the fields of
// draft-ietf-httpapi-ratelimit-headers-11:
//
//	RateLimit-Policy: "default";q=100;w=2
//	RateLimit: "default";r=0;t=1
//
// where q is the burst, w the seconds in which it grows back, and t the same
// seconds to wait, as the draft asks for. For events the name is "default-events",
// for bytes "default-bytes" with qu="content-bytes". Only refusals carry them: the draft leaves
// that to the server, SDKs do not read them on a success, and the text would be
// memory for every request. An accepted request allocates none, unless events
// or bytes are limited or a Limiter is given.
//
// RateLimit panics if an option is missing or out of range. What it returns has
// one table: put around several handlers, it limits them together.
func RateLimit(o *RateLimitOptions) func(http.Handler) http.Handler {
	if o == nil {
		must("RateLimit", errors.New("options are required: Rate and Key have no defaults"))
	}
	filled := o.withDefaults()
	must("RateLimit", filled.check())
	return (&rateLimit{filled, filled.limiter()}).wrap
}

func (o *RateLimitOptions) withDefaults() RateLimitOptions {
	filled := *o
	if filled.Burst == 0 && filled.Rate > 0 && filled.Rate <= maxRate {
		filled.Burst = int(math.Ceil(filled.Rate))
	}
	filled.MaxKeys = cmp.Or(filled.MaxKeys, 65_536)
	filled.Policy = cmp.Or(filled.Policy, "default")
	filled.LimiterTimeout = cmp.Or(filled.LimiterTimeout, 100*time.Millisecond)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	return filled
}

// maxRate bounds rates to what whole numbers can express.
const maxRate = 1e9

func (o *RateLimitOptions) check() error {
	switch {
	case !(o.Rate > 0 && o.Rate <= maxRate): // NaN, too
		return fmt.Errorf("option Rate is %v, must be above 0 and at most %v", o.Rate, maxRate)
	case o.Burst < 1 || o.Burst > maxRate:
		return fmt.Errorf("option Burst is %d, must be at least 1 and at most %v", o.Burst, maxRate)
	case !(o.EventRate >= 0 && o.EventRate <= maxRate):
		return fmt.Errorf("option EventRate is %v, must be at least 0 and at most %v", o.EventRate, maxRate)
	case !(o.ByteRate >= 0 && o.ByteRate <= maxRate):
		return fmt.Errorf("option ByteRate is %v, must be at least 0 and at most %v", o.ByteRate, maxRate)
	case o.Key == nil:
		return errors.New("option Key is required, such as ByIP or BySource")
	case o.MaxKeys < 1:
		return fmt.Errorf("option MaxKeys is %d, must be at least 1", o.MaxKeys)
	case len(o.Policy) > 64 || !isRequestID(o.Policy) || strings.Contains(o.Policy, "."):
		return fmt.Errorf("option Policy is %q, must be 1 to 64 letters, digits, underscores and hyphens", o.Policy)
	case o.LimiterTimeout < 0:
		return fmt.Errorf("option LimiterTimeout is %v, must not be negative", o.LimiterTimeout)
	case o.OnError > FailClosed:
		return fmt.Errorf("option OnError is %d, must be one of the constants", o.OnError)
	}
	return nil
}

// limiter returns what the layer asks.
func (o *RateLimitOptions) limiter() Limiter {
	if _, own := o.Limiter.(*MemoryLimiter); own {
		return o.Limiter
	}
	local := func() *MemoryLimiter {
		l, err := NewMemoryLimiter(&MemoryLimiterOptions{MaxKeys: o.MaxKeys})
		must("RateLimit", err)
		return l
	}
	if o.Limiter == nil {
		return local()
	}
	g := &guardedLimiter{limiter: o.Limiter, failure: o.OnError, timeout: o.LimiterTimeout, logger: o.Logger, started: time.Now()}
	if o.OnError == FallBackLocal {
		g.local = local()
	}
	return g
}

type rateLimit struct {
	RateLimitOptions
	limiter Limiter
}

func (l *rateLimit) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := l.Key(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		c := l.charge(key)
		if err := l.take(r.Context(), w, c); err != nil {
			inlet.WriteError(w, r, err)
			return
		}
		if c.Events.Rate > 0 || c.Bytes.Rate > 0 {
			r = inlet.WithCharge(r, (&laterCharge{l, w, c}).take)
		}
		next.ServeHTTP(w, r)
	})
}

// charge returns what a request draws before its body is read.
func (l *rateLimit) charge(key RateKey) Charge {
	if !(key.Rate > 0) {
		key.Rate = l.Rate
	}
	if key.Burst < 1 {
		key.Burst = l.Burst
	}
	return Charge{
		Policy: l.Policy, Name: key.Name, IP: key.IP,
		Requests: Draw{Rate: min(key.Rate, maxRate), Burst: min(key.Burst, maxRate), Cost: 1},
		Events:   contentDraw(key.EventRate, l.EventRate),
		Bytes:    contentDraw(key.ByteRate, l.ByteRate),
	}
}

// contentWindow is the time whose events and bytes may be sent at once, in
// seconds: SDKs send in batches.
const contentWindow = 10

// contentDraw asks whether there is anything left at the key's rate, or at that
// of the options.
func contentDraw(own, otherwise float64) Draw {
	if !(own > 0) {
		own = otherwise
	}
	own = min(own, maxRate)
	return Draw{Rate: own, Burst: int(math.Ceil(own * contentWindow))}
}

// A laterCharge is for what a request holds.
type laterCharge struct {
	limit  *rateLimit
	w      http.ResponseWriter
	charge Charge
}

// take is called by the handler.
func (l *laterCharge) take(ctx context.Context, events, bytes int) error {
	c := l.charge
	c.Requests, c.Events.Cost, c.Bytes.Cost = Draw{}, events, bytes
	return l.limit.take(ctx, l.w, c)
}

// take returns the refusal of a charge, with its headers set, or nil.
func (l *rateLimit) take(ctx context.Context, w http.ResponseWriter, c Charge) error {
	q, err := l.limiter.Take(ctx, c)
	if err != nil {
		wait := time.Second + jitter(0)
		return &inlet.Error{Code: inlet.CodeOverloaded, RetryAfter: wait, Err: fmt.Errorf("the rate limiter failed: %w", err)}
	}
	if q.OK {
		return nil
	}
	wait := c.wait(q)
	wait += jitter(wait)
	l.setHeaders(w.Header(), &c, q, wait)
	return &inlet.Error{Code: inlet.CodeRateLimited, RetryAfter: wait, Message: refusals[q.Unit%3]}
}

// wait returns how long to wait after a refusal. While nobody knows yet how much
// the request holds it is until the bucket is full, when any request passes.
func (c *Charge) wait(q Quota) time.Duration {
	if q.Unit != UnitRequests && c.Requests.Cost > 0 {
		return min(max(q.RetryAfter, q.Reset), longestWait)
	}
	return max(1, q.RetryAfter)
}

// refusals are what a client is told, by the unit of which it sent too many.
var refusals = [...]string{UnitRequests: "too many requests", UnitEvents: "too many events", UnitBytes: "too many bytes"}

// setHeaders sets the RateLimit fields of a refusal.
func (l *rateLimit) setHeaders(header http.Header, c *Charge, q Quota, wait time.Duration) {
	name, unit := `"`+l.Policy+`"`, ""
	d := &c.Requests
	switch q.Unit {
	case UnitEvents:
		name, d = `"`+l.Policy+`-events"`, &c.Events
	case UnitBytes:
		name, d, unit = `"`+l.Policy+`-bytes"`, &c.Bytes, `;qu="content-bytes"`
	}
	window := time.Duration(min(float64(d.Burst)/d.Rate, maxRate) * float64(time.Second))
	header["Ratelimit-Policy"] = []string{name + unit + ";q=" + strconv.Itoa(d.Burst) + ";w=" + seconds(window)}
	header["Ratelimit"] = []string{name + ";r=" + strconv.Itoa(q.Remaining) + ";t=" + seconds(wait)}
}

// jitter returns up to a half of wait, and up to two seconds of a short one.
func jitter(wait time.Duration) time.Duration {
	return rand.N(max(wait/2, 2*time.Second))
}

// seconds returns whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(math.Ceil(d.Seconds()))), 10)
}
