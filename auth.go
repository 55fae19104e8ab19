package inlet

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Credentials are what a request presents.
type Credentials struct {
	// Key is the write key. Never empty.
	Key string
	// Bearer is the token of an Authorization header, if that is not the key.
	Bearer string
	// Origin is the request's Origin header, or "".
	Origin string
}

// ErrUnknownKey is what an [Authenticator] returns for a key that it does not
// know.
var ErrUnknownKey error = &Error{Code: CodeUnknownKey}

// An Authenticator says which source a write key belongs to.
//
// Result: the source, which must not be changed afterwards. Whether it is
// disabled or bound to origins is checked by the caller.
//
// Errors: [ErrUnknownKey] for a key that does not exist, answered with 401. An
// [*Error] is answered as it says. Any other error means that keys cannot be
// checked now, and is answered with 503, so that clients keep their events.
//
// Context: that of the request.
//
// Concurrency: Authenticate is called concurrently.
type Authenticator interface {
	Authenticate(ctx context.Context, c Credentials) (*Source, error)
}

// AuthenticatorFunc makes an [Authenticator] of a function.
type AuthenticatorFunc func(ctx context.Context, c Credentials) (*Source, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, c Credentials) (*Source, error) {
	return f(ctx, c)
}

// Keys is a fixed set of write keys. It holds digests, not the keys, and its
// work does not depend on the key that is asked for. It may be used concurrently.
type Keys struct {
	sources map[[sha256.Size]byte]*keyedSource
}

type keyedSource struct {
	digest [sha256.Size]byte
	source Source
}

// NewKeys returns the set of the given write keys. Several keys may belong to
// the same source ID, as while one key replaces another. The error names what
// is wrong, and never a key.
func NewKeys(keys map[string]Source) (*Keys, error) {
	k := &Keys{sources: make(map[[sha256.Size]byte]*keyedSource, len(keys))}
	for key, source := range keys {
		if err := checkKey(key, source); err != nil {
			return nil, fmt.Errorf("inlet: NewKeys: %w", err)
		}
		source.Origins = slices.Clone(source.Origins)
		digest := sha256.Sum256([]byte(key))
		k.sources[digest] = &keyedSource{digest, source}
	}
	return k, nil
}

func checkKey(key string, source Source) error {
	switch {
	case source.ID == "":
		return errors.New("a source has no ID")
	case strings.TrimSpace(key) == "":
		return fmt.Errorf("the key of source %q is empty", source.ID)
	case source.Rate < 0 || source.Burst < 0 || source.EventRate < 0 || source.ByteRate < 0:
		return fmt.Errorf("the rate of source %q is negative", source.ID)
	}
	return nil
}

// MustKeys is [NewKeys] for keys in the program's own text: it panics on an
// error.
func MustKeys(keys map[string]Source) *Keys {
	k, err := NewKeys(keys)
	if err != nil {
		panic(err)
	}
	return k
}

// Authenticate returns the source of the key, or [ErrUnknownKey].
func (k *Keys) Authenticate(_ context.Context, c Credentials) (*Source, error) {
	digest := sha256.Sum256([]byte(c.Key))
	found := k.sources[digest]
	if found == nil || subtle.ConstantTimeCompare(digest[:], found.digest[:]) != 1 {
		return nil, ErrUnknownKey
	}
	return &found.source, nil
}

// AuthOptions say where keys may stand. Nil is all defaults.
type AuthOptions struct {
	// Dialects are those whose key places are searched and whose open routes
	// pass without a key. Defaults to all of [Dialects].
	Dialects []Dialect
	// Payload bounds the reading of bodies that are searched for a key, where no
	// other layer has read them. Defaults to those of [PayloadOptions].
	Payload *PayloadOptions
	// Limits bound the structure of such bodies. Where they are the handler's
	// the body is searched and decoded in one pass. Defaults to those of
	// [Limits].
	Limits Limits
	// AcceptAuthenticationHeader reads the credentials from a header called
	// Authentication, too, as an old vendor's page prints it. Defaults to
	// false: the 401 then explains the slip.
	AcceptAuthenticationHeader bool
}

// A Gate vouches for requests: it finds the credentials, has them checked, and
// names the source to the layers behind it. It may be used concurrently.
type Gate struct {
	authenticator Authenticator
	finder        credentialFinder
	routes        *routes
}

// NewGate returns a gate that has keys checked by a. The error names the field
// of the options that is out of range.
func NewGate(a Authenticator, o *AuthOptions) (*Gate, error) {
	if a == nil {
		return nil, errors.New("inlet: NewGate: the authenticator is nil")
	}
	var filled AuthOptions
	if o != nil {
		filled = *o
	}
	if filled.Dialects == nil {
		filled.Dialects = Dialects()
	}
	limits, err := filled.Limits.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("inlet: AuthOptions: %w", err)
	}
	payloads, err := NewPayloadReader(filled.Payload)
	if err != nil {
		return nil, err
	}
	g := &Gate{authenticator: a, routes: newRoutes(filled.Dialects)}
	g.finder = newCredentialFinder(filled, payloads, limits)
	return g, nil
}

// Admit returns the request to pass on, which carries the source, and the
// payload, if the search for the key had to read it, else nil. The caller must
// Release the payload when the next handler has returned. A request for an open
// route passes as it is.
//
// The error is to be answered by [WriteError], and the request is then not to be
// passed on.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request) (*http.Request, *Payload, error) {
	route := g.routes.match(r)
	if route != nil && route.Open {
		return r, nil, nil
	}
	next, payload, err := g.admit(w, r, route)
	if err != nil {
		payload.Release()
		return r, nil, err
	}
	return next, payload, nil
}

func (g *Gate) admit(w http.ResponseWriter, r *http.Request, route *boundRoute) (*http.Request, *Payload, error) {
	next, found, payload, err := g.finder.find(w, r, route)
	if err != nil {
		return r, payload, err
	}
	source, err := g.authenticate(r.Context(), found)
	if err != nil {
		return r, payload, err
	}
	return WithSource(next, source), payload, nil
}

// authenticate tries the key as it is and, if that is unknown, what stands
// before its first colon: a Basic user name with a password behind it.
func (g *Gate) authenticate(ctx context.Context, found foundCredentials) (*Source, error) {
	source, err := g.authenticator.Authenticate(ctx, found.Credentials)
	if user, _, ok := strings.Cut(found.Key, ":"); ok && found.basic && errors.Is(err, ErrUnknownKey) {
		found.Key = user
		source, err = g.authenticator.Authenticate(ctx, found.Credentials)
	}
	switch {
	case err != nil:
		return nil, authError(err)
	case source == nil:
		return nil, &Error{Code: CodeInternal, Err: errors.New("the authenticator returned neither a source nor an error")}
	case source.Disabled:
		return nil, &Error{Code: CodeSourceDisabled}
	case !source.allows(found.Origin):
		return nil, &Error{Code: CodeOriginNotAllowed}
	}
	return source, nil
}

func authError(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{Code: CodeAuthUnavailable, Err: err}
}
