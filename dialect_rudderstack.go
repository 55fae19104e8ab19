package inlet

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/wire"
)

// RudderStack returns what RudderStack's SDKs need in addition to Segment's API: the
// configuration that the browser SDK requests when it starts, its beacons, and the pixels.
// All else is [Segment]'s, which must be in the list, too. There is no /v1/merge: it is none
// of the six calls.
func RudderStack() Dialect { return rudderStack{} }

type rudderStack struct{}

// Name returns "rudderstack".
func (rudderStack) Name() string { return "rudderstack" }

// KeyPlaces returns those of Segment's API, of which beacons and pixels use the query.
func (rudderStack) KeyPlaces() (query, members []string) { return segmentKeyPlaces() }

// Routes returns the configuration, the beacon and two pixels.
func (rudderStack) Routes() []Route {
	routes := []Route{
		{Method: http.MethodGet, Path: "/sourceConfig", Open: true, Reply: sourceConfig},
		{Method: http.MethodPost, Path: "/beacon/v1/batch", Batch: true, Decode: decodeSegmentBatch},
	}
	for _, t := range []Type{TypeTrack, TypePage} {
		image := func(in *Input) error { return decodeRudderPixel(in, t) }
		routes = append(routes, Route{
			Method: http.MethodGet, Path: "/pixel/v1/" + string(t), Form: FormPixel, Body: segmentPixel(t), Key: pixelKey, Decode: image,
		})
	}
	return routes
}

// decodeRudderPixel reads the event of a pixel. As on the vendor's server, quotes around an
// anonymous id are dropped: its SDK stores the id as JSON.
func decodeRudderPixel(in *Input, t Type) error {
	if err := decodeSegmentPixel(in, t); err != nil {
		return err
	}
	for _, e := range in.events {
		if inside, ok := strings.CutPrefix(e.AnonymousID, `"`); ok {
			if inside, ok = strings.CutSuffix(inside, `"`); ok {
				id, warnings := trimID(inside)
				e.AnonymousID, e.Warnings = id, e.Warnings|warnings
			}
		}
	}
	return nil
}

// sourceConfig answers SDKs that ask when they start which destinations they must load: none.
// Those for Swift and Kotlin require every member of it. The answer is the same for any key,
// except for the key itself, which is that of the request: no cache may keep it.
func sourceConfig(q *Inquiry) ([]byte, error) {
	key, err := inquiryKey(q.Request)
	if err != nil {
		return nil, err
	}
	q.Header["Cache-Control"] = noStore
	body := wire.AppendString([]byte(`{"source":{"id":"inlet","name":"Inlet","writeKey":`), key)
	return append(body, sourceConfigRest...), nil
}

// sourceConfigRest is what follows the key. The time is constant, because the settings never
// change.
const sourceConfigRest = `,"enabled":true,"workspaceId":"inlet","updatedAt":"1970-01-01T00:00:00.000Z",` +
	`"config":{"statsCollection":{"errors":{"enabled":false},"metrics":{"enabled":false}}},"destinations":[]}}`

// inquiryKey returns the write key of a request that is not authenticated, for its own answer: that
// of a header, or else that of the query, or "".
func inquiryKey(r *http.Request) (string, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return "", tooLarge(maxQuery)
	}
	key := keyInHeaders(r.Header)
	for name, value := range form.Pairs(r.URL.RawQuery) {
		if key == "" && form.Is(name, "writeKey") {
			key = form.Key(value)
		}
	}
	if len(key) > maxKeyBytes {
		return "", &Error{Code: CodeInvalidRequest, Message: "the write key is too long", Field: "writeKey"}
	}
	return key, nil
}

// Headers of RudderStack's SDKs, in the form in which net/http keeps them.
const (
	headerAnonymousID = "Anonymousid"
	headerSentAt      = "Sentat"
)

// setRequestDefaults reads from the headers what the body does not have: when the request
// was sent, and the anonymous id of events without one.
func setRequestDefaults(in *Input, env *segmentEnvelope) {
	header := in.Request.Header
	if id := firstValue(header[headerAnonymousID]); id != "" {
		env.anonymousID, env.aboutAnonymousID = trimID(decodeAnonymousID(id))
	}
	if at := firstValue(header[headerSentAt]); at != "" && env.sentAt.IsZero() {
		env.sentAt, _ = in.time(wire.AppendString(nil, at))
	}
}

// decodeAnonymousID decodes the id in the header, which is in base64. A value that is not has
// no id: a wrong one would merge different users.
func decodeAnonymousID(text string) string {
	id, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(id) {
		return ""
	}
	return string(id)
}
