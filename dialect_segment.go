package inlet

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
// routes of old and mobile SDKs, the pixels, the settings that browser and mobile
// SDKs ask for on their start, and the metrics of browser SDKs, which are taken
// and dropped.
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
		Route{Method: http.MethodGet, Path: "/v1/projects/{key}/settings", Open: true, Reply: projectSettings},
		Route{Method: http.MethodPost, Path: "/v1/m", Open: true, Size: SizeBatch})
}

// segmentEnvelope is what a batch, or the request's headers, say for all of its
// events.
type segmentEnvelope struct {
	context, integrations json.RawMessage
	sentAt, timestamp     time.Time
	anonymousID           string // of events that have none
	warnings              Warnings
}

// decodeSegmentSingle reads a body that is one event. Its type is the route's.
func decodeSegmentSingle(in *Input, t Type) error {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return nil
	}
	in.setRequestDefaults()
	in.slots = append(in.slots, segmentSlots{})
	in.text.Grow(in.slots[0].fill(item.Object))
	in.addSegment(0, &item, &in.slots[0], t)
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
	if err := in.setEnvelope(len(items)); err != nil {
		return err
	}
	in.fillSegment(items)
	for i := range items {
		if p := problemOf(items[i].Fault); p != nil {
			in.Refuse(i, "", p)
			continue
		}
		in.addSegment(i, &items[i], &in.slots[i], "")
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

// maxExpansion is how many times the limit of the request all events together may come to
// once each has the batch's defaults: they are sent once and stored with every
// event.
const maxExpansion = 8

// setEnvelope reads what a batch of some events says for all of them.
func (in *Input) setEnvelope(events int) error {
	root, env := in.doc.Root(), &in.envelope
	var warnContext, warnIntegrations Warnings
	var p *Problem
	env.context, warnContext, p = in.Object(root.Get(`"context"`), CodeContextNotObject, "context")
	if p == nil {
		env.integrations, warnIntegrations, p = in.Object(root.Get(`"integrations"`), CodeIntegrationsNotObject, "integrations")
	}
	if p != nil {
		return &Error{Code: p.Code, Message: p.Message, Field: p.Field}
	}
	if all := int64(len(env.context)+len(env.integrations)) * int64(events); all > maxExpansion*in.room {
		return &Error{Code: CodePayloadTooLarge, Field: "context",
			Message: "context and integrations of the batch, repeated for every event, are too large"}
	}
	env.sentAt, _ = in.Time(root.Get(`"sentAt"`))
	env.timestamp, _ = in.Time(root.Get(`"timestamp"`))
	in.setRequestDefaults()
	env.warnings = warnContext | warnIntegrations
	if in.doc.Repaired() {
		env.warnings |= WarnTextRepaired
	}
	return nil
}

// maxKeyBytes is how long a key in an answer may be: as long as one in Basic
// credentials.
const maxKeyBytes = 255

// projectSettings answers browser and mobile libraries that ask on their start
// where to send events. They trust the host in it more than their own
// configuration. The answer is the same for any key.
func projectSettings(q *Inquiry) ([]byte, error) {
	key := q.Request.PathValue("key")
	if len(key) > maxKeyBytes {
		return nil, &Error{Code: CodeInvalidRequest, Message: "the write key is too long", Field: "key"}
	}
	mount := q.Mount()
	body := wire.AppendString([]byte(`{"integrations":{"Segment.io":{"apiKey":`), key)
	body = wire.AppendString(append(body, `,"apiHost":`...), mount.Host+mount.EscapedPath()+"/v1")
	body = wire.AppendString(append(body, `,"protocol":`...), mount.Scheme)
	body = appendRaw(body, `,"httpConfig":`, q.HTTPConfig)
	body = append(body, `}},"metrics":{"sampleRate":0}`...)
	return append(appendRaw(body, `,"httpConfig":`, q.HTTPConfig), '}'), nil
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

// segmentSlots says which members of an event are in which slot: by index from 1,
// 0 for none. Without pointers it costs the collector nothing.
type segmentSlots struct {
	at       [segmentSlotCount]int32
	extra    bool   // there are members that go to Extra
	reserved bool   // and among them ones that only we may set
	aside    uint32 // slots, as bits, whose values go to Extra after all
}

// value returns the value in a slot, or nil.
func (s *segmentSlots) value(o wire.Object, slot segmentSlot) json.RawMessage {
	if i := s.at[slot]; i != 0 {
		return o.Value(int(i - 1))
	}
	return nil
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
	case `"writeKey"`, `"writekey"`, metaRouterKey:
		return slotKey
	case `"receivedAt"`, `"sourceId"`, `"dialect"`, `"warnings"`, `"_seq"`, `"_c"`, `"_client"`, `"_refused"`:
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
			s.at[slot] = int32(i + 1)
			if slotEvent <= slot && slot <= slotGroupID {
				room += len(o.Value(i))
			}
		}
	}
	if s.at[slotMessageID] == 0 {
		room += idLength
	}
	return room
}

// segmentEvent is an event on its way from a payload.
type segmentEvent struct {
	*Event
	in     *Input
	object wire.Object
	slots  *segmentSlots
}

// addSegment adds the event at a place of the request, or refuses it. The type is
// the route's, or "" where the event must say it.
func (in *Input) addSegment(place int, item *wire.Item, s *segmentSlots, t Type) {
	e := segmentEvent{in.Add(place), in, item.Object, s}
	e.Warnings = in.envelope.warnings
	if item.Repaired {
		e.Warnings |= WarnTextRepaired
	}
	if p := e.fill(t); p != nil {
		in.refuseLast(p)
		return
	}
	e.setTimes()
	if s.extra || s.hasOtherName(e.Type) {
		e.Extra = e.extra()
	}
}

// fill sets what can be wrong with an event.
func (e *segmentEvent) fill(route Type) *Problem {
	if p := e.setIDs(); p != nil {
		return p
	}
	if p := e.setType(route); p != nil {
		return p
	}
	if p := e.setName(); p != nil {
		return p
	}
	return e.setObjects()
}

func (e *segmentEvent) value(slot segmentSlot) json.RawMessage { return e.slots.value(e.object, slot) }

func (e *segmentEvent) setIDs() *Problem {
	if p := e.setID(&e.MessageID, slotMessageID, "messageId"); p != nil {
		return p
	}
	if p := e.setID(&e.UserID, slotUserID, "userId"); p != nil {
		return p
	}
	if p := e.setID(&e.AnonymousID, slotAnonymousID, "anonymousId"); p != nil {
		return p
	}
	if p := e.setID(&e.PreviousID, slotPreviousID, "previousId"); p != nil {
		return p
	}
	if e.AnonymousID == "" {
		e.AnonymousID = e.in.envelope.anonymousID
	}
	return e.setID(&e.GroupID, slotGroupID, "groupId")
}

func (e *segmentEvent) setID(dst *string, slot segmentSlot, field string) *Problem {
	if e.slots.at[slot] == 0 {
		return nil
	}
	text, warnings, p := e.in.ID(e.value(slot), field)
	*dst = text
	e.Warnings |= warnings
	return p
}

// setType takes the type of the route, or else of the event.
func (e *segmentEvent) setType(route Type) *Problem {
	said := e.value(slotType)
	if e.Type = route; route == "" {
		if e.Type = segmentTypeOf(said); e.Type == "" {
			return typeProblem(said)
		}
	} else if said != nil && segmentTypeOf(said) != route {
		e.Warnings |= WarnTypeMismatch
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
	}
	if t := Type(wire.Text(raw)); t.Valid() {
		return t
	}
	return ""
}

func typeProblem(raw []byte) *Problem {
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

func (e *segmentEvent) setName() *Problem {
	slot := nameSlot(e.Type)
	if slot == slotExtra {
		return nil
	}
	raw := e.value(slot)
	if slot == slotEvent {
		raw = metaRouterName(e, raw)
	}
	switch wire.Kind(raw) {
	case '"':
		e.Name = e.in.Text(raw)
	case 0, 'n':
	default:
		return nameProblem(slot)
	}
	return nil
}

func nameProblem(slot segmentSlot) *Problem {
	if slot == slotEvent {
		return problem(CodeEventNotString, "event")
	}
	return problem(CodeNameNotString, "name")
}

// setObjects sets the objects, with the batch's defaults below them.
func (e *segmentEvent) setObjects() *Problem {
	if p := e.setObject(&e.Properties, slotProperties, CodePropertiesNotObject, "properties"); p != nil {
		return p
	}
	if p := e.setObject(&e.Traits, slotTraits, CodeTraitsNotObject, "traits"); p != nil {
		return p
	}
	if p := e.setObject(&e.Context, slotContext, CodeContextNotObject, "context"); p != nil {
		return p
	}
	if p := e.setObject(&e.Integrations, slotIntegrations, CodeIntegrationsNotObject, "integrations"); p != nil {
		return p
	}
	e.Context = e.in.merged(e.in.envelope.context, e.Context)
	e.Integrations = e.in.merged(e.in.envelope.integrations, e.Integrations)
	if e.Type == TypeIdentify && e.Traits == nil {
		e.Traits = contextTraits(e.Context)
	}
	return nil
}

func (e *segmentEvent) setObject(dst *json.RawMessage, slot segmentSlot, code Code, field string) *Problem {
	if e.slots.at[slot] == 0 {
		return nil
	}
	raw, warnings, p := e.in.Object(e.value(slot), code, field)
	*dst = raw
	e.Warnings |= warnings
	return p
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

// setTimes sets the times. Some libraries call the client's own time
// originalTimestamp, and send a timestamp beside it only where the caller gave
// one, which is then the time of the event. A time that cannot be read is set
// aside.
func (e *segmentEvent) setTimes() {
	slot := slotTimestamp
	if e.slots.at[slotTimestamp] == 0 {
		slot = slotOriginalTimestamp
	} else if e.slots.at[slotOriginalTimestamp] != 0 {
		e.slots.setAside(slotOriginalTimestamp)
	}
	var warnings Warnings
	if e.Timestamp, warnings = e.time(slot); e.Timestamp.IsZero() && warnings == 0 {
		e.Timestamp = e.in.envelope.timestamp
	}
	e.Warnings |= warnings
	if e.SentAt, _ = e.time(slotSentAt); e.SentAt.IsZero() {
		e.SentAt = e.in.envelope.sentAt
	}
}

func (e *segmentEvent) time(slot segmentSlot) (time.Time, Warnings) {
	if e.slots.at[slot] == 0 {
		return time.Time{}, 0
	}
	t, warnings := e.in.Time(e.value(slot))
	if warnings.Has(WarnTimestampInvalid) {
		e.slots.setAside(slot)
	}
	return t, warnings
}

// hasOtherName reports whether the event has a name where another type has it,
// which is an unknown member of this one.
func (s *segmentSlots) hasOtherName(t Type) bool {
	slot := nameSlot(t)
	return slot != slotEvent && s.at[slotEvent] != 0 || slot != slotName && s.at[slotName] != 0
}

// extra puts together the members that no field holds. Those whose names are
// ours, and times that could not be read, go below "_client".
func (e *segmentEvent) extra() json.RawMessage {
	in, o := e.in, e.object
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	name := nameSlot(e.Type)
	for i := range o.Len() {
		slot := segmentSlotOf(o.Name(i))
		if slot == slotExtra || slot != name && (slot == slotEvent || slot == slotName) {
			in.raw = wire.AppendMember(in.raw, start+1, o.Name(i), o.Value(i))
		}
	}
	if e.slots.reserved {
		e.Warnings |= WarnReservedMember
	}
	if e.slots.reserved || e.slots.aside != 0 {
		e.appendAside(start + 1)
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}

// appendAside appends the member "_client" to the object whose members begin at
// first.
func (e *segmentEvent) appendAside(first int) {
	in, o := e.in, e.object
	in.raw = wire.AppendMember(in.raw, first, []byte(`"`+clientMember+`"`), []byte{'{'})
	first = len(in.raw)
	for i := range o.Len() {
		if e.slots.isAside(segmentSlotOf(o.Name(i))) {
			in.raw = wire.AppendMember(in.raw, first, o.Name(i), o.Value(i))
		}
	}
	in.raw = append(in.raw, '}')
}

// mostLevels bounds the levels of all names in such a query together: each costs
// hundreds of bytes, for one that was sent.
const mostLevels = 1000

// segmentPixel makes the payload of a pixel of its query: the JSON in "data", in
// base64 or plain, or an object of the other parameters, of which dots separate
// the levels.
func segmentPixel(r *http.Request) ([]byte, error) {
	if len(r.URL.RawQuery) > longestQuery {
		return nil, tooLarge(longestQuery)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Message: "the query cannot be read", Err: err}
	}
	data := strings.ReplaceAll(query.Get("data"), " ", "+") // a "+" that was not escaped
	switch {
	case data == "":
		return flatObject(query)
	case strings.HasPrefix(strings.TrimSpace(query.Get("data")), "{"):
		return []byte(query.Get("data")), nil
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(data, "-_") {
		encoding = base64.RawURLEncoding
	}
	body, err := encoding.DecodeString(strings.TrimRight(data, "="))
	if err != nil {
		return nil, &Error{Code: CodeInvalidEncoding, Message: "data is not base64", Field: "data", Err: err}
	}
	return body, nil
}

// flatObject makes an object of parameters whose names say where they belong:
// "properties.subject=x" is {"properties":{"subject":"x"}}. All values are
// strings. A name that is both a value and a level is a level.
func flatObject(query url.Values) ([]byte, error) {
	var root queryNode
	levels := 0
	for name, values := range query {
		if levels += strings.Count(name, ".") + 1; levels > mostLevels {
			return nil, &Error{Code: CodeTooManyMembers}
		}
		root.at(strings.Split(name, ".")).value = first(values)
	}
	return root.appendJSON(nil), nil
}

// queryNode is a value, or a level if it has children.
type queryNode struct {
	value    string
	children map[string]*queryNode
}

func (n *queryNode) at(path []string) *queryNode {
	for _, name := range path {
		if n.children == nil {
			n.children = map[string]*queryNode{}
		}
		child := n.children[name]
		if child == nil {
			child = new(queryNode)
			n.children[name] = child
		}
		n = child
	}
	return n
}

func (n *queryNode) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(n.children)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(wire.AppendString(dst, name), ':')
		if child := n.children[name]; child.children != nil {
			dst = child.appendJSON(dst)
		} else {
			dst = wire.AppendString(dst, child.value)
		}
	}
	return append(dst, '}')
}
