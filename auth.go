package inlet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/origin"
)

// Credentials are what a request presents to be authenticated.
type Credentials struct {
	// Key is the write key. Never empty.
	Key string
	// Bearer is the token of an Authorization header, if that is not the key.
	Bearer string
	// Origin is the request's Origin header, or "". For a pixel without that header, since
	// images carry none, it is the origin of the request's Referer.
	Origin string
}

// ErrUnknownKey is returned by an [Authenticator] for a key that it does not know.
var ErrUnknownKey error = &Error{Code: CodeUnknownKey}

// An Authenticator returns the source that a write key belongs to.
//
// Result: the source, which must not be changed afterwards. The caller checks whether it is
// disabled or bound to origins.
//
// Errors: [ErrUnknownKey] for a key that does not exist, answered with 401. An [*Error] is
// answered with its own code. Any other error means that keys cannot be checked now, and is
// answered with 503, so that clients keep their events.
//
// Context: that of the request.
//
// Concurrency: Authenticate is called concurrently.
type Authenticator interface {
	Authenticate(ctx context.Context, c Credentials) (*Source, error)
}

// An AuthenticatorFunc is a function that is used as an [Authenticator].
type AuthenticatorFunc func(ctx context.Context, c Credentials) (*Source, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, c Credentials) (*Source, error) {
	return f(ctx, c)
}

// Keys is a fixed set of write keys. It holds digests, not the keys, and compares them in
// constant time. It may be used concurrently.
type Keys struct {
	sources map[[sha256.Size]byte]*keyedSource
	origins origin.Set // of all sources that are not disabled
}

type keyedSource struct {
	digest [sha256.Size]byte
	source Source
}

// NewKeys returns the set of the given write keys. Several keys may belong to the same
// source ID, for example while one key replaces another. The error names what is wrong, and
// never a key.
func NewKeys(keys map[string]Source) (*Keys, error) {
	k := &Keys{sources: make(map[[sha256.Size]byte]*keyedSource, len(keys))}
	for key, source := range keys {
		if err := checkKey(key, source); err != nil {
			return nil, fmt.Errorf("inlet: NewKeys: %w", err)
		}
		if err := source.checkOrigins(); err != nil {
			return nil, fmt.Errorf("inlet: NewKeys: the source %q: %w", source.ID, err)
		}
		source.Origins = slices.Clone(source.Origins)
		for _, listed := range source.Origins {
			if !source.Disabled {
				k.origins.Add(listed)
			}
		}
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

// AllowsOrigin reports whether a source that is not disabled is bound to the origin, as a browser
// sends it: whether a page there may have a key of it. It is for layers that have to answer a
// browser before it sends the key; the key itself is checked against the origins of its own source.
func (k *Keys) AllowsOrigin(_ context.Context, origin string) bool {
	return k.origins.Has(origin)
}

// MustKeys is [NewKeys] for keys in the source text of a program: it panics on an error.
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

// AuthOptions configure [Authenticate]. A nil pointer means all defaults.
type AuthOptions struct {
	// Protocol has the dialects whose key places are searched and whose open routes pass
	// without a key, and bounds the bodies that are searched. Defaults to that of
	// the layer or handler of this module right inside, or else to the zero [Protocol].
	Protocol *Protocol
	// AcceptAuthenticationHeader also reads the credentials from a header called
	// Authentication, as a page of Astronomer prints it. Defaults to false: the 401 then
	// explains the misspelt header.
	AcceptAuthenticationHeader bool
	// Logger receives warnings: of keys that are bound to origins which no page can have, and
	// of layers in the wrong place. It never receives a key. Defaults to [slog.Default].
	Logger *slog.Logger
}

// authentication is the step of [Authenticate]: it finds the credentials of a request, has
// them checked, and names the source to the layers behind it.
type authentication struct {
	authenticator Authenticator
	protocol      *protocol
	finder        credentialFinder
	logger        *slog.Logger
	pixels        pixelWarnings
	origins       pixelWarnings // of sources with an impossible origin
	mount         mountCheck
}

func newAuthentication(a Authenticator, p *protocol, o *AuthOptions) *authentication {
	dialects := p.dialects
	if dialects == nil {
		dialects = Dialects()
	}
	return &authentication{
		authenticator: a, protocol: p, logger: cmp.Or(o.Logger, slog.Default()),
		finder: newCredentialFinder(dialects, p, o.AcceptAuthenticationHeader),
	}
}

// step returns the request with its source, and the payload, if the search for the key had
// to read it.
func (a *authentication) step(w http.ResponseWriter, given, r *http.Request, s *state) (*http.Request, *payload, error) {
	route, _ := s.match(a.protocol.routes, r)
	if route != nil && route.Open {
		return r, nil, nil
	}
	if route == nil {
		a.mount.checkPrefix(r, a.protocol.routes, a.logger, true, false)
	}
	next, found, payload, err := a.finder.find(w, given, r, s, route)
	if err != nil {
		return r, payload, a.explained(r, route, found, nil, err)
	}
	source, err := a.identify(r.Context(), &found)
	if err != nil {
		s.refused.Store(source)
		return r, payload, a.explained(r, route, found, source, err)
	}
	s.source.Store(source)
	s.keepKey(knownKey{found.Key, &a.finder.names})
	return next, payload, nil
}

// identify returns the source of a key: of the key as it is and, if that is unknown, of the
// part before its first colon, which is a Basic user name with a password and becomes the key. A
// source that may not be used now is returned with the error.
func (a *authentication) identify(ctx context.Context, found *foundCredentials) (*Source, error) {
	source, err := a.authenticator.Authenticate(ctx, found.Credentials)
	if user, _, ok := strings.Cut(found.Key, ":"); ok && found.basic && errors.Is(err, ErrUnknownKey) {
		found.Key = user
		source, err = a.authenticator.Authenticate(ctx, found.Credentials)
	}
	switch {
	case err != nil:
		return nil, authError(err)
	case source == nil:
		return nil, &Error{Code: CodeInternal, Err: errors.New("the authenticator returned neither a source nor an error")}
	case source.Disabled:
		return source, &Error{Code: CodeSourceDisabled}
	case !source.allows(found.Origin):
		return source, &Error{Code: CodeOriginNotAllowed}
	}
	return source, nil
}

// explained returns the error of a refused request, of the source if that is known. A source that
// no page can be of is logged. So is a pixel, with the remedy where it has no Referer to be judged
// by.
func (a *authentication) explained(r *http.Request, route *boundRoute, found foundCredentials, source *Source, err error) error {
	if source != nil && asError(err).Code == CodeOriginNotAllowed {
		if fault := source.checkOrigins(); fault != nil && a.origins.first(source, CodeOriginNotAllowed) {
			a.logger.WarnContext(r.Context(), "inlet: source bound to an origin that no page can have; correct its Origins",
				"source", source.ID, "error", fault)
		}
	}
	if route == nil || route.Form != FormPixel {
		return err
	}
	if source == nil || found.Origin != "" || asError(err).Code != CodeOriginNotAllowed {
		a.pixels.warn(r.Context(), a.logger, route, source, err)
		return err
	}
	if a.pixels.first(source, CodeOriginNotAllowed) {
		a.logger.WarnContext(r.Context(), "inlet: pixel without a Referer refused, since its key is bound to origins; "+
			"let its pages send one (Referrer-Policy: strict-origin-when-cross-origin), or give it a key without origins",
			"source", source.ID)
	}
	return &Error{Code: CodeOriginNotAllowed, Message: "the write key is bound to origins, and the pixel has neither an Origin nor a Referer"}
}

func authError(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{Code: CodeAuthUnavailable, Err: err}
}
