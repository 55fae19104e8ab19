package inlet

import (
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/inlet-go/inlet/internal/redact"
)

// Dialects returns the built-in dialects: SegmentStream's, Segment's, what MetaRouter,
// Astronomer, RudderStack and Jitsu have in addition to that, and Commanders Act's. The
// first two share a path, on which a payload in SegmentStream's shape is SegmentStream's.
func Dialects() []Dialect {
	return []Dialect{SegmentStream(), Segment(), MetaRouter(), RudderStack(), Jitsu(), CommandersAct()}
}

// builtinRoutes returns the table of the built-in dialects within the default limits. All
// handlers and layers without dialects and limits of their own share it, so that a request
// is matched once.
var builtinRoutes = sync.OnceValue(func() *routes {
	limits, _ := Limits{}.withDefaults() // the defaults are valid
	return newRoutes(Dialects(), Dialects(), &limits)
})

// redacted replaces a secret.
const redacted = "REDACTED"

// RedactURL returns u as text for a log: without user information and fragment, with
// REDACTED for the values of the query parameters in which clients of the built-in dialects
// send write keys and whole events, and for the key in the path of a request for settings or
// for a vendor's script, however it is spelt. A pixel's query is an event: all of its values are
// redacted.
//
// It is for hosts that log URLs themselves; the layers of package middleware never log a
// query. It recognises the paths below any mount, and leaves other parameters as they are:
// those of the host.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	safe := url.URL{Scheme: u.Scheme, Host: u.Host, Opaque: u.Opaque, Path: u.Path, RawPath: u.RawPath}
	if path, ok := redact.Path(u.Path, redacted); ok {
		safe.Path, safe.RawPath = path, ""
	}
	safe.RawQuery, safe.ForceQuery = redactions().query(u), u.ForceQuery
	return safe.String()
}

// secretPlaces is where the built-in dialects have what must not be logged of a query.
type secretPlaces struct {
	params []string // names of query parameters
	pixels []string // ends of paths whose query is an event
}

// redactions returns the places of all built-in dialects.
var redactions = sync.OnceValue(func() *secretPlaces {
	p := &secretPlaces{params: []string{"data"}}
	for _, d := range Dialects() {
		query, _ := d.KeyPlaces()
		p.params = append(p.params, query...)
		for _, route := range d.Routes() {
			path := strings.TrimPrefix(route.Path, strings.TrimSuffix(versionPrefix, "/"))
			if route.Body != nil {
				p.pixels = append(p.pixels, path)
			}
		}
	}
	return p
})

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

// secret reports whether the parameter may hold a key or an event. A name that cannot be
// decoded may be anything.
func (p *secretPlaces) secret(escaped string) bool {
	name, err := url.QueryUnescape(strings.TrimPrefix(escaped, "amp;")) // of an "&" that was escaped as in HTML
	return err != nil || slices.ContainsFunc(p.params, func(param string) bool { return strings.EqualFold(param, name) })
}
