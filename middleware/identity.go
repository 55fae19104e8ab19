package middleware

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
)

// IdentityOptions say what is to be known of visitors. Nil is all defaults.
type IdentityOptions struct {
	// Cookie gives browsers an anonymous id of ours, in a first-party cookie.
	// Defaults to none.
	Cookie *IdentityCookie
	// OptOut are the headers by which a visitor asks not to be tracked: names
	// and the value that says so. An empty map that is not nil is none. Defaults
	// to {"Sec-GPC": "1"}, the Global Privacy Control.
	OptOut map[string]string
}

// An IdentityCookie has an anonymous id of 128 random bits, as 32 hexadecimal
// digits. It is Secure, HttpOnly, for all paths and for no other host.
type IdentityCookie struct {
	// Name begins with "__Host-", by which browsers hold all of that to be so.
	// Defaults to "__Host-anonymous-id".
	Name string
	// MaxAge is how long the browser is to keep it, in whole seconds. Browsers
	// have a limit of their own, of 400 days or less. Defaults to 365 days.
	MaxAge time.Duration
	// SameSite is Lax, Strict or None. With None the cookie is also sent from
	// pages of other sites, where browsers still allow that. Defaults to Lax.
	SameSite http.SameSite
}

// Identity leaves an [inlet.Visitor] for enrichers: the request's User-Agent, the
// anonymous id of its cookie, and whether the visitor opted out.
//
// The cookie is given to browsers only, which are known by an Origin or a
// Sec-Fetch-Site: an id that no later request brings back is worth nothing. What
// comes back is used if it has the form of an id, else replaced; no byte of it is
// sent again. Events get the id by [inlet.FillAnonymousID]. From another origin the
// page has to send with credentials, and [CORS] to list it.
//
// Of a visitor who opted out no cookie is read, and one that is there is deleted.
// The address is truncated for whatever stands behind, and for [AccessLog].
// [enrichers.IP] then writes none into events and takes out theirs; other
// enrichers follow by [enrichers.OptOut]. What an event itself says, such as its
// anonymousId, is the page's own doing, and stays unless an enricher takes it out.
//
// It stands behind [ClientIP], and behind a limit by IP, which an opt-out is to
// make no difference to. Identity panics if an option is out of range.
func Identity(o *IdentityOptions) func(http.Handler) http.Handler {
	var filled IdentityOptions
	if o != nil {
		filled = *o
	}
	optOut, err := newOptOut(filled.OptOut)
	must("Identity", err)
	layer := identity{optOut: optOut}
	if filled.Cookie != nil {
		layer.cookie, err = filled.Cookie.withDefaults()
		must("Identity", err)
	}
	return layer.wrap
}

type identity struct {
	optOut []header
	cookie *IdentityCookie // or nil
}

func (l *identity) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := inlet.Visitor{UserAgent: r.UserAgent(), OptedOut: l.optedOut(r)}
		if l.cookie != nil && v.OptedOut {
			l.cookie.remove(w, r)
		} else if l.cookie != nil {
			v.AnonymousID = l.cookie.id(w, r)
		}
		if v.OptedOut {
			r = inlet.WithClientIP(r, enrichers.IPTruncate.Apply(inlet.ClientIP(r)))
		}
		next.ServeHTTP(w, inlet.WithVisitor(r, v))
	})
}

// header is a header with one value.
type header struct{ name, value string }

func newOptOut(named map[string]string) ([]header, error) {
	if named == nil {
		named = map[string]string{"Sec-GPC": "1"}
	}
	var headers []header
	for name, value := range named {
		if name == "" || value == "" {
			return nil, errors.New("OptOut has a header without a name or a value")
		}
		headers = append(headers, header{http.CanonicalHeaderKey(name), value})
	}
	return headers, nil
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

// withDefaults returns a filled copy.
func (c *IdentityCookie) withDefaults() (*IdentityCookie, error) {
	filled := *c
	filled.Name = cmp.Or(filled.Name, "__Host-anonymous-id")
	filled.MaxAge = cmp.Or(filled.MaxAge, 365*24*time.Hour)
	filled.SameSite = cmp.Or(filled.SameSite, http.SameSiteLaxMode)
	probe := filled.of("0")
	switch {
	case !strings.HasPrefix(filled.Name, "__Host-") || probe.Valid() != nil:
		return nil, fmt.Errorf(`Cookie.Name is %q, must be the name of a cookie that begins with "__Host-"`, filled.Name)
	case filled.MaxAge < time.Second || filled.MaxAge%time.Second != 0:
		return nil, fmt.Errorf("Cookie.MaxAge is %v, must be whole seconds", filled.MaxAge)
	case filled.SameSite < http.SameSiteLaxMode || filled.SameSite > http.SameSiteNoneMode:
		return nil, errors.New("Cookie.SameSite must be Lax, Strict or None")
	}
	return &filled, nil
}
