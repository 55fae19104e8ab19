package inlet

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Dialect is one vendor's wire protocol: its routes, its payloads, and where
// in them its write key may stand. [Dialects] are the built-in ones; a team adds
// its own through [Options.Dialects].
//
// Concurrency: all methods may be called concurrently, and always give the same.
type Dialect interface {
	// Name is the name that events carry, such as "segment".
	Name() string
	// Routes are the endpoints. They are asked for once, at construction.
	Routes() []Route
	// KeyPlaces are where a client may put its write key, beside the headers
	// that all dialects share.
	KeyPlaces() KeyPlaces
}

// A Route is an endpoint of a dialect.
type Route struct {
	// Method is the HTTP method, such as "POST".
	Method string
	// Path is the path below the mount, such as "/v1/track". Requests match it
	// with doubled slashes and trailing slashes, and with and without "/v1" in
	// front, and never get a redirect. One segment may be a wildcard in braces,
	// "{key}", whose value is the request's PathValue.
	Path string
	// Shape tells routes of the same method and path apart by the payload: the
	// first whose Shape accepts it is taken. Defaults to accepting all.
	Shape func(root Object) bool
	// Open routes need no write key. They must store nothing.
	Open bool
	// Reply answers an open route that takes no payload, such as the settings
	// that a browser library asks for. It returns JSON, and may set headers.
	// Defaults to none.
	Reply func(*Inquiry) ([]byte, error)
	// Key finds the write key where only this route has it. It is asked after
	// all other places. Defaults to none.
	Key func(r *http.Request, root Object) string
	// BearerIsKey says that a Bearer token is a write key like any other, so that
	// one that differs from another place's is a conflict. Defaults to false: a
	// Bearer token is the key only where no other place has one.
	BearerIsKey bool
	// UserOptional takes events that name no user, neither by userId nor by
	// anonymousId. Defaults to false: such an event is refused.
	UserOptional bool
	// Size says which limit the request is under. Defaults to SizeEvent.
	Size Size
	// Form is the form of the answer. Defaults to FormJSON.
	Form Form
	// Body makes the payload of a request whose events are not in its body, such
	// as a pixel's in its query. Defaults to reading the body.
	Body func(*http.Request) ([]byte, error)
	// Decode makes events of the payload. An error refuses the whole request;
	// events that are wrong on their own are refused by [Input.Refuse]. A
	// route whose Decode adds nothing at all is answered as a success.
	Decode func(*Input) error
}

// A Size names the limit that a request is under.
type Size uint8

const (
	// SizeEvent is [Limits.EventBytes].
	SizeEvent Size = iota
	// SizeHit is [Limits.HitBytes].
	SizeHit
	// SizeBatch is [Limits.BatchBytes].
	SizeBatch
	// SizeImport is [Limits.ImportBytes].
	SizeImport
)

// lists reports whether the payloads of a route list events.
func (r *Route) lists() bool { return r.Size == SizeBatch || r.Size == SizeImport }

func (l *Limits) of(s Size) int64 {
	switch s {
	case SizeHit:
		return int64(l.HitBytes)
	case SizeBatch:
		return l.BatchBytes
	case SizeImport:
		return l.ImportBytes
	}
	return int64(l.EventBytes)
}

// KeyPlaces are where a dialect's clients put their write key. Names are exact.
type KeyPlaces struct {
	// Query are names of query parameters.
	Query []string
	// Members are names in the root of the body and in each listed event.
	Members []string
}

// routes finds the route of a request.
type routes struct {
	byPath    map[string][]*boundRoute // by normalised path
	wildcards []*boundRoute            // those with a wildcard
}

// boundRoute is a route, the dialect it is of, and the next route of the same
// method and path, whose payloads have another shape.
type boundRoute struct {
	Route
	dialect string
	next    *boundRoute
}

// newRoutes indexes the routes of the dialects, each with its path and, where
// that begins with a version, without it.
func newRoutes(dialects []Dialect) *routes {
	t := &routes{byPath: map[string][]*boundRoute{}}
	for _, d := range dialects {
		for _, r := range d.Routes() {
			t.add(r.Path, boundRoute{Route: r, dialect: d.Name()})
			if short, ok := strings.CutPrefix(r.Path, versionPrefix); ok {
				t.add("/"+short, boundRoute{Route: r, dialect: d.Name()})
			}
		}
	}
	return t
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
	for b.next != nil {
		b = b.next
	}
	if b.Shape != nil {
		b.next = r
	}
}

// shaped returns the route of b and those after it that accepts a payload, or
// nil.
func (b *boundRoute) shaped(root Object) *boundRoute {
	for b != nil && b.Shape != nil && !b.Shape(root) {
		b = b.next
	}
	return b
}

// room is the largest limit that a payload of b or those after it may be under.
func (b *boundRoute) room(l *Limits) (room int64) {
	for ; b != nil; b = b.next {
		room = max(room, l.of(b.Size))
	}
	return room
}

// find returns the first route for the method and path of r, or an error of 404
// or 405.
func (t *routes) find(r *http.Request) (*boundRoute, error) {
	at, ok := t.byPath[r.URL.Path]
	if !ok {
		path := normalPath(r.URL.Path)
		if at, ok = t.byPath[path]; !ok {
			at = t.wild(r, path)
		}
	}
	for _, route := range at {
		if route.Method == r.Method {
			return route, nil
		}
	}
	if len(at) == 0 {
		return nil, &Error{Code: CodeNotFound}
	}
	return nil, &methodError{allow: allowed(at)}
}

// wild returns the routes whose wildcard matches, and sets the path's value.
func (t *routes) wild(r *http.Request, path string) (at []*boundRoute) {
	for _, route := range t.wildcards {
		before, rest, _ := strings.Cut(route.Path, "{")
		name, after, _ := strings.Cut(rest, "}")
		value, ok := strings.CutPrefix(path, before)
		if !ok {
			continue
		}
		value, ok = strings.CutSuffix(value, after)
		if ok && value != "" && !strings.Contains(value, "/") {
			r.SetPathValue(name, value)
			at = append(at, route)
		}
	}
	return at
}

// match is find for layers that only want to know.
func (t *routes) match(r *http.Request) *boundRoute {
	route, _ := t.find(r)
	return route
}

// methodError is a 405, which names the methods that are allowed.
type methodError struct{ allow string }

// Error names the code.
func (e *methodError) Error() string { return string(CodeMethodNotAllowed) }

// Unwrap gives what the client is told.
func (e *methodError) Unwrap() error { return &Error{Code: CodeMethodNotAllowed} }

func allowed(at []*boundRoute) string {
	var methods []string
	for _, r := range at {
		methods = append(methods, r.Method)
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// normalPath has one slash before each segment and none at the end. It returns
// path itself if that is so already.
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

// A Form is the form in which a route answers.
type Form uint8

const (
	// FormJSON answers 200 {"success":true}, which is what every SDK of the
	// Segment family takes for a success, and errors with their status.
	FormJSON Form = iota
	// FormEmpty answers a success with 204 and no body, and errors as FormJSON.
	FormEmpty
	// FormLenient answers 200 also where every event was refused: only the body
	// says so. Refusals of the request as a whole are those of FormJSON.
	FormLenient
	// FormPixel always answers 200 with a transparent GIF. An error's code is in
	// the header X-Inlet-Error.
	FormPixel
)

// An Inquiry is a request that asks for something else than to store events,
// such as that of a library which asks on its start where to send them. It
// belongs to one call of [Route.Reply].
type Inquiry struct {
	// Request is the request. Its body is not read.
	Request *http.Request
	// Header is that of the answer. The content type is set already.
	Header http.Header
	// HTTPConfig is [Options.HTTPConfig], or nil. Read-only.
	HTTPConfig json.RawMessage

	public *url.URL // Options.PublicURL, or nil
}

// Mount returns where clients reach the handler, without a slash at the end:
// [Options.PublicURL] or, without that, the scheme, host and path prefix by which
// this request came. What a client says of itself must not be kept for others:
// the answer is then marked as not to be stored.
func (q *Inquiry) Mount() *url.URL {
	if q.public != nil {
		return q.public
	}
	q.Header["Cache-Control"] = noStore
	mount := &url.URL{Scheme: "http", Host: q.Request.Host, Path: mountPath(q.Request)}
	if q.Request.TLS != nil {
		mount.Scheme = "https"
	}
	return mount
}

// mountPath is what layers before the handler, such as [http.StripPrefix], took
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
