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
	"github.com/inlet-go/inlet/internal/check"
	"github.com/rs/cors"
)

// CORSOptions configure [CORS]. A nil pointer means all defaults.
type CORSOptions struct {
	// Origins are the origins whose pages may send events, each "https://shop.example" or
	// with a port, compared case-insensitively. Their requests may carry credentials
	// (cookies), which some SDKs and every beacon send. "*" allows every origin, without
	// credentials, and must be the only one. "null" is rejected: any page can have that
	// origin. Defaults to "*".
	Origins []string
	// Methods are those that pages may use. Defaults to GET, HEAD and POST.
	Methods []string
	// MaxAge is how long browsers may cache the answer to a preflight, in whole seconds; if
	// it is negative, they may not. Defaults to 2 hours, the maximum of Chromium.
	MaxAge time.Duration
	// PrivateNetwork lets pages of the public internet send to a server at a private
	// address: a preflight with Access-Control-Request-Private-Network, as browsers sent it
	// that held to that draft, is allowed. Otherwise these browsers do not send the event.
	// Any page of Origins can then reach the server from inside its network. Defaults to
	// false.
	PrivateNetwork bool
}

// CORS lets pages of other origins send events and read the answers: the protocol of the Fetch
// standard as github.com/rs/cors implements it.
//
// A preflight is answered here, with 204, and does not reach the layers inside: it carries no
// key. Up to 4 KiB of header names that it asks for are allowed as they are, because SDKs add
// headers on a retry and no list would stay complete. All other requests are passed on with the
// CORS headers already set, so that every answer has them, including refusals by a layer inside.
// Scripts may read Retry-After, X-RateLimit-Reset, RateLimit, RateLimit-Policy, X-Inlet-Error and
// X-Request-Id.
//
// CORS restricts browsers; it is not access control: a request from another origin is passed on,
// and only its answer cannot be read. [inlet.Source].Origins refuses such requests.
//
// CORS panics if an option is out of range.
func CORS(o *CORSOptions) func(http.Handler) http.Handler {
	filled, err := o.withDefaults()
	must(err)
	protocol := cors.New(cors.Options{
		AllowedOrigins:   filled.Origins,
		AllowCredentials: filled.Origins[0] != anyOrigin,
		AllowedMethods:   filled.Methods,
		AllowedHeaders:   []string{"*"},
		ExposedHeaders:   exposedHeaders,
		MaxAge:           int(filled.MaxAge / time.Second),

		AllowPrivateNetwork: filled.PrivateNetwork,
	})
	return func(next http.Handler) http.Handler { return checkCORSHeaders(protocol.Handler(next)) }
}

// anyOrigin allows every origin.
const anyOrigin = "*"

var exposedHeaders = []string{
	"Retry-After", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy", "X-Inlet-Error", headerRequestID,
}

// withDefaults returns a filled copy, with the origins as browsers send them.
func (o *CORSOptions) withDefaults() (CORSOptions, error) {
	var filled CORSOptions
	if o != nil {
		filled = *o
	}
	filled.MaxAge = cmp.Or(filled.MaxAge, 2*time.Hour)
	if filled.Methods = slices.Clone(filled.Methods); len(filled.Methods) == 0 {
		filled.Methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	var faults []error
	origins := []string{}
	for i, origin := range filled.Origins {
		field := fmt.Sprintf("Origins[%d]", i)
		normal, ok := normalOrigin(origin)
		switch {
		case !ok:
			faults = append(faults, check.Fault(field, `is %q, must be "https://host" or "https://host:port"`, origin))
		case normal == anyOrigin && len(filled.Origins) > 1:
			faults = append(faults, check.Fault(field, "is %q, must be the only one", origin))
		}
		origins = append(origins, normal)
	}
	if filled.Origins = origins; len(origins) == 0 {
		filled.Origins = []string{anyOrigin}
	}
	if filled.MaxAge%time.Second != 0 {
		faults = append(faults, check.Fault("MaxAge", "is %v, must be whole seconds", filled.MaxAge))
	}
	return filled, check.Options("middleware", "CORSOptions", faults...)
}

// normalOrigin returns scheme and host in lower case. Any scheme is valid: extensions and
// apps have other schemes.
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

// maxRequestedHeaders bounds the header names that a preflight asks for, in bytes: they are
// echoed.
const maxRequestedHeaders = 4096

// checkCORSHeaders refuses preflights that ask for too much, and requests with several origins,
// of which only one would be checked.
func checkCORSHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = inlet.WithState(r) // which notes the arrival
		requested := 0
		for _, line := range r.Header["Access-Control-Request-Headers"] {
			requested += len(line)
		}
		switch {
		case requested > maxRequestedHeaders:
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
