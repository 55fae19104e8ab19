package middleware

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/order"
)

// IdentityOptions configure [Identity]. A nil pointer means all defaults.
type IdentityOptions struct {
	// Cookie gives browsers an anonymous id in a first-party cookie. Defaults to no cookie.
	Cookie *IdentityCookie
	// OptOut are the headers by which a visitor asks not to be tracked, each with the value
	// that means it. An empty map that is not nil turns opting out off. Defaults to
	// {"Sec-GPC": "1"}, the Global Privacy Control.
	OptOut map[string]string
}

// An IdentityCookie holds an anonymous id of 128 random bits, as 32 hexadecimal digits. It is
// Secure, HttpOnly, for all paths and for this host only. The zero value means all defaults.
type IdentityCookie struct {
	// Name must begin with "__Host-", which makes browsers enforce Secure, the path and the
	// host. Defaults to "__Host-anonymous-id".
	Name string
	// MaxAge is how long the browser should keep the cookie, in whole seconds. Browsers
	// limit it to 400 days or less. Defaults to 365 days.
	MaxAge time.Duration
	// SameSite is Lax, Strict or None. With None the cookie is also sent from pages of other
	// sites, where browsers still allow that. Defaults to Lax.
	SameSite http.SameSite
}

// Identity sets an [inlet.Visitor] for the handler and its enrichers: the User-Agent of the
// request, the anonymous id of its cookie, and whether the visitor opted out.
//
// Only browsers get the cookie: clients that send an Origin or a Sec-Fetch-Site. An id that no
// later request brings back is useless. A value that comes back is used if it has the form of an
// id, and is replaced otherwise; no byte of it is sent again. Events get the id by
// [inlet.Options].FillAnonymousID. From another origin the page has to send credentials, and
// [CORS] has to list the origin.
//
// The cookie of a visitor who opted out is not read, but deleted. The address is truncated for
// everything inside, and for [AccessLog]; [enrichers.IP] then writes no address into events and
// removes one that is there; other enrichers can be made conditional with [enrichers.OptOut].
// What an event itself contains, such as its anonymousId, is the responsibility of the page, and
// is kept unless an enricher removes it.
//
// No cache may keep an answer that sets or deletes a cookie, which would give it to everybody: such
// an answer to GET, as of the settings that SDKs request, gets Cache-Control: no-store, unless the
// handler gave it one of its own. If caches may keep it by that, it gets no cookie.
//
// It belongs inside [ClientIP], and inside a limit by IP, which must not depend on what a client
// asks for. Identity panics if an option is out of range.
func Identity(o *IdentityOptions) func(http.Handler) http.Handler {
	layer, err := o.layer()
	must(err)
	return layer.wrap
}

type identity struct {
	optOut []header
	cookie *IdentityCookie // or nil
}

// header is a header with one value.
type header struct{ name, value string }

func (l *identity) wrap(next http.Handler) http.Handler {
	return &transparent{at(order.Identity, nil, next, func(w http.ResponseWriter, r *http.Request) {
		v := inlet.Visitor{UserAgent: r.UserAgent(), OptedOut: l.optedOut(r)}
		var set *http.Cookie
		if l.cookie != nil && v.OptedOut {
			set = l.cookie.deleted(r)
		} else if l.cookie != nil {
			v.AnonymousID, set = l.cookie.id(r)
		}
		if set != nil {
			w = withCookie(w, r, set)
		}
		if v.OptedOut {
			r = inlet.WithClientIP(r, enrichers.IPTruncate.Apply(inlet.ClientIP(r)))
		}
		next.ServeHTTP(w, inlet.WithVisitor(r, v))
		if set, ok := w.(*cookieWriter); ok {
			set.set() // a handler that wrote nothing
		}
	})}
}

func (l *identity) optedOut(r *http.Request) bool {
	for _, h := range l.optOut {
		for _, line := range r.Header[h.name] {
			if strings.TrimSpace(line) == h.value {
				return true
			}
		}
	}
	return false
}

// layer returns the layer with its defaults.
func (o *IdentityOptions) layer() (*identity, error) {
	var filled IdentityOptions
	if o != nil {
		filled = *o
	}
	if filled.OptOut == nil {
		filled.OptOut = map[string]string{"Sec-GPC": "1"}
	}
	var layer identity
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(filled.OptOut)) {
		value := filled.OptOut[name]
		if name == "" || value == "" {
			faults = append(faults, check.Fault("OptOut", "has the header %q with the value %q, neither may be empty", name, value))
		}
		layer.optOut = append(layer.optOut, header{http.CanonicalHeaderKey(name), value})
	}
	if filled.Cookie != nil {
		cookie := *filled.Cookie
		cookie.Name = cmp.Or(cookie.Name, "__Host-anonymous-id")
		cookie.MaxAge = cmp.Or(cookie.MaxAge, 365*24*time.Hour)
		cookie.SameSite = cmp.Or(cookie.SameSite, http.SameSiteLaxMode)
		layer.cookie, faults = &cookie, append(faults, cookie.check()...)
	}
	return &layer, check.Options("middleware", "IdentityOptions", faults...)
}

// check returns the faults of a cookie that has its defaults.
func (c *IdentityCookie) check() (faults []error) {
	if !strings.HasPrefix(c.Name, "__Host-") || c.with("0").Valid() != nil {
		faults = append(faults, check.Fault("Cookie.Name", `is %q, must be the name of a cookie that begins with "__Host-"`, c.Name))
	}
	if c.MaxAge < time.Second || c.MaxAge%time.Second != 0 {
		faults = append(faults, check.Fault("Cookie.MaxAge", "is %v, must be at least 1s and whole seconds", c.MaxAge))
	}
	if c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode {
		faults = append(faults, check.Fault("Cookie.SameSite", "is %d, must be Lax, Strict or None", c.SameSite))
	}
	return faults
}

// id returns the id in the request, or a new one and the cookie that gives it to the browser.
func (c *IdentityCookie) id(r *http.Request) (id string, set *http.Cookie) {
	if sent, err := r.Cookie(c.Name); err == nil && isAnonymousID(sent.Value) {
		return strings.Clone(sent.Value), nil // so that events do not keep the whole header alive
	}
	if !isBrowser(r) {
		return "", nil
	}
	id = newAnonymousID()
	return id, c.with(id)
}

// deleted returns the cookie that deletes the one that the request has, or nil.
func (c *IdentityCookie) deleted(r *http.Request) *http.Cookie {
	if _, err := r.Cookie(c.Name); err != nil {
		return nil
	}
	deleted := c.with("")
	deleted.MaxAge = -1
	return deleted
}

// with returns the cookie with a value.
func (c *IdentityCookie) with(value string) *http.Cookie {
	return &http.Cookie{
		Name: c.Name, Value: value, Path: "/", MaxAge: int(c.MaxAge / time.Second),
		Secure: true, HttpOnly: true, SameSite: c.SameSite,
	}
}

// isBrowser reports whether a browser sends events: a preflight sends none, and carries no
// cookie.
func isBrowser(r *http.Request) bool {
	return r.Method != http.MethodOptions && (len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0)
}

// idBytes is the length of an anonymous id before it is encoded in hexadecimal digits.
const idBytes = 16

func newAnonymousID() string {
	var id [idBytes]byte
	rand.Read(id[:]) // never fails, by its documentation
	return hex.EncodeToString(id[:])
}

// isAnonymousID reports whether newAnonymousID could have returned id.
func isAnonymousID(id string) bool {
	if len(id) != hex.EncodedLen(idBytes) {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		default:
			return false
		}
	}
	return true
}

// withCookie returns the writer of a response that sets a cookie.
func withCookie(w http.ResponseWriter, r *http.Request, set *http.Cookie) http.ResponseWriter {
	if r.Method == http.MethodPost { // no cache keeps the answer
		http.SetCookie(w, set)
		return w
	}
	return &cookieWriter{ResponseWriter: w, cookie: set}
}

// A cookieWriter sets a cookie in a response that no cache keeps. [http.ResponseController] finds
// what it does not have itself through Unwrap.
type cookieWriter struct {
	http.ResponseWriter
	cookie *http.Cookie // nil once it is set
}

// Unwrap returns the writer inside.
func (w *cookieWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// set sets the cookie, when all other headers are known.
func (w *cookieWriter) set() {
	header, cookie := w.Header(), w.cookie
	w.cookie = nil
	if cookie == nil {
		return
	}
	switch keeps, said := cacheable(header); {
	case keeps:
		return
	case !said:
		header["Cache-Control"] = []string{"no-store"}
	}
	http.SetCookie(w.ResponseWriter, cookie)
}

// cacheable reports whether a cache that several visitors share may keep a response, by what the
// handler said of that, and whether it said anything.
func cacheable(header http.Header) (keeps, said bool) {
	said = len(header["Cache-Control"]) > 0
	for _, line := range header["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.TrimSpace(directive)) {
			case "no-store", "private":
				return sharedCaches(header), true
			}
		}
	}
	return said || sharedCaches(header), said
}

// sharedCaches reports whether a response has instructions for the caches of a host alone, which
// obey those and not Cache-Control.
func sharedCaches(header http.Header) bool {
	for name := range header {
		if name == "Surrogate-Control" || strings.HasSuffix(name, "-Cache-Control") {
			return true
		}
	}
	return false
}

// WriteHeader sets the cookie, unless it is for an interim response, or one whose headers a cache
// adds to the response that it keeps.
func (w *cookieWriter) WriteHeader(status int) {
	switch {
	case status == http.StatusNotModified:
		w.cookie = nil
	case status >= 200, status == http.StatusSwitchingProtocols:
		w.set()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sets the cookie.
func (w *cookieWriter) Write(b []byte) (int, error) {
	w.set()
	return w.ResponseWriter.Write(b)
}

// Flush is FlushError for code that asks for an [http.Flusher].
func (w *cookieWriter) Flush() { _ = w.FlushError() }

// FlushError sets the cookie and sends what has been written.
func (w *cookieWriter) FlushError() error {
	w.set()
	return http.NewResponseController(w.ResponseWriter).Flush()
}
