package inlet

import (
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Dialects returns the built-in dialects: SegmentStream's, Segment's, what
// MetaRouter, Astronomer, RudderStack and Jitsu have beside that, and Commanders
// Act's. The first two share a path, which a payload in SegmentStream's shape takes
// first.
func Dialects() []Dialect {
	return []Dialect{SegmentStream(), Segment(), MetaRouter(), RudderStack(), Jitsu(), CommandersAct()}
}

// builtinRoutes are the routes of the built-in dialects, by which layers before
// the handler answer in the form of the route.
var builtinRoutes = sync.OnceValue(func() *routes { return newRoutes(Dialects()) })

// FillAnonymousID returns the dialects so that their events have the visitor's
// AnonymousID where they name nobody, neither by userId nor by anonymousId. It is
// not an enricher, as an event without an id is refused before enrichers see it:
//
//	Options{Dialects: FillAnonymousID(Dialects()...)}
func FillAnonymousID(dialects ...Dialect) []Dialect {
	filling := make([]Dialect, len(dialects))
	for i, d := range dialects {
		filling[i] = anonymousIDs{d}
	}
	return filling
}

// anonymousIDs is a dialect whose routes fill in ids.
type anonymousIDs struct{ Dialect }

// Routes are those of the dialect.
func (d anonymousIDs) Routes() []Route {
	routes := slices.Clone(d.Dialect.Routes())
	for i := range routes {
		if decode := routes[i].Decode; decode != nil {
			routes[i].Decode = func(in *Input) error {
				err := decode(in)
				in.fillAnonymousID()
				return err
			}
		}
	}
	return routes
}

func (in *Input) fillAnonymousID() {
	id := VisitorOf(in.Request.Context()).AnonymousID
	for _, e := range in.events {
		if e.UserID == "" && e.AnonymousID == "" {
			e.AnonymousID = id
		}
	}
}

// redacted stands where a secret stood.
const redacted = "REDACTED"

// RedactURL returns u as text for a log: without user information and fragment,
// with REDACTED for the values of the query parameters in which clients of the
// built-in dialects put write keys and whole events, and for the key in the path
// of a settings request. Of a pixel's query, which is an event, no value is left.
//
// It is for hosts that log URLs themselves; the layers of package middleware
// never log a query. It knows the paths below any mount, and leaves other
// parameters as they are: those of the host.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	places := redactions()
	safe := url.URL{Scheme: u.Scheme, Host: u.Host, Opaque: u.Opaque, Path: u.Path, RawPath: u.RawPath}
	if path, ok := places.path(u.Path); ok {
		safe.Path, safe.RawPath = path, ""
	}
	safe.RawQuery, safe.ForceQuery = places.query(u), u.ForceQuery
	return safe.String()
}

// secretPlaces are where the built-in dialects have what must not be logged.
type secretPlaces struct {
	params    []string    // names of query parameters
	pixels    []string    // ends of paths whose query is an event
	wildcards [][2]string // what stands in a path before and after a key
}

var redactions = sync.OnceValue(func() *secretPlaces {
	p := &secretPlaces{params: []string{"data"}}
	for _, d := range Dialects() {
		p.params = append(p.params, d.KeyPlaces().Query...)
		for _, route := range d.Routes() {
			path := strings.TrimPrefix(route.Path, strings.TrimSuffix(versionPrefix, "/"))
			if route.Body != nil {
				p.pixels = append(p.pixels, path)
			}
			if before, rest, ok := strings.Cut(path, "{"); ok {
				_, after, _ := strings.Cut(rest, "}")
				p.wildcards = append(p.wildcards, [2]string{before, after})
			}
		}
	}
	return p
})

// path returns the path without the key in it, if it has one.
func (p *secretPlaces) path(path string) (string, bool) {
	path = normalPath(path)
	for _, w := range p.wildcards {
		i := strings.LastIndex(path, w[0])
		if i >= 0 && strings.HasSuffix(path[i+len(w[0]):], w[1]) {
			return path[:i+len(w[0])] + redacted + w[1], true
		}
	}
	return "", false
}

func (p *secretPlaces) query(u *url.URL) string {
	path := normalPath(u.Path)
	pixel := slices.ContainsFunc(p.pixels, func(end string) bool { return strings.HasSuffix(path, end) })
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if value != "" && (pixel || p.secret(name)) {
			pairs[i] = name + "=" + redacted
		}
	}
	return strings.Join(pairs, "&")
}

// secret reports whether the parameter may hold a key or an event. A name that
// cannot be read may be anything.
func (p *secretPlaces) secret(escaped string) bool {
	name, err := url.QueryUnescape(escaped)
	return err != nil || slices.ContainsFunc(p.params, func(param string) bool { return strings.EqualFold(param, name) })
}
