package middleware

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/order"
)

// RateLimitOptions configure [RateLimit]. A nil pointer means all defaults. Rate and Key
// have none, so RateLimit panics for nil.
type RateLimitOptions struct {
	// Rate is how many requests per second each key may make in the long run. Required.
	Rate float64
	// Burst is how many requests a key may make without waiting, after a pause. Defaults to
	// Rate, rounded up.
	Burst int
	// EventRate is how many events per second each key may have stored in the long run;
	// after a pause, those of ten seconds may come together. Defaults to 0: not limited,
	// except for keys that have a rate of their own.
	EventRate float64
	// ByteRate is the same in bytes of bodies after decompression. Defaults to 0: not
	// limited, except for keys that have a rate of their own.
	ByteRate float64
	// Key returns the key that a request is counted under, such as [ByIP] or [BySource], and
	// false for a request that is not limited: the host decides what is limited. It may be
	// called concurrently. Required.
	Key func(*http.Request) (RateKey, bool)
	// MaxKeys is that of the [MemoryLimiter] of this layer. Defaults to 65,536.
	MaxKeys int
	// Policy names the limit in the RateLimit fields and in the charges passed to a
	// Limiter: 1 to 64 letters, digits, underscores and hyphens. Layers that share a
	// Limiter need different names, unless they limit together. Defaults to "default".
	Policy string
	// Limiter keeps the buckets. Defaults to a [MemoryLimiter] of this layer.
	Limiter Limiter
	// LimiterTimeout is how long a request waits for the Limiter. Defaults to 100
	// milliseconds.
	LimiterTimeout time.Duration
	// OnError decides about requests while the Limiter returns errors. After an error it is
	// not called for a second. Defaults to [FallBackLocal].
	OnError LimiterFailure
	// Logger receives the errors of the Limiter, at most one per second. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

// A RateKey is the key that a request is counted under, optionally with its own limits. Two
// requests are counted together if both Name and IP are equal.
type RateKey struct {
	// Name is any text. Defaults to "".
	Name string
	// IP is an address, without its zone. Defaults to none.
	IP netip.Addr
	// Rate, Burst, EventRate and ByteRate replace those of the options. A change from the
	// request before takes effect immediately. Defaults to those of the options.
	Rate      float64
	Burst     int
	EventRate float64
	ByteRate  float64
}

// ByIP counts by client address: by single IPv4 addresses, and by IPv6 networks of 64 bits, which
// is the least that one customer has. An IPv6 address that stands for an IPv4 client behind a
// translator (NAT64, in 64:ff9b::/96 and 64:ff9b:1::/48) counts as that IPv4 address. The address
// is that of the connection, unless a layer outside has set another ([ClientIP]). Requests without
// one, as over a Unix socket, are not limited.
func ByIP(r *http.Request) (RateKey, bool) { return byNetwork(r, 32, 64) }

// ByNetwork returns a function that counts as [ByIP] does, but by networks of the given numbers
// of bits, IPv4 and IPv6: ByNetwork(24, 56), for example, if attackers own whole networks. It
// panics if such networks do not exist.
func ByNetwork(bits4, bits6 int) func(*http.Request) (RateKey, bool) {
	must(check.Options("middleware", "ByNetwork",
		check.AtLeast("bits4", bits4, 1), check.AtMost("bits4", bits4, 32),
		check.AtLeast("bits6", bits6, 1), check.AtMost("bits6", bits6, 128)))
	return func(r *http.Request) (RateKey, bool) { return byNetwork(r, bits4, bits6) }
}

func byNetwork(r *http.Request, bits4, bits6 int) (RateKey, bool) {
	order.TrailOf(r.Context()).NoteLimit(order.LimitByIP)
	ip := translated(inlet.ClientIP(r))
	bits := bits4
	if ip.Is6() {
		bits = bits6
	}
	network, err := ip.Prefix(bits) // without a zone
	return RateKey{IP: network.Addr()}, err == nil && ip.IsValid()
}

// The prefixes under which translators put IPv4 addresses into IPv6 addresses.
var (
	nat64Global = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local  = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215, split up as a network likes
)

// translated returns the IPv4 address in an address of a translator, and any other as it is.
//
// Below the local prefix a network chooses how long its own prefix is: 48, 56, 64 or 96 bits. The
// IPv4 address follows that, without the bits 64 to 71, and all behind it is zero, so the last
// byte that is not shows the length.
func translated(ip netip.Addr) netip.Addr {
	b := ip.As16()
	v4 := [4]byte(b[12:])
	switch ip = ip.WithZone(""); {
	case nat64Global.Contains(ip):
	case !nat64Local.Contains(ip):
		return ip
	case b[13]|b[14]|b[15] != 0:
	case b[12] != 0:
		v4 = [4]byte(b[9:13])
	case b[11] != 0:
		v4 = [4]byte{b[7], b[9], b[10], b[11]}
	default:
		v4 = [4]byte{b[6], b[7], b[9], b[10]}
	}
	if v4 == ([4]byte{}) { // such as that of a network, which no client has
		return ip
	}
	return netip.AddrFrom4(v4)
}

// BySource counts by the source of an authenticated request, with the rates of the source if it
// has any. Requests without a source are not limited.
func BySource(r *http.Request) (RateKey, bool) {
	order.TrailOf(r.Context()).NoteLimit(order.LimitBySource)
	source := inlet.SourceFromContext(r.Context())
	if source == nil {
		return RateKey{}, false
	}
	return RateKey{
		Name: source.ID,
		Rate: source.Rate, Burst: source.Burst,
		EventRate: source.EventRate, ByteRate: source.ByteRate,
	}, true
}

// RateLimit lets each key make requests at a rate, with bursts, and answers the others 429. A
// request costs one, whatever it contains, before its body is read; one that is refused costs
// nothing.
//
// If events or bytes are limited too, a request is refused before its body is read while nothing
// is left of the key's limit. Otherwise it is charged once it has been read and checked, before
// anything is stored: a 429 means that nothing was stored, and the client sends all of it again.
// A request with more than the key may send without waiting passes after a pause, and the next
// pause is then longer, so that large batches are neither shut out nor cheaper. The charge is made
// by an [inlet.Handler] inside; other handlers are charged for requests only.
//
// What is charged is in proportion to what was sent ([inlet.WithCharge]). Events that are refused
// cost nothing, also if only the sink refuses them. A request that is refused with 400 after it
// was read costs its bytes, as sent, or what is left. A batch with more than 20 events and one for
// each 8 bytes as sent, which only repetition that was compressed can have, is refused with 400.
// The charge is not returned if the sink fails temporarily.
//
// A refusal carries Retry-After and X-RateLimit-Reset, both the same number of whole seconds to
// wait. It has a random part, so that clients that were refused together do not return together.
// It also carries the fields of draft-ietf-httpapi-ratelimit-headers-11:
//
//	RateLimit-Policy: "default";q=100;w=2
//	RateLimit: "default";r=0;t=1
//
// q is the burst, w the seconds in which it is refilled, and t the same seconds to wait, as the
// draft asks for. For events the name is "default-events", for bytes "default-bytes" with
// qu="content-bytes". Only refusals carry these fields: the draft leaves that to the server, SDKs
// do not read them on success, and their text would be memory for every request. An accepted
// request allocates no memory, except the state that the layers share if none came before, unless
// events or bytes are limited or a Limiter is set.
//
// RateLimit panics if an option is missing or out of range. What it returns has one table: put
// around several handlers, it limits them together.
func RateLimit(o *RateLimitOptions) func(http.Handler) http.Handler {
	filled, err := o.withDefaults()
	must(err)
	l := &rateLimit{RateLimitOptions: filled, limiter: filled.limiter()}
	l.memory, _ = l.limiter.(*MemoryLimiter)
	return l.wrap
}

// maxRate bounds rates to what whole numbers can express.
const maxRate = 1e9

// withDefaults returns a filled copy. The error names every field at fault.
func (o *RateLimitOptions) withDefaults() (RateLimitOptions, error) {
	var filled RateLimitOptions
	if o != nil {
		filled = *o
	}
	validRate := filled.Rate > 0 && filled.Rate <= maxRate // false for NaN, too
	if filled.Burst == 0 && validRate {
		filled.Burst = int(math.Ceil(filled.Rate))
	}
	filled.MaxKeys = cmp.Or(filled.MaxKeys, 65_536)
	filled.Policy = cmp.Or(filled.Policy, "default")
	filled.LimiterTimeout = cmp.Or(filled.LimiterTimeout, 100*time.Millisecond)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())

	var rateErr, burstErr, policyErr error
	if !validRate {
		rateErr = check.Fault("Rate", "is %v, must be above 0 and at most %v", filled.Rate, maxRate)
	}
	if validRate || filled.Burst != 0 { // otherwise its default is not known
		burstErr = check.AtLeast("Burst", filled.Burst, 1)
	}
	if len(filled.Policy) > 64 || !isToken(filled.Policy, "_-") {
		policyErr = check.Fault("Policy", "is %q, must be 1 to 64 letters, digits, underscores and hyphens", filled.Policy)
	}
	return filled, check.Options("middleware", "RateLimitOptions",
		rateErr, burstErr, check.AtMost("Burst", filled.Burst, maxRate),
		checkContentRate("EventRate", filled.EventRate), checkContentRate("ByteRate", filled.ByteRate),
		check.NotNil("Key", filled.Key == nil),
		check.AtLeast("MaxKeys", filled.MaxKeys, 1),
		policyErr,
		check.AtLeast("LimiterTimeout", filled.LimiterTimeout, 0),
		check.AtMost("OnError", filled.OnError, FailClosed))
}

func checkContentRate(field string, rate float64) error {
	if rate >= 0 && rate <= maxRate { // false for NaN, too
		return nil
	}
	return check.Fault(field, "is %v, must be at least 0 and at most %v", rate, maxRate)
}

// limiter returns the limiter that the layer calls.
func (o *RateLimitOptions) limiter() Limiter {
	if _, inMemory := o.Limiter.(*MemoryLimiter); inMemory {
		return o.Limiter
	}
	local := func() *MemoryLimiter {
		l, err := NewMemoryLimiter(&MemoryLimiterOptions{MaxKeys: o.MaxKeys})
		must(err)
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
	memory  *MemoryLimiter // the limiter, if it is one
}

func (l *rateLimit) wrap(next http.Handler) http.Handler {
	place := order.New(order.None, next, l.Logger)
	return &transparent{&placed{place, next, func(w http.ResponseWriter, r *http.Request) {
		key, ok := l.Key(r)
		trail := order.TrailOf(r.Context())
		place.EnterLimit(r.Context(), trail) // the key shows what the limit is by
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		c := l.requestCharge(key)
		if err := l.charge(r.Context(), w, trail.Lane(), &c, wait{before: r}); err != nil {
			inlet.WriteError(w, r, err)
			return
		}
		if c.Events.Rate > 0 || c.Bytes.Rate > 0 {
			r = inlet.WithCharge(r, (&contentCharge{l, w, c}).charge)
		}
		next.ServeHTTP(w, r)
	}}}
}

// requestCharge returns the charge of a request before its body is read.
func (l *rateLimit) requestCharge(key RateKey) Charge {
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

// contentWindow is the time whose events and bytes may be sent without waiting, in seconds: SDKs
// send in batches.
const contentWindow = 10

// contentDraw returns a draw that asks whether anything is left, at the rate of the key or, if it
// has none, at that of the options.
func contentDraw(rate, otherwise float64) Draw {
	if !(rate > 0) {
		rate = otherwise
	}
	rate = min(rate, maxRate)
	return Draw{Rate: rate, Burst: int(math.Ceil(rate * contentWindow))}
}

// A contentCharge charges for the events and bytes of a request.
type contentCharge struct {
	limit   *rateLimit
	w       http.ResponseWriter
	request Charge
}

// charge is called by the handler, once it knows what the request contains, and later for what was
// refused or is to be returned.
func (l *contentCharge) charge(ctx context.Context, events, bytes int) error {
	c := l.request
	c.Requests, c.Events.Cost, c.Bytes.Cost = Draw{}, events, bytes
	if events > 0 {
		return l.limit.charge(ctx, l.w, order.TrailOf(ctx).Lane(), &c, wait{})
	}
	if events == 0 {
		c.Events = Draw{}
	}
	if bytes == 0 {
		c.Bytes = Draw{}
	}
	if c.Events.Rate > 0 || c.Bytes.Rate > 0 {
		l.limit.take(ctx, c)
	}
	return nil
}

// take makes a charge that cannot be refused: for bytes it takes what is left if that is less.
func (l *rateLimit) take(ctx context.Context, c Charge) {
	q, err := l.limiter.Take(ctx, c)
	if err == nil && !q.OK && q.Remaining > 0 {
		c.Bytes.Cost = q.Remaining
		_, _ = l.limiter.Take(ctx, c) // the limiter reports its own failures
	}
}

// charge makes a charge. If it is refused, charge sets the headers and returns the refusal.
func (l *rateLimit) charge(ctx context.Context, w http.ResponseWriter, in lanes.Lane, c *Charge, at wait) error {
	if l.memory != nil && l.memory.grants(in, c) {
		return nil
	}
	q, err := l.limiter.Take(ctx, *c)
	if err != nil {
		wait := time.Second + jitter(0)
		return &inlet.Error{Code: inlet.CodeOverloaded, RetryAfter: wait, Err: fmt.Errorf("rate limiter failed: %w", err)}
	}
	if q.OK {
		return nil
	}
	wait := at.after(q, c)
	wait += jitter(wait)
	l.setHeaders(w.Header(), c, q, wait)
	return &inlet.Error{Code: inlet.CodeRateLimited, RetryAfter: wait, Message: refusals[q.Unit%3]}
}

// A wait is how long to wait after a refusal of a request whose body was not read yet, or was.
type wait struct {
	before *http.Request // nil if it was
}

// after returns the time until the request passes. Before the body is read that is until the
// bucket has the most that a request of that length can contain, or is full: any request passes
// then.
func (a wait) after(q Quota, c *Charge) time.Duration {
	if q.Unit == UnitRequests || a.before == nil {
		return max(1, q.RetryAfter)
	}
	full := min(max(q.RetryAfter, q.Reset), maxWait)
	d, most := &c.Events, mostEvents(a.before)
	if q.Unit == UnitBytes {
		d, most = &c.Bytes, mostBytes(a.before)
	}
	if most < 0 {
		return full
	}
	return max(1, min(full, q.RetryAfter+d.refillTime(float64(most-1))))
}

// mostEvents returns how many events the request has at most, -1 if that is not known. An
// [inlet.Handler] accepts no more.
func mostEvents(r *http.Request) int64 {
	switch {
	case r.ContentLength < 0:
		return -1
	case r.ContentLength == 0: // a pixel
		return 1
	}
	return admission.MostEvents(r.ContentLength)
}

// mostBytes returns how many bytes the request has at most after decompression, -1 if that is not
// known.
func mostBytes(r *http.Request) int64 {
	if r.ContentLength <= 0 || len(r.Header["Content-Encoding"]) > 0 {
		return -1
	}
	return r.ContentLength
}

// refusals are the messages to clients, by the unit of which there were too many.
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

// jitter returns a random part of half of wait, or of two seconds if wait is short.
func jitter(wait time.Duration) time.Duration {
	return rand.N(max(wait/2, 2*time.Second))
}

// seconds returns whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(math.Ceil(d.Seconds()))), 10)
}
