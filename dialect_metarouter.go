package inlet

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/wire"
)

// MetaRouter returns what MetaRouter, and Astronomer before it, have in addition to
// Segment's API: their webhook, their custom events, and the place of the key in
// Astronomer's bodies. All else is [Segment]'s, which must be in the list, too.
func MetaRouter() Dialect { return metaRouter{} }

type metaRouter struct{}

// eventNameAlias is what a table of the documents calls "event".
const eventNameAlias = "eventName"

// Name returns "metarouter".
func (metaRouter) Name() string { return "metarouter" }

// KeyPlaces returns those of Segment's API: the query of a webhook precedes the body, and
// "appId" is the key in bodies of the time of Astronomer. A custom event has other ones.
func (metaRouter) KeyPlaces() (query, members []string) { return segmentKeyPlaces() }

// Routes returns the webhook, whose body is an event with its type, and custom events.
func (metaRouter) Routes() []Route {
	webhook := func(in *Input) error { return decodeSegmentSingle(in, "") }
	return []Route{
		{Method: http.MethodPost, Path: "/v1/webhook", Decode: webhook},
		{Method: http.MethodPost, Path: "/v1/w", Decode: webhook},
		{Method: http.MethodPost, Path: "/v1/custom/event", Key: findCustomKey, Decode: decodeCustom},
	}
}

// metaRouterName returns the value that names a track event: the given one or, if that is
// absent or empty, the member that the documents' table calls eventName. That remains an unknown
// member as well.
func metaRouterName(e *segmentEvent, event json.RawMessage) json.RawMessage {
	if kind := wire.Kind(event); kind != 0 && kind != 'n' && string(event) != `""` || !e.slots.extra {
		return event
	}
	if alias := e.object.Get(eventNameAlias); alias != nil {
		return alias
	}
	return event
}

// A custom event is any JSON object, and a second one, the metadata, with what the platform
// must know about it. The metadata is in a header, in the query or in the body. Of a member
// that several places have the first counts.
const (
	customHeader = "X-Event-Metadata"
	customMember = `"_metarouter"`
)

// Members of the metadata.
const (
	customKey         = `"writeKey"`
	customName        = `"eventName"`
	customID          = `"eventID"`
	customTimestamp   = `"timestamp"`
	customAnonymousID = `"anonymousID"`
	customUserID      = `"userID"`
	customIP          = `"ip"`
)

var customMembers = []string{
	customKey, customName, customID, customTimestamp, customAnonymousID, customUserID, customIP,
}

// metadataGrowth is how many times its bytes the metadata needs until it is one object, with
// the index of that.
const metadataGrowth = 16

// customMetadata assembles the metadata of a request. The body's part is nil if it has none.
func customMetadata(r *http.Request, body json.RawMessage, limits wire.Limits) (Object, error) {
	metadata, repaired := customQuery(r.URL.RawQuery)
	switch kind := wire.Kind(body); {
	case kind == '{':
		metadata = wire.AppendMerged(nil, body, metadata)
	case kind != 0 && kind != 'n' && !wire.EmptyList(body):
		return Object{}, customProblem("_metarouter", nil)
	}
	var doc wire.Document
	if text := []byte(strings.TrimSpace(r.Header.Get(customHeader))); len(text) > 0 && !wire.EmptyList(text) {
		if err := doc.Read(text, "", limits); err != nil || doc.Repaired() {
			return Object{}, customProblem(customHeader, err)
		}
		metadata = wire.AppendPreferred(nil, metadata, text, saysNothing)
	}
	if err := doc.Read(metadata, "", limits); err != nil {
		return Object{}, customProblem("_metarouter", err)
	}
	return Object{doc.Root(), repaired}, nil
}

// saysNothing reports whether a member of the metadata gives way to that of another place.
func saysNothing(value, _ []byte) bool {
	return wire.Kind(value) == 'n' || wire.Kind(value) == '"' && strings.TrimSpace(wire.Text(value)) == ""
}

func customProblem(field string, err error) error {
	return &Error{Code: CodeInvalidRequest, Message: "the metadata of the event is not a valid JSON object", Field: field, Err: err}
}

// customQuery makes an object of the parameters that are metadata, and reports whether their
// text was repaired.
func customQuery(query string) (object []byte, repaired bool) {
	object = append(object, '{')
	for _, quoted := range customMembers {
		if value := form.First(query, quoted[1:len(quoted)-1]); value != "" {
			repaired = repaired || !form.Valid(value)
			object = wire.AppendMember(object, 1, []byte(quoted), wire.AppendString(nil, form.Text(value)))
		}
	}
	return append(object, '}'), repaired
}

// findCustomKey finds the write key in the metadata. Metadata that cannot be read has none.
func findCustomKey(r *http.Request, root Object) string {
	limits, _ := Limits{}.withDefaults()
	metadata, err := customMetadata(r, root.members.Get(customMember), limits.wire())
	if err != nil {
		return ""
	}
	return wire.Text(metadata.members.Get(customKey))
}

// decodeCustom makes a track call of a custom event. Its properties are the body without the
// metadata.
func decodeCustom(in *Input) error {
	object, ok := in.Single()
	if !ok {
		return nil
	}
	body := object.members.Get(customMember)
	if !in.reserve(metadataGrowth * (len(body) + len(in.Request.URL.RawQuery) + len(in.Request.Header.Get(customHeader)))) {
		return nil
	}
	metadata, err := customMetadata(in.Request, body, in.limits.wire())
	if err != nil {
		return err
	}
	e := in.Add(0)
	e.Type = TypeTrack
	if object.Repaired() || metadata.Repaired() {
		e.Warnings = WarnTextRepaired
	}
	if p := in.setCustom(e, metadata.members); p != nil {
		in.Withdraw(p)
		return nil
	}
	e.Properties = in.objectWithout(object.members, func(name string) bool { return name == customMember })
	return nil
}

// setCustom sets what the metadata defines.
func (in *Input) setCustom(e *Event, metadata wire.Object) *Problem {
	for _, id := range []struct {
		field *string
		name  string
	}{{&e.MessageID, customID}, {&e.UserID, customUserID}, {&e.AnonymousID, customAnonymousID}} {
		if p := in.SetID(e, id.field, metadata.Get(id.name), id.name[1:len(id.name)-1]); p != nil {
			return p
		}
	}
	switch name := metadata.Get(customName); wire.Kind(name) {
	case '"':
		e.Name = in.Text(name)
	case 0, 'n':
		return problem(CodeEventNotDefined, "eventName")
	default:
		return problem(CodeEventNotString, "eventName")
	}
	in.setCustomContent(e, metadata)
	return nil
}

// setCustomContent sets the fields for which an event cannot be refused. Undocumented
// members, and values of the wrong kind, are kept as unknown members.
func (in *Input) setCustomContent(e *Event, metadata wire.Object) {
	known := slices.Clone(customMembers)
	if !in.SetTime(e, &e.Timestamp, metadata.Get(customTimestamp)) {
		known = slices.DeleteFunc(known, func(name string) bool { return name == customTimestamp })
	}
	switch ip := metadata.Get(customIP); {
	case ip == nil, saysNothing(ip, nil):
	case wire.Kind(ip) == '"':
		e.Context = wire.AppendMember([]byte{'{'}, 1, []byte(customIP), ip)
		e.Context = append(e.Context, '}')
	default:
		known = slices.DeleteFunc(known, func(name string) bool { return name == customIP })
	}
	unknown := in.objectWithout(metadata, func(name string) bool { return slices.Contains(known, name) })
	if len(unknown) > len(`{}`) && in.reserve(4*(len(unknown)+len(customMember))) { // as it grows
		e.Extra = wire.AppendMember([]byte{'{'}, 1, []byte(customMember), unknown)
		e.Extra = append(e.Extra, '}')
	}
}

// objectWithout returns an object without the members that drop reports, by their quoted
// names.
func (in *Input) objectWithout(o wire.Object, drop func(name string) bool) json.RawMessage {
	if !in.growExtra(o) {
		return nil
	}
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	for i := range o.Len() {
		if name := o.Name(i); !drop(string(name)) && !in.key.isIn(name, o.Value(i)) {
			in.raw = wire.AppendMember(in.raw, start+1, name, o.Value(i))
		}
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}
