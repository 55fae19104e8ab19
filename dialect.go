package inlet

import (
	"net/http"
	"slices"
	"strings"
	"sync"
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
	// with doubled slashes and trailing slashes, too, and never get a redirect.
	Path string
	// Open routes need no write key. They must store nothing.
	Open bool
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
	// SizeBatch is [Limits.BatchBytes].
	SizeBatch
	// SizeImport is [Limits.ImportBytes].
	SizeImport
)

func (l *Limits) of(s Size) int64 {
	switch s {
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

// Dialects returns the built-in dialects: Segment's, which is also that of
// MetaRouter and Astronomer.
func Dialects() []Dialect { return []Dialect{Segment()} }

// routes finds the route of a request.
type routes struct {
	byPath map[string][]boundRoute // by normalised path
}

// boundRoute is a route and the dialect it is of.
type boundRoute struct {
	Route
	dialect string
}

// newRoutes indexes the routes of the dialects, each with its path and, where
// that begins with a version, without it.
func newRoutes(dialects []Dialect) *routes {
	t := &routes{byPath: map[string][]boundRoute{}}
	for _, d := range dialects {
		for _, r := range d.Routes() {
			t.add(r.Path, boundRoute{r, d.Name()})
			if short, ok := strings.CutPrefix(r.Path, versionPrefix); ok {
				t.add("/"+short, boundRoute{r, d.Name()})
			}
		}
	}
	return t
}

const versionPrefix = "/v1/"

func (t *routes) add(path string, r boundRoute) {
	path = normalPath(path)
	taken := slices.ContainsFunc(t.byPath[path], func(o boundRoute) bool { return o.Method == r.Method })
	if !taken {
		t.byPath[path] = append(t.byPath[path], r)
	}
}

// find returns the route of r, or an error of 404 or 405.
func (t *routes) find(r *http.Request) (*boundRoute, error) {
	at, ok := t.byPath[r.URL.Path]
	if !ok {
		at = t.byPath[normalPath(r.URL.Path)]
	}
	for i := range at {
		if at[i].Method == r.Method {
			return &at[i], nil
		}
	}
	if len(at) == 0 {
		return nil, &Error{Code: CodeNotFound}
	}
	return nil, &methodError{allow: allowed(at)}
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

func allowed(at []boundRoute) string {
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

// builtinRoutes are the routes of the built-in dialects, by which layers before
// the handler answer in the form of the route.
var builtinRoutes = sync.OnceValue(func() *routes { return newRoutes(Dialects()) })
