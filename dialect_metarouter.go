package inlet

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// MetaRouter returns what MetaRouter, and Astronomer before it, have beside
// Segment's API: their webhook, their custom events, and the place where the
// older of them put the key into a body. All else is [Segment]'s, which must be
// there, too.
func MetaRouter() Dialect { return metaRouter{} }

type metaRouter struct{}

const (
	metaRouterKey  = `"appId"`     // the write key, in bodies of the time of Astronomer
	eventNameAlias = `"eventName"` // what a table of the documents calls "event"
)

// Name is "metarouter".
func (metaRouter) Name() string { return "metarouter" }

// KeyPlaces are the query of a webhook, which outranks the body, and "appId".
func (metaRouter) KeyPlaces() KeyPlaces {
	return KeyPlaces{Query: []string{"writeKey"}, Members: []string{"appId"}}
}

// Routes are the webhook, whose body is an event that says its type, and custom
// events.
func (metaRouter) Routes() []Route {
	webhook := func(in *Input) error { return decodeSegmentSingle(in, "") }
	return []Route{
		{Method: http.MethodPost, Path: "/v1/webhook", Decode: webhook},
		{Method: http.MethodPost, Path: "/v1/w", Decode: webhook},
		{Method: http.MethodPost, Path: "/v1/custom/event", Key: findCustomKey, Decode: decodeCustom},
	}
}

// metaRouterName returns the value that names a track event: said or, if that is
// nothing, the member that the documents' table calls eventName. That stays an
// unknown member as well.
func metaRouterName(e *segmentEvent, said json.RawMessage) json.RawMessage {
	if kind := wire.Kind(said); kind != 0 && kind != 'n' || !e.slots.extra {
		return said
	}
	return e.object.Get(eventNameAlias)
}

// A custom event is any JSON object, and a second one, the metadata, that says
// what the platform must know of it. The metadata stands in a header, in the
// query or in the body. Of a member that several places have the first counts.
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

// customMetadata puts the metadata of a request together. The body's part is nil
// where it has none.
func customMetadata(r *http.Request, body json.RawMessage, limits wire.Limits) (wire.Object, error) {
	metadata := customQuery(r)
	if kind := wire.Kind(body); kind == '{' {
		metadata = wire.AppendMerged(nil, body, metadata)
	} else if kind != 0 {
		return wire.Object{}, customProblem("_metarouter", nil)
	}
	var doc wire.Document
	if text := strings.TrimSpace(r.Header.Get(customHeader)); text != "" {
		if err := doc.Read([]byte(text), "", limits); err != nil || doc.Repaired() {
			return wire.Object{}, customProblem(customHeader, err)
		}
		metadata = wire.AppendMerged(nil, metadata, []byte(text))
	}
	if err := doc.Read(metadata, "", limits); err != nil {
		return wire.Object{}, customProblem("_metarouter", err)
	}
	return doc.Root(), nil
}

func customProblem(field string, err error) error {
	return &Error{Code: CodeInvalidRequest, Message: "the metadata of the event is not a valid JSON object", Field: field, Err: err}
}

// customQuery makes an object of the parameters that are metadata.
func customQuery(r *http.Request) []byte {
	query := r.URL.Query()
	object := []byte{'{'}
	for _, quoted := range customMembers {
		if value := query.Get(quoted[1 : len(quoted)-1]); value != "" {
			object = wire.AppendMember(object, 1, []byte(quoted), wire.AppendString(nil, value))
		}
	}
	return append(object, '}')
}

// findCustomKey finds the write key in the metadata. Metadata that cannot be read
// has none.
func findCustomKey(r *http.Request, root Object) string {
	limits, _ := Limits{}.withDefaults()
	metadata, err := customMetadata(r, root.members.Get(customMember), limits.wire())
	if err != nil {
		return ""
	}
	return wire.Text(metadata.Get(customKey))
}

// decodeCustom makes a track call of a custom event. Its properties are the body
// without the metadata.
func decodeCustom(in *Input) error {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return nil
	}
	metadata, err := customMetadata(in.Request, item.Object.Get(customMember), in.limits.wire())
	if err != nil {
		return err
	}
	e := in.Add(0)
	e.Type = TypeTrack
	if item.Repaired {
		e.Warnings = WarnTextRepaired
	}
	if p := in.setCustom(e, metadata); p != nil {
		in.refuseLast(p)
		return nil
	}
	e.Properties = in.objectWithout(item.Object, func(name string) bool {
		return name == customMember || segmentSlotOf([]byte(name)) == slotKey
	})
	return nil
}

// setCustom sets what the metadata says.
func (in *Input) setCustom(e *Event, metadata wire.Object) *Problem {
	for _, id := range []struct {
		field *string
		name  string
	}{{&e.MessageID, customID}, {&e.UserID, customUserID}, {&e.AnonymousID, customAnonymousID}} {
		text, warnings, p := in.ID(metadata.Get(id.name), id.name[1:len(id.name)-1])
		if p != nil {
			return p
		}
		*id.field = text
		e.Warnings |= warnings
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

// setCustomContent sets what cannot be wrong. Members that nobody documents, and
// values that are not what they should be, are kept as unknown ones.
func (in *Input) setCustomContent(e *Event, metadata wire.Object) {
	var warnings Warnings
	known := slices.Clone(customMembers)
	e.Timestamp, warnings = in.Time(metadata.Get(customTimestamp))
	if e.Warnings |= warnings; warnings.Has(WarnTimestampInvalid) {
		known = slices.DeleteFunc(known, func(name string) bool { return name == customTimestamp })
	}
	if ip := metadata.Get(customIP); wire.Kind(ip) == '"' {
		e.Context = wire.AppendMember([]byte{'{'}, 1, []byte(customIP), ip)
		e.Context = append(e.Context, '}')
	}
	unknown := in.objectWithout(metadata, func(name string) bool { return slices.Contains(known, name) })
	if len(unknown) > len(`{}`) {
		e.Extra = wire.AppendMember([]byte{'{'}, 1, []byte(customMember), unknown)
		e.Extra = append(e.Extra, '}')
	}
}

// objectWithout returns an object without the members that drop reports, by their
// quoted names.
func (in *Input) objectWithout(o wire.Object, drop func(name string) bool) json.RawMessage {
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	for i := range o.Len() {
		if name := o.Name(i); !drop(string(name)) {
			in.raw = wire.AppendMember(in.raw, start+1, name, o.Value(i))
		}
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}
