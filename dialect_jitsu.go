package inlet

import (
	"net/http"

	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/pixel"
	"github.com/inlet-go/inlet/internal/wire"
)

// Jitsu returns the routes of Jitsu's SDK, whose events are Segment's. The other routes of
// Jitsu's own server are [Segment]'s.
//
// Its keys have the form "id:secret" and are sent in X-Write-Key. The SDK also sends the
// key in the body, masked; it is dropped there, as every key is.
func Jitsu() Dialect { return jitsu{} }

type jitsu struct{}

// Name returns "jitsu".
func (jitsu) Name() string { return "jitsu" }

// KeyPlaces returns those of Segment's API, whose "writekey" in the query is Jitsu's.
func (jitsu) KeyPlaces() (query, members []string) { return segmentKeyPlaces() }

// Routes returns those for browsers and those for servers, one for each type and "event" for
// events with a type of their own, the batch, and the pixels. Jitsu accepts events that name
// no user.
func (jitsu) Routes() []Route {
	var routes []Route
	for _, t := range []Type{TypeIdentify, TypeTrack, TypePage, TypeScreen, TypeGroup, TypeAlias, ""} {
		single := func(in *Input) error { return decodeSegmentSingle(in, t) }
		image := func(in *Input) error { return decodeSegmentPixel(in, t) }
		name := string(t)
		if t == "" {
			name = "event"
		}
		routes = append(routes,
			Route{Method: http.MethodPost, Path: "/api/s/" + name, UserOptional: true, Decode: single},
			Route{Method: http.MethodPost, Path: "/api/s/s2s/" + name, UserOptional: true, Decode: single},
			Route{Method: http.MethodGet, Path: "/api/px/" + name, UserOptional: true, Form: FormPixel, Body: jitsuPixel(t), Key: pixelKey, Decode: image})
	}
	return append(routes,
		Route{Method: http.MethodPost, Path: "/api/s/s2s/batch", UserOptional: true, Batch: true, Decode: decodeSegmentBatch},
		Route{Method: http.MethodPost, Path: "/v1/batch/b", Batch: true, Decode: decodeSegmentBatch})
}

// Parameters of a pixel that tell Jitsu's server what to do, and are not data.
const (
	jitsuCookieDomain   = "cookie_domain"
	jitsuProcessHeaders = "process_headers"
)

// jitsuPixel makes the payload of a pixel of its query. As on the vendor's server, the event
// in "data" gets the other parameters, which replace what it has, and one that is sent more
// than once is a list.
func jitsuPixel(t Type) func(*http.Request) ([]byte, error) {
	use := func(path []string) pixel.Use { return useOfJitsuParam(path, t) }
	return func(r *http.Request) ([]byte, error) {
		query := r.URL.RawQuery
		if len(query) > maxQuery {
			return nil, tooLarge(maxQuery)
		}
		params, err := dottedPayload(query, use)
		data := form.First(query, dataParam)
		if err != nil || data == "" {
			return params, err
		}
		event, err := pixelData(data)
		if err != nil || wire.EmptyObject(params) {
			return event, err
		}
		return withParams(event, params), nil
	}
}

// withParams returns an event with the parameters: unchanged if it cannot be read, which is
// then why it is refused.
func withParams(event, params []byte) []byte {
	limits, _ := Limits{}.withDefaults() // the defaults are valid
	var doc wire.Document
	if doc.Read(event, "", limits.wire()) != nil || doc.AsItem().Fault.Kind != wire.None {
		return event
	}
	return wire.AppendMerged(nil, event, params)
}

// useOfJitsuParam is useOfParam for Jitsu. Of a parameter that cannot be a list, since an
// event has a field for it, the first value counts.
func useOfJitsuParam(path []string, t Type) pixel.Use {
	if len(path) == 1 && (path[0] == jitsuCookieDomain || path[0] == jitsuProcessHeaders) {
		return pixel.Nothing
	}
	use := useOfParam(path, t)
	if use == pixel.First && (len(path) > 1 || slotOfName(path[0]) == slotExtra) {
		return pixel.List
	}
	return use
}
