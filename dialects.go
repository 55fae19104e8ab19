package inlet

import (
	"bytes"
	_ "embed" // the description
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/inlet-go/inlet/internal/openapi"
	"github.com/inlet-go/inlet/internal/redact"
	"github.com/inlet-go/inlet/internal/wire"
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

//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the description of the built-in dialects as a JSON document in OpenAPI 3.1:
// their paths, keys, payloads, answers and codes, with examples. Its server is the address
// that the command inlet has by default. [Protocol].OpenAPI serves it. The caller owns the result.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

// description is the dialect of a handler that serves its description.
type description struct{ before, after []byte } // the address of the server

// defaultServer is the address of the server in [OpenAPI], as JSON.
const defaultServer = `"http://127.0.0.1:8080"`

// newDescription returns a description of the built-in ones of the dialects, nil for all of them. A
// dialect of a host's own may have the name of a built-in one, and is not described.
func newDescription(dialects []Dialect) (*description, error) {
	document := openAPI
	if dialects != nil {
		names := []string{(*description)(nil).Name()}
		builtin := Dialects()
		for _, d := range dialects {
			if slices.Contains(builtin, d) {
				names = append(names, d.Name())
			}
		}
		var err error
		if document, err = openapi.Only(document, names); err != nil {
			return nil, fmt.Errorf("inlet: the description: %w", err)
		}
	}
	before, after, _ := bytes.Cut(document, []byte(defaultServer))
	return &description{before, after}, nil
}

// Name returns "openapi".
func (*description) Name() string { return "openapi" }

// KeyPlaces returns none: no key is needed.
func (*description) KeyPlaces() (query, members []string) { return nil, nil }

// Routes returns that of the description.
func (d *description) Routes() []Route {
	get := Route{Method: http.MethodGet, Path: "/openapi.json", Open: true, Reply: d.reply}
	head := get
	head.Method = http.MethodHead
	return []Route{get, head}
}

// reply returns the description with the address by which clients reach the server. Without
// [Options.PublicURL] it is that of the request, and the answer is not to be cached. For HEAD it
// makes the headers alone.
func (d *description) reply(q *Inquiry) ([]byte, error) {
	mount := wire.AppendString(nil, q.Mount().String())
	size := len(d.before) + len(mount) + len(d.after)
	head := q.Request.Method == http.MethodHead
	if q.hostless {
		return nil, &errHostless
	}
	if !head {
		if err := q.reserve(size); err != nil {
			return nil, err
		}
	}
	if q.public != nil {
		q.Header["Cache-Control"] = []string{"max-age=300"}
	}
	q.Header["Content-Length"] = []string{strconv.Itoa(size)}
	if head {
		return []byte{}, nil
	}
	return slices.Concat(d.before, mount, d.after), nil
}
