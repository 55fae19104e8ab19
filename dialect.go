package inlet

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Dialect is one vendor's wire protocol: its routes, its payloads, and where in them its
// write key may be. [Dialects] returns the built-in ones; a host adds its own through
// [Protocol.Dialects].
//
// Concurrency: all methods may be called concurrently, and must return the same values
// every time.
type Dialect interface {
	// Name returns the name that events carry, such as "segment".
	Name() string
	// Routes returns the endpoints. It is called once, at construction.
	Routes() []Route
	// KeyPlaces returns where a client may put its write key in requests for the routes of
	// the dialect, in addition to the headers that all dialects share: names of query
	// parameters, and names of members in the root of the body and in each listed event.
	// Names are exact.
	KeyPlaces() (query, members []string)
}

// A Route is an endpoint of a dialect.
type Route struct {
	// Method is the HTTP method, such as "POST". Required.
	Method string
	// Path is the path below the mount, such as "/v1/track". Requests match it with
	// doubled slashes and trailing slashes, and with and without "/v1" in front, and never
	// get a redirect. One segment may be a wildcard in braces, "{key}", whose value is the
	// request's PathValue. Required.
	Path string
	// Shape distinguishes routes of the same method and path by the payload: the first
	// route whose Shape returns true is used. Defaults to accepting all payloads.
	Shape func(root Object) bool
	// Open routes need no write key. They must store nothing. Defaults to false.
	Open bool
	// Reply answers an open route that has no payload, such as the settings that a browser
	// library requests. It returns JSON, and may set headers. Defaults to none.
	Reply func(*Inquiry) ([]byte, error)
	// Key finds the write key in the payload, in a place that only this route has, instead
	// of in the members that KeyPlaces lists. It is called if no header and no query
	// parameter has a key. Defaults to searching those members.
	Key func(r *http.Request, root Object) string
	// BearerIsKey treats a Bearer token as a write key like any other, so that one that
	// differs from another place's is a conflict. Defaults to false: a Bearer token is the
	// key only if no other place has one.
	BearerIsKey bool
	// UserOptional accepts events that name no user, neither by userId nor by anonymousId.
	// Defaults to false: such an event is refused.
	UserOptional bool
	// Batch marks payloads that list events. Defaults to false: the payload is one event.
	Batch bool
	// MaxBytes bounds the payload after decompression, in bytes. Defaults to
	// [Limits.BatchBytes] for a Batch route, and to [Limits.EventBytes] for others.
	MaxBytes int64
	// Form is the form of the answer. Defaults to FormJSON.
	Form Form
	// Body makes the payload of a request whose events are not in its body, such as a
	// pixel's in its query. Defaults to reading the body.
	Body func(*http.Request) ([]byte, error)
	// Decode makes events of the payload. An error refuses the whole request; single
	// events are refused by [Input.Refuse]. A route whose Decode adds no event is answered
	// as a success. Required, unless the route is Open.
	Decode func(*Input) error
}

// A Form is the form in which a route answers.
type Form uint8

const (
	// FormJSON answers 200 {"success":true}, which every SDK of the Segment family accepts
	// as a success, and errors with their status.
	FormJSON Form = iota
	// FormEmpty answers a success with 204 and no body, and errors as FormJSON.
	FormEmpty
	// FormLenient answers 200 even if every event was refused: only the body reports that.
	// Refusals of the request as a whole are those of FormJSON.
	FormLenient
	// FormPixel always answers 200 with a transparent GIF. The header X-Inlet-Error has
	// the code of an error. HEAD is answered as GET, without a key, and stores nothing.
	FormPixel
)

// An Inquiry is a request other than event ingestion, such as that of a library that asks
// at its start where to send events. It belongs to one call of [Route.Reply].
type Inquiry struct {
	// Request is the request. Its body is not read.
	Request *http.Request
	// Header is that of the answer, unless it is a refusal. The content type is set already.
	Header http.Header
	// HTTPConfig is [Options.HTTPConfig], or nil. Read-only.
	HTTPConfig json.RawMessage

	public   *url.URL         // Options.PublicURL, or nil
	account  *account.Account // of the request
	hostless bool             // Mount was asked for, and there is no host
}

// errHostless refuses a request whose answer would say where clients reach the handler.
var errHostless = Error{Code: CodeInvalidRequest, Message: "the request names no host", Field: "Host"}

// reserve charges the request for an answer of that many bytes, before it is made: it is long, and
// concurrent requests must not use more memory for it than they all may.
func (q *Inquiry) reserve(n int) error {
	if err := q.account.Reserve(int64(n)); err != nil {
		return accountError(err)
	}
	return nil
}

// Mount returns where clients reach the handler, without a slash at the end:
// [Options.PublicURL] or, without that, the scheme, host and path prefix by which this
// request came. In the second case the answer is marked as not to be cached, because the
// host is what this client sent; and if it sent none, as HTTP/1.0 allows, the request is
// refused, whatever [Route.Reply] returns.
func (q *Inquiry) Mount() *url.URL {
	if q.public != nil {
		return q.public
	}
	q.Header["Cache-Control"] = noStore
	mount := &url.URL{Scheme: "http", Host: q.Request.Host, Path: mountPath(q.Request)}
	if q.Request.TLS != nil {
		mount.Scheme = "https"
	}
	q.hostless = q.hostless || mount.Hostname() == ""
	return mount
}

// noStore is a header's values, made once: net/http does not change them.
var noStore = []string{"no-store"}

// mountPath returns what layers before the handler, such as [http.StripPrefix], removed
// from the path. It is "" if the path was rewritten in another way.
func mountPath(r *http.Request) string {
	asked, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return ""
	}
	prefix, _ := strings.CutSuffix(asked.Path, r.URL.Path)
	if prefix == asked.Path {
		return ""
	}
	return strings.TrimRight(prefix, "/")
}

// routes is a table that finds the route of a request.
type routes struct {
	byPath    map[string][]*boundRoute // by normalised path
	wildcards []*boundRoute            // those with a wildcard
}

// boundRoute is a route with its defaults, the dialect that it belongs to, and the next
// route of the same method and path, whose payloads have another shape.
type boundRoute struct {
	Route
	dialect string
	builtin bool      // the dialect is one of ours, which makes raw fields of what was read only
	places  keyPlaces // of this route and those after it
	next    *boundRoute
	// maxPayload is the largest MaxBytes of this route and those after it: the bound while
	// the payload is read and its shape is not known.
	maxPayload int64
}

// payload returns what Body makes, without a byte order mark.
func (b *boundRoute) payload(r *http.Request) ([]byte, error) {
	made, err := b.Body(r)
	return bytes.TrimPrefix(made, []byte("\xef\xbb\xbf")), err
}

// newRoutes indexes the routes of the dialects. The built-in ones are told apart. A pixel is
// also answered to HEAD, with its headers alone, and then nothing is stored: the image is not
// shown.
func newRoutes(dialects, builtin []Dialect, limits *Limits) *routes {
	t := &routes{byPath: map[string][]*boundRoute{}}
	var heads []boundRoute
	for _, d := range dialects {
		query, members := d.KeyPlaces()
		for _, r := range d.Routes() {
			if r.MaxBytes == 0 {
				r.MaxBytes = int64(limits.EventBytes)
				if r.Batch {
					r.MaxBytes = limits.BatchBytes
				}
			}
			bound := boundRoute{Route: r, dialect: d.Name(), builtin: slices.Contains(builtin, d), maxPayload: r.MaxBytes}
			bound.places.include(query, members, r.Key)
			t.addBoth(bound)
			if r.Method == http.MethodGet && r.Form == FormPixel {
				heads = append(heads, boundRoute{
					Route:   Route{Method: http.MethodHead, Path: r.Path, Open: true, Form: FormPixel, MaxBytes: r.MaxBytes},
					dialect: d.Name(), maxPayload: r.MaxBytes,
				})
			}
		}
	}
	for _, head := range heads { // after those that the dialects have
		t.addBoth(head)
	}
	return t
}

// addBoth adds a route by its path and, where that begins with a version, without it.
func (t *routes) addBoth(r boundRoute) {
	t.add(r.Path, r)
	if short, ok := strings.CutPrefix(r.Path, versionPrefix); ok {
		t.add("/"+short, r)
	}
}

const versionPrefix = "/v1/"

func (t *routes) add(path string, r boundRoute) {
	path = normalPath(path)
	if strings.Contains(path, "{") {
		r.Path = path
		t.wildcards = append(t.wildcards, &r)
		return
	}
	for _, taken := range t.byPath[path] {
		if taken.Method == r.Method {
			taken.append(&r)
			return
		}
	}
	t.byPath[path] = append(t.byPath[path], &r)
}

// append adds a route for payloads that none of the routes before it accepts.
func (b *boundRoute) append(r *boundRoute) {
	last := b
	for last.next != nil {
		last = last.next
	}
	if last.Shape == nil {
		return
	}
	last.next = r
	for ; b != r; b = b.next {
		b.maxPayload = max(b.maxPayload, r.maxPayload)
		b.places = b.places.with(&r.places)
	}
}

// selectShape returns the route of b and those after it that accepts a payload, or nil.
func (b *boundRoute) selectShape(root Object) *boundRoute {
	for b != nil && b.Shape != nil && !b.Shape(root) {
		b = b.next
	}
	return b
}

// find returns the first route for the method and path of r, or an error of 404 or 405.
func (t *routes) find(r *http.Request) match {
	m := match{table: t, method: r.Method, path: r.URL.Path}
	candidates, ok := t.byPath[m.path]
	if !ok {
		path := normalPath(m.path)
		if candidates, ok = t.byPath[path]; !ok {
			candidates = t.matchWildcards(&m, path)
		}
	}
	for _, route := range candidates {
		if route.Method == r.Method {
			m.route = route
			return m
		}
	}
	if m.err = notFound; len(candidates) > 0 {
		m.err = &methodError{allow: allowedMethods(candidates)}
	}
	return m
}

// matchWildcards returns the routes whose wildcard matches the path, and sets the value in m.
func (t *routes) matchWildcards(m *match, path string) (candidates []*boundRoute) {
	for _, route := range t.wildcards {
		before, rest, _ := strings.Cut(route.Path, "{")
		name, after, _ := strings.Cut(rest, "}")
		value, ok := strings.CutPrefix(path, before)
		if !ok {
			continue
		}
		value, ok = strings.CutSuffix(value, after)
		if ok && value != "" && !strings.Contains(value, "/") {
			m.name, m.value = name, value
			candidates = append(candidates, route)
		}
	}
	return candidates
}

// prefix returns what is in front of the longest end of the path of r that has a route.
func (t *routes) prefix(r *http.Request) (string, bool) {
	const deepest = 8
	path := normalPath(r.URL.Path)
	for at, n := 1, 0; at < len(path) && n < deepest; n++ {
		slash := strings.IndexByte(path[at:], '/')
		if slash < 0 {
			return "", false
		}
		at += slash
		if t.find(&http.Request{Method: r.Method, URL: &url.URL{Path: path[at:]}}).err != notFound {
			return path[:at], true
		}
		at++
	}
	return "", false
}

// mountCheck finds out whether what is around a handler or a layer lets it do its work. Each fault
// is warned of once.
type mountCheck struct {
	routed         atomic.Bool // a request had a route
	authenticated  atomic.Bool // a request had a source
	prefixWarned   atomic.Bool
	authWarned     atomic.Bool
	lateWarned     atomic.Bool
	protocolWarned atomic.Bool
	trialWarned    atomic.Bool
}

// seldom sets a flag and reports whether it was not set before. It costs a load once it is.
func seldom(flag *atomic.Bool) bool { return !flag.Load() && !flag.Swap(true) }

// checkPrefix warns if a request has no route because the path that its handler is mounted at was
// not removed. The pattern by which the host's mux has routed the request may show that path, or
// not; it says which of the two are warned of.
func (m *mountCheck) checkPrefix(r *http.Request, t *routes, logger *slog.Logger, shown, hidden bool) {
	if m.prefixWarned.Load() || !shown && !hidden || t.find(r).err != notFound {
		return
	}
	prefix, ok := t.prefix(r)
	_, pattern, _ := strings.Cut(r.Pattern, "/")
	isShown := strings.HasPrefix("/"+pattern, prefix+"/")
	if ok && (isShown && shown || !isShown && hidden) && seldom(&m.prefixWarned) {
		logger.WarnContext(r.Context(), "inlet: no endpoint has the path of a request, and one has its end; "+
			"mount the handler by http.StripPrefix or StandardOptions.Prefix, or correct the address that the client was given",
			"prefix", clipped(prefix))
	}
}

// match is the route of a request in a table: found once, by the first layer that knows the
// dialects, and used by all that come after it.
type match struct {
	table        *routes
	method, path string
	route        *boundRoute
	err          error  // 404 or 405 if there is no route
	name, value  string // of the wildcard in the path
}

// notFound is the error of a path without a route. It is never changed.
var notFound error = &Error{Code: CodeNotFound}

// methodError is a 405, which names the methods that are allowed.
type methodError struct{ allow string }

// Error returns the code.
func (e *methodError) Error() string { return string(CodeMethodNotAllowed) }

// Unwrap returns the public error.
func (e *methodError) Unwrap() error { return &Error{Code: CodeMethodNotAllowed} }

func allowedMethods(candidates []*boundRoute) string {
	var methods []string
	for _, r := range candidates {
		methods = append(methods, r.Method)
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// normalPath returns the path with one slash before each segment and none at the end: path
// itself if it has that form already.
func normalPath(path string) string {
	if strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "/") && !strings.Contains(path, "//") {
		return path
	}
	var b strings.Builder
	for segment := range strings.SplitSeq(path, "/") {
		if segment != "" {
			b.WriteByte('/')
			b.WriteString(segment)
		}
	}
	return b.String()
}

// A keyFunc is a [Route.Key].
type keyFunc = func(r *http.Request, root Object) string

// keyPlaces is where clients put their key in requests of one path, in addition to the
// headers.
type keyPlaces struct {
	query    []string
	members  []string      // quoted
	searcher wire.Searcher // for the members
	keys     []keyFunc
}

// include adds the places that a dialect lists for a route. Its Key replaces the members.
func (p *keyPlaces) include(query, members []string, key keyFunc) {
	p.query = appendNew(p.query, query...)
	if key != nil {
		p.keys = append(p.keys, key)
		return
	}
	for _, name := range members {
		p.members = appendNew(p.members, string(wire.AppendString(nil, name)))
	}
	p.searcher = *wire.NewSearcher(p.members)
}

// with returns the places of both.
func (p *keyPlaces) with(q *keyPlaces) keyPlaces {
	members := appendNew(slices.Clone(p.members), q.members...)
	return keyPlaces{
		query: appendNew(slices.Clone(p.query), q.query...), members: members,
		searcher: *wire.NewSearcher(members), keys: slices.Concat(p.keys, q.keys),
	}
}

// inQuery returns the first non-empty parameter that may hold a key. A "+" is not read as a
// space: keys contain it, and clients forget to escape it. They forget a "%", too: odd is the
// first one with a bad escape, which is the key only if there is no other.
func (p *keyPlaces) inQuery(query string) (key, odd string) {
	for name, value := range form.Pairs(query) {
		switch {
		case value == "" || !p.inParameter(name):
		case !form.HasBadEscape(value):
			return form.Key(value), ""
		case odd == "":
			odd = form.Key(value)
		}
	}
	return "", odd
}

func (p *keyPlaces) inParameter(escaped string) bool {
	for _, name := range p.query {
		if form.Is(escaped, name) {
			return true
		}
	}
	return false
}

// appendNew appends the names that list does not have yet.
func appendNew(list []string, names ...string) []string {
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
