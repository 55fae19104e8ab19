package middleware

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// idBytes is the length of an id before it is written in hexadecimal digits.
const idBytes = 16

// id returns the id that the request brings, or a new one that the answer gives
// the browser.
func (c *IdentityCookie) id(w http.ResponseWriter, r *http.Request) string {
	if sent, err := r.Cookie(c.Name); err == nil && isAnonymousID(sent.Value) {
		return strings.Clone(sent.Value) // events are not to keep the whole header alive
	}
	if !isBrowser(r) {
		return ""
	}
	id := newAnonymousID()
	http.SetCookie(w, c.of(id))
	return id
}

// remove deletes the cookie if the request brings one.
func (c *IdentityCookie) remove(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie(c.Name); err == nil {
		gone := c.of("")
		gone.MaxAge = -1
		http.SetCookie(w, gone)
	}
}

func (c *IdentityCookie) of(value string) *http.Cookie {
	return &http.Cookie{
		Name: c.Name, Value: value, Path: "/", MaxAge: int(c.MaxAge / time.Second),
		Secure: true, HttpOnly: true, SameSite: c.SameSite,
	}
}

// isBrowser reports whether a browser sends events: a preflight sends none, and
// carries no cookie.
func isBrowser(r *http.Request) bool {
	return r.Method != http.MethodOptions && (len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0)
}

func newAnonymousID() string {
	var id [idBytes]byte
	rand.Read(id[:]) // never fails, as its documentation says
	return hex.EncodeToString(id[:])
}

// isAnonymousID reports whether newAnonymousID could have made id.
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
