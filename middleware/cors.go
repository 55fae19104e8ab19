package middleware

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/order"
	"github.com/inlet-go/inlet/internal/origin"
	"github.com/rs/cors"
)

// CORSOptions configure [CORS]. A nil pointer means all defaults.
type CORSOptions struct {
	// Origins are the origins whose pages may send events, each "https://shop.example" or
	// with a port, compared case-insensitively; "https://*.shop.example" means the subdomains of
	// shop.example at any depth, and not that host itself. Their requests may carry credentials
	// (cookies), which some SDKs and every beacon send. "*" allows every origin, without
	// credentials, and must be the only one. "null" is rejected: any page can have that
	// origin. Defaults to "*", or to none if Allow is set.
	Origins []string
	// Allow decides about an origin that Origins does not have, as a browser sends it, for the
	// request or for a preflight in front of it, which has no key and no body. It is not asked
	// about "null". The answer must not depend on other headers, since caches do not know of
	// them. It may be called concurrently. Defaults to none.
	Allow func(r *http.Request, origin string) bool
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
	return filled.layer(nil)
}

// layer returns the layer of filled options.
func (o *CORSOptions) layer(logger *slog.Logger) func(http.Handler) http.Handler {
	every := slices.Equal(o.Origins, []string{anyOrigin})
	options := cors.Options{
		AllowedOrigins:   []string{anyOrigin},
		AllowCredentials: !every,
		AllowedMethods:   o.Methods,
		AllowedHeaders:   []string{"*"},
		ExposedHeaders:   exposedHeaders,
		MaxAge:           int(o.MaxAge / time.Second),

		AllowPrivateNetwork: o.PrivateNetwork,
	}
	if !every {
		var listed origin.Set
		for _, origin := range o.Origins {
			listed.Add(origin)
		}
		options.AllowOriginVaryRequestFunc = func(r *http.Request, sent string) (allowed bool, vary []string) {
			return listed.Has(sent) || o.Allow != nil && sent != "null" && o.Allow(r, sent), nil
		}
	}
	protocol := cors.New(options)
	return func(next http.Handler) http.Handler {
		return at(order.CORS, logger, next, onlyWithOrigin(checkCORSHeaders(protocol.Handler(next)), next))
	}
}

// onlyWithOrigin returns a handler that passes requests without an origin on to other: the
// protocol is not about them, except that caches must not use an answer to one of them for one
// with an origin. No cache keeps the answer to a POST for others.
func onlyWithOrigin(cors, other http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Origin"]) > 0 || r.Method == http.MethodOptions {
			cors.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodPost {
			addVary(w.Header())
		}
		other.ServeHTTP(w, r)
	}
}

// varyOrigin says that an answer depends on the origin. It is never changed.
var varyOrigin = []string{"Origin"}

func addVary(header http.Header) {
	if before := header["Vary"]; before != nil {
		header["Vary"] = append(before, varyOrigin...)
		return
	}
	header["Vary"] = varyOrigin
}

// anyOrigin allows every origin.
const anyOrigin = "*"

var exposedHeaders = []string{
	"Retry-After", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy", "X-Inlet-Error", headerRequestID,
}

// withDefaults returns a filled copy.
func (o *CORSOptions) withDefaults() (CORSOptions, error) {
	var filled CORSOptions
	if o != nil {
		filled = *o
	}
	filled.MaxAge = cmp.Or(filled.MaxAge, 2*time.Hour)
	if filled.Methods = slices.Clone(filled.Methods); len(filled.Methods) == 0 {
		filled.Methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	faults := checkOrigins("Origins", filled.Origins)
	if filled.Allow != nil && slices.Contains(filled.Origins, anyOrigin) {
		faults = append(faults, check.Fault("Allow", "is set, but Origins allows every origin"))
	}
	if filled.Origins = slices.Clone(filled.Origins); len(filled.Origins) == 0 && filled.Allow == nil {
		filled.Origins = []string{anyOrigin}
	}
	if filled.MaxAge%time.Second != 0 {
		faults = append(faults, check.Fault("MaxAge", "is %v, must be whole seconds", filled.MaxAge))
	}
	return filled, check.Options("middleware", "CORSOptions", faults...)
}

// checkOrigins returns the faults of a field that lists origins.
func checkOrigins(name string, origins []string) (faults []error) {
	for i, listed := range origins {
		field := fmt.Sprintf("%s[%d]", name, i)
		switch {
		case listed != anyOrigin:
			faults = append(faults, origin.Check(field, listed))
		case len(origins) > 1:
			faults = append(faults, check.Fault(field, "is %q, must be the only one", listed))
		}
	}
	return faults
}

// maxRequestedHeaders bounds the header names that a preflight asks for, in bytes: they are
// echoed.
const maxRequestedHeaders = 4096

// checkCORSHeaders refuses preflights that ask for too much, and requests with several origins,
// of which only one would be checked.
func checkCORSHeaders(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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
	}
}

func refuseHeader(w http.ResponseWriter, r *http.Request, field, message string) {
	inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeInvalidRequest, Field: field, Message: message})
}
