package middleware

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
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
	// Key says what a request is counted under, such as [ByIP] or [BySource].
	// Required: whom a limit hits is the host's decision.
	Key func(*http.Request) (RateKey, bool)
	// MaxKeys bounds how many keys are remembered. A new key beyond it takes the
	// place of the least recently used one that may make a full burst again,
	// which therefore loses nothing by being forgotten; if none of the oldest
	// may, that of the least recently used one. A key by IP takes less than 300
	// bytes (go test -run TestRateLimitMemoryPerKey -v).
	// Defaults to 65,536.
	MaxKeys int
	// Policy names the limit in the RateLimit fields: 1 to 64 letters, digits,
	// underscores and hyphens. Defaults to "default".
	Policy string
}

// A RateKey is what a request is counted under, and optionally a limit of its
// own. Two requests are counted together if both Name and IP are the same.
type RateKey struct {
	// Name is any text. It is copied before it is kept. Defaults to "".
	Name string
	// IP is an address, without its zone. Defaults to none.
	IP netip.Addr
	// Rate and Burst stand in for those of the options. They take effect at once
	// if they differ from those of the request before. Default to those of the
	// options.
	Rate  float64
	Burst int
}

// ByIP counts by client address: each IPv4 address, each IPv6 network of 64
// bits, which is the least that one customer has. The address is that of the
// connection, unless a layer before says otherwise ([inlet.WithClientIP]).
// Requests without one, as over a Unix socket, are not counted.
func ByIP(r *http.Request) (RateKey, bool) {
	ip := inlet.ClientIPOf(r)
	if ip.Is6() {
		network, _ := ip.Prefix(64)
		ip = network.Addr()
	}
	return RateKey{IP: ip}, ip.IsValid()
}

// BySource counts by the source that an authentication layer before has vouched
// for, with the source's own Rate and Burst where it has them. Requests without
// a source are not counted.
func BySource(r *http.Request) (RateKey, bool) {
	source := inlet.SourceOf(r.Context())
	if source == nil {
		return RateKey{}, false
	}
	return RateKey{Name: source.ID, Rate: source.Rate, Burst: source.Burst}, true
}

// RateLimit lets each key make requests at a rate, with bursts, and answers the
// others 429. A request costs one, whatever it holds; one that is refused costs
// nothing. Requests that Key gives no key pass.
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
// seconds to wait, as the draft asks for. Only refusals carry them: the draft leaves
// that to the server, SDKs do not read them on a success, and the text would be
// memory for every request. An accepted request of a key that is remembered
// allocates none.
//
// RateLimit panics if an option is missing or out of range. What it returns has
// one table: put around several handlers, it limits them together.
func RateLimit(o *RateLimitOptions) func(http.Handler) http.Handler {
	if o == nil {
		must("RateLimit", errors.New("options are required: Rate and Key have no defaults"))
	}
	filled := o.withDefaults()
	must("RateLimit", filled.check())
	l := &rateLimit{RateLimitOptions: filled, table: newRateTable(filled.MaxKeys)}
	return l.wrap
}

func (o *RateLimitOptions) withDefaults() RateLimitOptions {
	filled := *o
	if filled.Burst == 0 && filled.Rate > 0 && filled.Rate <= maxRate {
		filled.Burst = int(math.Ceil(filled.Rate))
	}
	filled.MaxKeys = cmp.Or(filled.MaxKeys, 65_536)
	filled.Policy = cmp.Or(filled.Policy, "default")
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
	case o.Key == nil:
		return errors.New("option Key is required, such as ByIP or BySource")
	case o.MaxKeys < 1:
		return fmt.Errorf("option MaxKeys is %d, must be at least 1", o.MaxKeys)
	case len(o.Policy) > 64 || !isRequestID(o.Policy) || strings.Contains(o.Policy, "."):
		return fmt.Errorf("option Policy is %q, must be 1 to 64 letters, digits, underscores and hyphens", o.Policy)
	}
	return nil
}

type rateLimit struct {
	RateLimitOptions
	table *rateTable
}

func (l *rateLimit) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := l.Key(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		key = l.limited(key)
		if wait := l.table.take(key, time.Now()); wait > 0 {
			l.refuse(w, r, key, wait)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// limited fills in the limit of a key that has none of its own.
func (l *rateLimit) limited(key RateKey) RateKey {
	if !(key.Rate > 0) {
		key.Rate = l.Rate
	}
	if key.Burst < 1 {
		key.Burst = l.Burst
	}
	return key
}

func (l *rateLimit) refuse(w http.ResponseWriter, r *http.Request, key RateKey, wait time.Duration) {
	quoted := `"` + l.Policy + `"`
	window := time.Duration(min(float64(key.Burst)/key.Rate, maxRate) * float64(time.Second))
	header := w.Header()
	header["Ratelimit-Policy"] = []string{quoted + ";q=" + strconv.Itoa(key.Burst) + ";w=" + seconds(window)}
	wait += jitter(wait)
	header["Ratelimit"] = []string{quoted + ";r=0;t=" + seconds(wait)}
	inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeRateLimited, RetryAfter: wait})
}

// jitter returns up to a half of wait, and up to two seconds of a short one.
func jitter(wait time.Duration) time.Duration {
	return rand.N(max(wait/2, 2*time.Second))
}

// seconds returns whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(math.Ceil(d.Seconds()))), 10)
}
