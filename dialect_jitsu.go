package inlet

import "net/http"

// Jitsu returns the routes of Jitsu's SDK, whose events are Segment's. The other routes of
// Jitsu's own server are [Segment]'s.
//
// Its keys have the form "id:secret" and are sent in X-Write-Key. The SDK also sends the
// key in the body, masked; it is dropped there, as every key is.
func Jitsu() Dialect { return jitsu{} }

type jitsu struct{}

// Name returns "jitsu".
func (jitsu) Name() string { return "jitsu" }

// KeyPlaces returns the query, in lower case.
func (jitsu) KeyPlaces() (query, members []string) { return []string{"writekey"}, nil }

// Routes returns those for browsers and those for servers, one for each type and "event" for
// events with a type of their own, the batch, and the pixels. Jitsu accepts events that name
// no user.
func (jitsu) Routes() []Route {
	var routes []Route
	for _, t := range []Type{TypeIdentify, TypeTrack, TypePage, TypeScreen, TypeGroup, TypeAlias, ""} {
		single := func(in *Input) error { return decodeSegmentSingle(in, t) }
		name := string(t)
		if t == "" {
			name = "event"
		}
		routes = append(routes,
			Route{Method: http.MethodPost, Path: "/api/s/" + name, UserOptional: true, Decode: single},
			Route{Method: http.MethodPost, Path: "/api/s/s2s/" + name, UserOptional: true, Decode: single},
			Route{Method: http.MethodGet, Path: "/api/px/" + name, UserOptional: true, Form: FormPixel, Body: segmentPixel, Decode: single})
	}
	return append(routes,
		Route{Method: http.MethodPost, Path: "/api/s/s2s/batch", UserOptional: true, Batch: true, Decode: decodeSegmentBatch},
		Route{Method: http.MethodPost, Path: "/v1/batch/b", Batch: true, Decode: decodeSegmentBatch})
}
