package inlet

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// Segment returns the dialect of Segment's HTTP tracking API and of the many
// servers and SDKs that speak it. Its rules are those of Segment's published API
// and, where that is silent, what its published SDKs send.
func Segment() Dialect { return segment{} }

type segment struct{}

// Name is "segment".
func (segment) Name() string { return "segment" }

// KeyPlaces are the query of beacons and pixels, and the body, where most of the
// SDKs put the key.
func (segment) KeyPlaces() KeyPlaces {
	return KeyPlaces{Query: []string{"writeKey", "writekey"}, Members: []string{"writeKey"}}
}

// Routes are those of the API in their long and short forms, with the batch
// routes of old and mobile SDKs, the pixels, and the metrics of browser SDKs,
// which are taken and dropped.
func (segment) Routes() []Route {
	var routes []Route
	for _, t := range []Type{TypeIdentify, TypeTrack, TypePage, TypeScreen, TypeGroup, TypeAlias} {
		single := func(in *Input) error { return decodeSegmentSingle(in, t) }
		routes = append(routes,
			Route{Method: http.MethodPost, Path: "/v1/" + string(t), Decode: single},
			Route{Method: http.MethodPost, Path: "/v1/" + string(t[:1]), Decode: single},
			Route{Method: http.MethodGet, Path: "/v1/pixel/" + string(t), Form: FormPixel, Body: segmentPixel, Decode: single})
	}
	for _, path := range []string{"/v1/batch", "/v1/b"} {
		routes = append(routes, Route{Method: http.MethodPost, Path: path, Size: SizeBatch, Decode: decodeSegmentBatch})
	}
	return append(routes,
		Route{Method: http.MethodPost, Path: "/v1/import", Size: SizeImport, Decode: decodeSegmentBatch},
		Route{Method: http.MethodPost, Path: "/v1/m", Open: true, Decode: func(*Input) error { return nil }})
}

// segmentSlot is a member of an event that the normalised form has a field for.
type segmentSlot int

const (
	slotType segmentSlot = iota
	slotEvent
	slotName
	slotMessageID
	slotUserID
	slotAnonymousID
	slotPreviousID
	slotGroupID
	slotTimestamp
	slotOriginalTimestamp
	slotSentAt
	slotProperties
	slotTraits
	slotContext
	slotIntegrations
	segmentSlotCount

	slotKey      // the write key, which is dropped
	slotReserved // a member that only we may set
	slotExtra    // any other
)

// segmentSlots holds the values of an event's members by slot.
type segmentSlots struct {
	values   [segmentSlotCount]json.RawMessage
	extra    bool   // there are members that go to Extra
	reserved bool   // and among them ones that only we may set
	aside    uint32 // slots, as bits, whose values go to Extra after all
}

// setAside keeps a member that cannot be what its field says.
func (s *segmentSlots) setAside(slot segmentSlot) {
	s.extra = true
	s.aside |= 1 << slot
}

// isAside reports whether a member goes below "_client".
func (s *segmentSlots) isAside(slot segmentSlot) bool {
	return slot == slotReserved || s.aside>>slot&1 != 0
}

func segmentSlotOf(quoted []byte) segmentSlot {
	switch string(quoted) {
	case `"type"`:
		return slotType
	case `"event"`:
		return slotEvent
	case `"name"`:
		return slotName
	case `"messageId"`:
		return slotMessageID
	case `"userId"`:
		return slotUserID
	case `"anonymousId"`:
		return slotAnonymousID
	case `"previousId"`:
		return slotPreviousID
	case `"groupId"`:
		return slotGroupID
	case `"timestamp"`:
		return slotTimestamp
	case `"originalTimestamp"`:
		return slotOriginalTimestamp
	case `"sentAt"`:
		return slotSentAt
	case `"properties"`:
		return slotProperties
	case `"traits"`:
		return slotTraits
	case `"context"`:
		return slotContext
	case `"integrations"`:
		return slotIntegrations
	case `"writeKey"`, `"writekey"`:
		return slotKey
	case `"receivedAt"`, `"sourceId"`, `"dialect"`, `"warnings"`, `"_seq"`, `"_c"`, `"_client"`:
		return slotReserved
	}
	return slotExtra
}

// fill sorts the members of an event into their slots and returns how much room
// the event's strings need at most.
func (s *segmentSlots) fill(o wire.Object) (room int) {
	for i := range o.Len() {
		switch slot := segmentSlotOf(o.Name(i)); slot {
		case slotKey:
		case slotReserved:
			s.extra, s.reserved = true, true
		case slotExtra:
			s.extra = true
		default:
			s.values[slot] = o.Value(i)
		}
	}
	for _, raw := range s.values[slotEvent : slotGroupID+1] {
		room += max(0, len(raw)-len(`""`))
	}
	if len(s.values[slotMessageID]) <= len(`""`) {
		room += idLength
	}
	return room
}

// segmentEnvelope is what a batch says for all of its events.
type segmentEnvelope struct {
	context, integrations json.RawMessage
	sentAt, timestamp     time.Time
	warnings              Warnings
}

// decodeSegmentSingle reads a body that is one event. Its type is the route's.
func decodeSegmentSingle(in *Input, t Type) error {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return nil
	}
	var s segmentSlots
	in.text.Grow(s.fill(item.Object))
	in.addSegment(0, &item, &s, t, &segmentEnvelope{})
	return nil
}

// decodeSegmentBatch reads a body that lists events, with defaults for them.
func decodeSegmentBatch(in *Input) error {
	items, listed := in.doc.Items()
	if !listed {
		return &Error{Code: CodeBatchNotArray, Field: "batch"}
	}
	if len(items) == 0 {
		return &Error{Code: CodeEmptyBatch, Field: "batch"}
	}
	envelope, err := in.segmentEnvelope(len(items))
	if err != nil {
		return err
	}
	in.fillSegment(items)
	for i := range items {
		if p := problemOf(items[i].Fault); p != nil {
			in.Refuse(i, "", p)
			continue
		}
		in.addSegment(i, &items[i], &in.slots[i], "", &envelope)
	}
	return nil
}

// fillSegment sorts the members of all events, so that the room for all their
// strings can be made at once.
func (in *Input) fillSegment(items []wire.Item) {
	in.slots = slices.Grow(in.slots, len(items))[:len(items)]
	in.structs = slices.Grow(in.structs, len(items))
	room := 0
	for i := range items {
		in.slots[i] = segmentSlots{}
		room += in.slots[i].fill(items[i].Object)
	}
	in.text.Grow(room)
}

// maxExpansion is how many times the batch limit all events together may come to
// once each has the batch's defaults: they are sent once and stored with every
// event.
const maxExpansion = 8

func (in *Input) segmentEnvelope(events int) (segmentEnvelope, error) {
	root := in.doc.Root()
	var e segmentEnvelope
	var warn [4]Warnings
	var p, q *Problem
	e.context, warn[0], p = in.Object(root.Get(`"context"`), CodeContextNotObject, "context")
	e.integrations, warn[1], q = in.Object(root.Get(`"integrations"`), CodeIntegrationsNotObject, "integrations")
	if p == nil {
		p = q
	}
	if p != nil {
		return e, &Error{Code: p.Code, Message: p.Message, Field: p.Field}
	}
	if all := int64(len(e.context)+len(e.integrations)) * int64(events); all > maxExpansion*in.limits.BatchBytes {
		return e, &Error{Code: CodePayloadTooLarge, Field: "context",
			Message: "context and integrations of the batch, repeated for every event, are too large"}
	}
	e.sentAt, warn[2] = in.Time(root.Get(`"sentAt"`))
	e.timestamp, warn[3] = in.Time(root.Get(`"timestamp"`))
	e.warnings = warn[0] | warn[1]
	if in.doc.Repaired() {
		e.warnings |= WarnTextRepaired
	}
	return e, nil
}

// addSegment adds the event at a place of the request, or refuses it. The type is
// the route's, or "" where the event must say it.
func (in *Input) addSegment(place int, item *wire.Item, s *segmentSlots, t Type, env *segmentEnvelope) {
	e := in.Add(place)
	e.Warnings = env.warnings
	if item.Repaired {
		e.Warnings |= WarnTextRepaired
	}
	p := in.segmentIDs(e, s)
	if p == nil {
		p = in.segmentType(e, s, t)
	}
	if p == nil {
		p = in.segmentObjects(e, s, env)
	}
	if p != nil {
		in.refuseLast(p)
		return
	}
	in.segmentTimes(e, s, env)
	if s.extra || s.hasOtherName(e.Type) {
		e.Extra = in.segmentExtra(e, item.Object, s)
	}
}

// segmentType reads the type and the name that goes with it.
func (in *Input) segmentType(e *Event, s *segmentSlots, route Type) *Problem {
	e.Type = route
	if said := s.values[slotType]; route == "" {
		if e.Type = segmentTypeOf(said); e.Type == "" {
			return in.typeProblem(said)
		}
	} else if len(said) > 0 && segmentTypeOf(said) != route {
		e.Warnings |= WarnTypeMismatch
	}
	slot := nameSlot(e.Type)
	if slot == slotExtra {
		return nil
	}
	switch raw := s.values[slot]; wire.Kind(raw) {
	case '"':
		e.Name = in.Text(raw)
	case 0, 'n':
	default:
		return nameProblem(slot)
	}
	return nil
}

// segmentTypeOf returns the type that a value says, "" if it is none.
func segmentTypeOf(raw []byte) Type {
	switch string(raw) {
	case `"track"`:
		return TypeTrack
	case `"page"`:
		return TypePage
	case `"identify"`:
		return TypeIdentify
	case `"screen"`:
		return TypeScreen
	case `"group"`:
		return TypeGroup
	case `"alias"`:
		return TypeAlias
	}
	if t := Type(wire.Text(raw)); t.Valid() {
		return t
	}
	return ""
}

func (in *Input) typeProblem(raw []byte) *Problem {
	if kind := wire.Kind(raw); kind == 0 || kind == 'n' {
		return problem(CodeTypeRequired, "type")
	}
	return problem(CodeTypeUnknown, "type")
}

// nameSlot is where the name of an event of the type stands, slotExtra for the
// types that have none.
func nameSlot(t Type) segmentSlot {
	switch t {
	case TypeTrack:
		return slotEvent
	case TypePage, TypeScreen:
		return slotName
	}
	return slotExtra
}

func nameProblem(slot segmentSlot) *Problem {
	if slot == slotEvent {
		return problem(CodeEventNotString, "event")
	}
	return problem(CodeNameNotString, "name")
}

// segmentIDs reads the ids.
func (in *Input) segmentIDs(e *Event, s *segmentSlots) *Problem {
	for _, id := range [...]struct {
		dst   *string
		slot  segmentSlot
		field string
	}{
		{&e.MessageID, slotMessageID, "messageId"},
		{&e.UserID, slotUserID, "userId"},
		{&e.AnonymousID, slotAnonymousID, "anonymousId"},
		{&e.PreviousID, slotPreviousID, "previousId"},
		{&e.GroupID, slotGroupID, "groupId"},
	} {
		if len(s.values[id.slot]) == 0 {
			continue
		}
		text, warnings, p := in.ID(s.values[id.slot], id.field)
		if p != nil {
			return p
		}
		*id.dst = text
		e.Warnings |= warnings
	}
	return nil
}

// segmentObjects reads the objects, with the batch's defaults below them.
func (in *Input) segmentObjects(e *Event, s *segmentSlots, env *segmentEnvelope) *Problem {
	for _, o := range [...]struct {
		dst       *json.RawMessage
		slot      segmentSlot
		code      Code
		field     string
		inherited json.RawMessage
	}{
		{&e.Properties, slotProperties, CodePropertiesNotObject, "properties", nil},
		{&e.Traits, slotTraits, CodeTraitsNotObject, "traits", nil},
		{&e.Context, slotContext, CodeContextNotObject, "context", env.context},
		{&e.Integrations, slotIntegrations, CodeIntegrationsNotObject, "integrations", env.integrations},
	} {
		raw, warnings, p := in.Object(s.values[o.slot], o.code, o.field)
		if p != nil {
			return p
		}
		e.Warnings |= warnings
		*o.dst = in.merged(o.inherited, raw)
	}
	if e.Type == TypeIdentify && e.Traits == nil {
		e.Traits = contextTraits(e.Context)
	}
	return nil
}

// contextTraits returns the traits in a context, where some libraries put those
// of an identify call, and only there.
func contextTraits(context json.RawMessage) json.RawMessage {
	if context == nil {
		return nil
	}
	if traits := wire.Find(context, `"traits"`); wire.Kind(traits) == '{' {
		return traits
	}
	return nil
}

// merged returns the object over with what under has beside it.
func (in *Input) merged(under, over json.RawMessage) json.RawMessage {
	switch {
	case over == nil:
		return under
	case under == nil:
		return over
	}
	start := len(in.raw)
	in.raw = wire.AppendMerged(in.raw, under, over)
	return in.raw[start:len(in.raw):len(in.raw)]
}

// segmentTimes reads the times. Some libraries call the client's own time
// originalTimestamp already; where both are there it is the one that belongs to
// sentAt. A time that cannot be read is set aside.
func (in *Input) segmentTimes(e *Event, s *segmentSlots, env *segmentEnvelope) {
	slot := slotTimestamp
	if len(s.values[slotOriginalTimestamp]) > 0 {
		slot = slotOriginalTimestamp
		if len(s.values[slotTimestamp]) > 0 {
			s.setAside(slotTimestamp)
		}
	}
	var warnings Warnings
	if e.Timestamp, warnings = in.Time(s.values[slot]); warnings.Has(WarnTimestampInvalid) {
		s.setAside(slot)
	} else if e.Timestamp.IsZero() {
		e.Timestamp = env.timestamp
	}
	e.Warnings |= warnings
	e.SentAt = env.sentAt
	if own := s.values[slotSentAt]; len(own) > 0 {
		sentAt, warnings := in.Time(own)
		if warnings.Has(WarnTimestampInvalid) {
			s.setAside(slotSentAt)
		} else if !sentAt.IsZero() {
			e.SentAt = sentAt
		}
	}
}

// hasOtherName reports whether the event has a name where another type has it,
// which is an unknown member of this one.
func (s *segmentSlots) hasOtherName(t Type) bool {
	slot := nameSlot(t)
	return slot != slotEvent && len(s.values[slotEvent]) > 0 || slot != slotName && len(s.values[slotName]) > 0
}

// segmentExtra puts together the members that no field holds. Those whose names
// are ours, and times that could not be read, go below "_client".
func (in *Input) segmentExtra(e *Event, o wire.Object, s *segmentSlots) json.RawMessage {
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	name := nameSlot(e.Type)
	for i := range o.Len() {
		slot := segmentSlotOf(o.Name(i))
		if slot == slotExtra || slot != name && (slot == slotEvent || slot == slotName) {
			in.raw = wire.AppendMember(in.raw, start+1, o.Name(i), o.Value(i))
		}
	}
	if s.reserved {
		e.Warnings |= WarnReservedMember
	}
	if s.reserved || s.aside != 0 {
		in.segmentAside(start, o, s)
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}

// segmentAside appends the member "_client" to the object that begins at start.
func (in *Input) segmentAside(start int, o wire.Object, s *segmentSlots) {
	in.raw = wire.AppendMember(in.raw, start+1, []byte(`"`+clientMember+`"`), []byte{'{'})
	first := len(in.raw)
	for i := range o.Len() {
		if s.isAside(segmentSlotOf(o.Name(i))) {
			in.raw = wire.AppendMember(in.raw, first, o.Name(i), o.Value(i))
		}
	}
	in.raw = append(in.raw, '}')
}
