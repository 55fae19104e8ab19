package middleware

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// StandardOptions configure [Standard]. A nil pointer means all defaults.
type StandardOptions struct {
	// Prefix is the path below which the API is mounted, such as "/t". It is removed from the
	// path of each request, unless a handler in front has done that; any other path is answered
	// 404. Defaults to none.
	Prefix string
	// Origins and AllowOrigin are those whose pages may send events, as [CORSOptions].Origins
	// and its Allow. Defaults to every origin, without credentials, if AllowOrigin and
	// SourceOrigins are not set either.
	Origins     []string
	AllowOrigin func(r *http.Request, origin string) bool
	// SourceOrigins also lets pages of the origins send events that the sources are bound to
	// ([inlet.Source].Origins). The authenticator must have the method
	//
	//	AllowsOrigin(ctx context.Context, origin string) bool
	//
	// as [inlet.Keys] has. So must the one inside, if it is wrapped in another that has the method
	// Unwrap() inlet.Authenticator, such as a cache. Defaults to false.
	SourceOrigins bool
	// TrustedProxies and ProxyHeader say how proxies in front of the server name the client, as
	// [ClientIPOptions].Trusted and its Header. Defaults to the address that a layer outside has
	// set, or else that of the connection.
	TrustedProxies []netip.Prefix
	ProxyHeader    string
	// PerIP limits each client address ([ByIP]), PerSource each source ([BySource]). The rates
	// of a [inlet.Source] replace those of PerSource, and apply without them too. Defaults to
	// no limits.
	PerIP, PerSource Rate
	// Migrations bring payloads of older versions of an API into its newest, the first one
	// first, such as [inlet.CommandersActV1]. Defaults to none.
	Migrations []inlet.Migration
	// Protocol is what the layers and the handler agree on. Set it only where a layer of the
	// host's is between them, and to that of the handler: one that differs is logged once.
	// Defaults to the Protocol of the handler, which then has one budget of memory with the
	// layers, or to a zero [inlet.Protocol] if the handler cannot be seen.
	Protocol *inlet.Protocol
	// NoAccessLog leaves out [AccessLog], for a host that logs requests itself. Defaults to
	// false.
	NoAccessLog bool
	// Observer is notified of every request, as [Observe] does. Give it to the handler, too, for
	// its Ingest. Defaults to none.
	Observer inlet.Observer
	// Logger receives the access log, panics and warnings. Defaults to [slog.Default].
	Logger *slog.Logger
}

// A Rate is how much one client or source may send. The zero value is no limit.
type Rate struct {
	// Events is how many events per second may be stored in the long run; after a pause, those of
	// ten seconds may come together. Defaults to 0: not limited.
	Events float64
	// Requests is how many requests per second may be made in the long run, whatever they
	// contain. Defaults to Events, since a request has at least one.
	Requests float64
	// Burst is how many requests may be made without waiting, after a pause. Defaults to
	// Requests, rounded up.
	Burst int
}

// Standard puts all layers that most hosts need around a handler, in the order that the
// documentation of this package explains: [Recover], [RequestID], [AccessLog], [ClientIP], [CORS],
// [RateLimit] by IP, [Payload], [Auth], RateLimit by source, [Migrate]. A host that needs other
// layers, or other options of theirs, puts them together by [Chain].
//
// Authenticator knows the write keys. Standard panics if it is nil or an option is out of range.
// What Standard returns has one table for each limit: put around several handlers, it limits them
// together.
func Standard(keys inlet.Authenticator, o *StandardOptions) func(http.Handler) http.Handler {
	filled, err := o.withDefaults(keys)
	must(err)
	return Chain(
		filled.observe(),
		Recover(&RecoverOptions{Logger: filled.Logger}),
		RequestID(nil),
		filled.accessLog(),
		filled.clientIP(),
		filled.cors(keys),
		filled.perIP(),
		filled.stripPrefix,
		Payload(&PayloadOptions{Protocol: filled.Protocol, Logger: filled.Logger}),
		Auth(keys, &inlet.AuthOptions{Protocol: filled.Protocol, Logger: filled.Logger}),
		filled.perSource(),
		filled.migrate(),
	)
}

// originAuthenticator is an authenticator that knows the origins of all sources.
type originAuthenticator interface {
	AllowsOrigin(ctx context.Context, origin string) bool
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *StandardOptions) withDefaults(keys inlet.Authenticator) (StandardOptions, error) {
	var filled StandardOptions
	if o != nil {
		filled = *o
	}
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	filled.Origins, filled.TrustedProxies = slices.Clone(filled.Origins), slices.Clone(filled.TrustedProxies)
	filled.Migrations = slices.Clone(filled.Migrations)
	faults := slices.Concat(
		[]error{check.NotNil("the authenticator", keys == nil), filled.checkPrefix()},
		filled.checkOrigins(keys),
		new(forwarded).trust("TrustedProxies", filled.TrustedProxies),
		filled.PerIP.check("PerIP"), filled.PerSource.check("PerSource"),
		[]error{check.NoneNil("Migrations", filled.Migrations, func(m inlet.Migration) bool { return m == nil })})
	filled.Prefix = strings.TrimSuffix(filled.Prefix, "/")
	_, err := inlet.ReadPayload(filled.Protocol)
	return filled, check.Options("middleware", "StandardOptions", append(faults, err)...)
}

func (o *StandardOptions) checkPrefix() error {
	if o.Prefix == "" {
		return nil
	}
	u, err := url.Parse(o.Prefix)
	if err != nil || u.Path != o.Prefix || o.Prefix[0] != '/' || strings.ContainsAny(o.Prefix, "{}*%") ||
		strings.Contains(o.Prefix, "//") {
		return check.Fault("Prefix", `is %q, must be a path such as "/t"`, o.Prefix)
	}
	return nil
}

func (o *StandardOptions) checkOrigins(keys inlet.Authenticator) []error {
	faults := checkOrigins("Origins", o.Origins)
	if slices.Contains(o.Origins, anyOrigin) {
		if o.AllowOrigin != nil {
			faults = append(faults, check.Fault("AllowOrigin", "is set, but Origins allows every origin"))
		}
		if o.SourceOrigins {
			faults = append(faults, check.Fault("SourceOrigins", "is set, but Origins allows every origin"))
		}
	}
	if o.SourceOrigins && keys != nil {
		faults = append(faults, checkKnowsOrigins(keys))
	}
	return faults
}

// checkKnowsOrigins returns a fault if an authenticator, or one inside it, does not know origins.
func checkKnowsOrigins(keys inlet.Authenticator) error {
	for keys != nil {
		if _, ok := keys.(originAuthenticator); !ok {
			return check.Fault("SourceOrigins", "needs an authenticator with the method AllowsOrigin, which %T has not", keys)
		}
		wrapper, ok := keys.(interface{ Unwrap() inlet.Authenticator })
		if !ok {
			return nil
		}
		keys = wrapper.Unwrap()
	}
	return nil
}

// limits reports whether anything is limited.
func (r Rate) limits() bool { return r.Events > 0 || r.Requests > 0 }

func (r Rate) check(field string) []error {
	var burst error
	if r.Burst != 0 && !r.limits() {
		burst = check.Fault(field+".Burst", "is %d, but there is no rate", r.Burst)
	}
	return []error{
		checkContentRate(field+".Events", r.Events), checkContentRate(field+".Requests", r.Requests), burst,
		check.AtLeast(field+".Burst", r.Burst, 0), check.AtMost(field+".Burst", r.Burst, maxRate),
	}
}

// stripPrefix removes the prefix, and refuses paths that do not have it.
func (o *StandardOptions) stripPrefix(next http.Handler) http.Handler {
	if o.Prefix == "" {
		return next
	}
	stripped := http.StripPrefix(o.Prefix, next)
	var warned atomic.Bool
	return &shown{next: next, HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
		asked, _, _ := strings.Cut(r.RequestURI, "?")
		switch {
		case below(o.Prefix, r.URL.Path):
			stripped.ServeHTTP(w, r)
		case below(o.Prefix, asked) && strings.HasSuffix(asked, r.URL.EscapedPath()):
			next.ServeHTTP(w, r) // a handler in front has removed it
		default:
			_, path, _ := strings.Cut(r.Pattern, "/")
			path = strings.TrimSuffix("/"+path, "/")
			if !below(path, o.Prefix) && !below(o.Prefix, path) && !warned.Swap(true) {
				o.Logger.WarnContext(r.Context(), "middleware: prefix is not the path that the API is mounted at; "+
					"make StandardOptions.Prefix that path", "prefix", o.Prefix, "pattern", r.Pattern)
			}
			inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeNotFound})
		}
	}}
}

// below reports whether a path is that of the prefix or below it.
func below(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func (o *StandardOptions) observe() func(http.Handler) http.Handler {
	if o.Observer == nil {
		return nil
	}
	return Observe(o.Observer)
}

func (o *StandardOptions) accessLog() func(http.Handler) http.Handler {
	if o.NoAccessLog {
		return nil
	}
	return AccessLog(&AccessLogOptions{Logger: o.Logger})
}

// clientIP returns the layer that sets the client's address. Without options it does not replace
// an address that a layer outside has set.
func (o *StandardOptions) clientIP() func(http.Handler) http.Handler {
	f, err := (&ClientIPOptions{Trusted: o.TrustedProxies, Header: o.ProxyHeader}).forwarded()
	must(err)
	layer := f.layer(o.Logger)
	if len(o.TrustedProxies) > 0 || o.ProxyHeader != "" {
		return layer
	}
	return func(next http.Handler) http.Handler {
		setting := layer(next)
		return &shown{next: next, HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
			if inlet.ClientIPFromContext(r.Context()).IsValid() {
				next.ServeHTTP(w, r)
				return
			}
			setting.ServeHTTP(w, r)
		}}
	}
}

func (o *StandardOptions) cors(keys inlet.Authenticator) func(http.Handler) http.Handler {
	c := &CORSOptions{Origins: o.Origins, Allow: o.AllowOrigin}
	if o.SourceOrigins {
		sources := keys.(originAuthenticator)
		c.Allow = func(r *http.Request, origin string) bool {
			return o.AllowOrigin != nil && o.AllowOrigin(r, origin) || sources.AllowsOrigin(r.Context(), origin)
		}
	}
	filled, err := c.withDefaults()
	must(err)
	return filled.layer(o.Logger)
}

func (o *StandardOptions) perIP() func(http.Handler) http.Handler {
	if !o.PerIP.limits() {
		return nil
	}
	return o.PerIP.limit("ip", ByIP, o.Logger)
}

// perSource limits every source if there is a rate for all, or else those that have their own.
func (o *StandardOptions) perSource() func(http.Handler) http.Handler {
	if o.PerSource.limits() {
		return o.PerSource.limit("source", BySource, o.Logger)
	}
	own := func(r *http.Request) (RateKey, bool) {
		key, ok := BySource(r)
		return key, ok && (key.Rate > 0 || key.EventRate > 0 || key.ByteRate > 0)
	}
	return RateLimit(&RateLimitOptions{Rate: maxRate, Key: own, Policy: "source", Logger: o.Logger})
}

func (r Rate) limit(policy string, by func(*http.Request) (RateKey, bool), logger *slog.Logger) func(http.Handler) http.Handler {
	return RateLimit(&RateLimitOptions{
		Rate: cmp.Or(r.Requests, r.Events), Burst: r.Burst, EventRate: r.Events, Key: by, Policy: policy, Logger: logger,
	})
}

func (o *StandardOptions) migrate() func(http.Handler) http.Handler {
	var layers []func(http.Handler) http.Handler
	for _, m := range o.Migrations {
		layers = append(layers, Migrate(m, &inlet.MigratePayloadOptions{Protocol: o.Protocol}))
	}
	return Chain(layers...)
}
