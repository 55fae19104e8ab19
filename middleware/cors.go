package middleware

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/rs/cors"
)

// CORSOptions say which pages may send and read. Nil is all defaults.
type CORSOptions struct {
	// Origins are the origins whose pages may send, each "https://shop.example"
	// or with a port, compared without regard to case. Their requests may carry
	// credentials (cookies), which some SDKs and every beacon send. "*", on its
	// own, is every origin, without credentials. "null" cannot be in the list:
	// any page can have it. Defaults to "*".
	Origins []string
	// Methods are those that pages may use. Defaults to GET, HEAD and POST.
	Methods []string
	// MaxAge is how long browsers may keep the answer to a preflight, in whole
	// seconds; below zero, not at all. Defaults to 2 hours, the most that
	// Chromium keeps.
	MaxAge time.Duration
}

// CORS lets pages of other origins send events and read the answers. It is the
// Fetch standard's protocol as github.com/rs/cors implements it.
//
// A preflight is answered here, with 204 and without asking the layers inside:
// it carries no key. The headers that it asks for are allowed as they are, as
// SDKs add some on a retry and no list would stay complete; up to 4 KiB of them.
// All other requests are passed on, with the headers set beforehand, so that
// they stand on every answer, refusals by a layer inside included. Scripts may
// read Retry-After, X-RateLimit-Reset, RateLimit, RateLimit-Policy,
// X-Inlet-Error and X-Request-Id.
//
// CORS is a rule for browsers, not a lock: a request from another origin is
// passed on, only its answer cannot be read. [inlet.Source].Origins refuses it.
//
// CORS panics if an option is out of range.
func CORS(o *CORSOptions) func(http.Handler) http.Handler {
	var filled CORSOptions
	if o != nil {
		filled = *o
	}
	origins, err := checkOrigins(filled.Origins)
	must("CORS", err)
	must("CORS", checkMaxAge(filled.MaxAge))
	if len(filled.Methods) == 0 {
		filled.Methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	shared := cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowCredentials: origins[0] != anyOrigin,
		AllowedMethods:   slices.Clone(filled.Methods),
		AllowedHeaders:   []string{"*"},
		ExposedHeaders:   exposedHeaders,
		MaxAge:           int(cmp.Or(filled.MaxAge, 2*time.Hour) / time.Second),
	})
	return func(next http.Handler) http.Handler { return bounded(shared.Handler(next)) }
}

// anyOrigin stands for every origin.
const anyOrigin = "*"

var exposedHeaders = []string{
	"Retry-After", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy", "X-Inlet-Error", headerRequestID,
}

func checkMaxAge(d time.Duration) error {
	if d%time.Second != 0 {
		return fmt.Errorf("MaxAge is %v, must be whole seconds", d)
	}
	return nil
}

// checkOrigins returns the origins as a browser sends them. The error names the
// first that none ever does.
func checkOrigins(origins []string) ([]string, error) {
	if len(origins) == 0 {
		return []string{anyOrigin}, nil
	}
	var checked []string
	for _, origin := range origins {
		normal, ok := normalOrigin(origin)
		switch {
		case !ok:
			return nil, fmt.Errorf(`option Origins: %q must be "https://host" or "https://host:port"`, origin)
		case normal == anyOrigin && len(origins) > 1:
			return nil, fmt.Errorf("option Origins: %q must stand alone", origin)
		}
		checked = append(checked, normal)
	}
	return checked, nil
}

// normalOrigin returns scheme and host in lower case. Any scheme will do:
// extensions and apps have their own.
func normalOrigin(origin string) (string, bool) {
	if origin == anyOrigin {
		return origin, true
	}
	u, err := url.Parse(strings.TrimSuffix(origin, "/"))
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") {
		return "", false
	}
	normal := u.Scheme + "://" + u.Host
	return strings.ToLower(normal), strings.EqualFold(normal, strings.TrimSuffix(origin, "/"))
}

// askedBytes bounds the header names of a preflight: what is asked is echoed.
const askedBytes = 4096

// bounded refuses preflights that ask for too much, and requests of several
// origins, of which only one would be checked.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := 0
		for _, line := range r.Header["Access-Control-Request-Headers"] {
			asked += len(line)
		}
		switch {
		case asked > askedBytes:
			refuseHeader(w, r, "Access-Control-Request-Headers", "the preflight asks for too many headers")
		case len(r.Header["Origin"]) > 1:
			refuseHeader(w, r, "Origin", "the request has more than one origin")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuseHeader(w http.ResponseWriter, r *http.Request, field, message string) {
	inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeInvalidRequest, Field: field, Message: message})
}
