package inlet

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/pixel"
	"github.com/inlet-go/inlet/internal/wire"
)

// Segment returns the dialect of Segment's HTTP tracking API and of the many
// servers and SDKs that speak it. Its rules are those of Segment's published API
// and, where that is silent, what its published SDKs send.
func Segment() Dialect { return segment{} }

type segment struct{}

// Name returns "segment".
func (segment) Name() string { return "segment" }

// KeyPlaces returns the query, for beacons and pixels, and the body, where most of the SDKs
// put the key.
func (segment) KeyPlaces() (query, members []string) { return segmentKeyPlaces() }

// segmentKeyPlaces returns the places of Segment's API with those of the vendors that share
// its paths: "writekey" is Jitsu's, and "appId" Astronomer's.
func segmentKeyPlaces() (query, members []string) {
	return slices.Clone(segmentKeyParams), []string{"writeKey", "appId"}
}

var segmentKeyParams = []string{"writeKey", "writekey"}

const segmentKeyMember = `"writeKey"`

// maxImportBytes bounds an import request, which may be larger than a batch.
const maxImportBytes = 4 << 20

// Routes returns those of the API in their long and short forms, the batch routes of old and
// mobile SDKs, the pixels, the settings that browser and mobile SDKs request when they
// start, and the metrics of browser SDKs, which are accepted and dropped.
func (segment) Routes() []Route {
	var routes []Route
	for _, t := range []Type{TypeIdentify, TypeTrack, TypePage, TypeScreen, TypeGroup, TypeAlias} {
		single := func(in *Input) error { return decodeSegmentSingle(in, t) }
		image := func(in *Input) error { return decodeSegmentPixel(in, t) }
		routes = append(routes,
			Route{Method: http.MethodPost, Path: "/v1/" + string(t), Decode: single},
			Route{Method: http.MethodPost, Path: "/v1/" + string(t[:1]), Decode: single},
			Route{Method: http.MethodGet, Path: "/v1/pixel/" + string(t), Form: FormPixel, Body: segmentPixel(t), Key: pixelKey, Decode: image})
	}
	for _, path := range []string{"/v1/batch", "/v1/b"} {
		routes = append(routes, Route{Method: http.MethodPost, Path: path, Batch: true, Decode: decodeSegmentBatch})
	}
	return append(routes,
		Route{Method: http.MethodPost, Path: "/v1/import", Batch: true, MaxBytes: maxImportBytes, Decode: decodeSegmentBatch},
		Route{Method: http.MethodGet, Path: "/v1/projects/{key}/settings", Open: true, Reply: projectSettings},
		Route{Method: http.MethodPost, Path: "/v1/m", Open: true, Batch: true})
}

// segmentDecoder decodes the requests of the dialect, one after another: an allocation for
// each of its parts would be too many.
type segmentDecoder struct {
	in       *Input
	envelope segmentEnvelope
	slots    []segmentSlots // of each event
	reserved int64          // for both
}

// A decoder has slots for a few events, so that they fill whole lines of a cache: no two decoders
// share one.
var segmentDecoders = sync.Pool{New: func() any { return &segmentDecoder{slots: make([]segmentSlots, 0, 15)} }}

// newSegmentDecoder returns a decoder for a request, which recycle gives to the next one.
func newSegmentDecoder(in *Input) *segmentDecoder {
	d := segmentDecoders.Get().(*segmentDecoder)
	d.in = in
	return d
}

func (d *segmentDecoder) recycle() {
	d.in.giveBack(d.reserved)
	d.in, d.reserved = nil, 0
	d.envelope.reset()
	if cap(d.slots) <= maxPooledSlots {
		d.slots = d.slots[:0]
		segmentDecoders.Put(d)
	}
}

// maxPooledSlots is for how many events a decoder may leave memory to the next request.
const maxPooledSlots = 1024

// segmentEnvelope is what a batch, or the headers of the request, define for all of its
// events.
type segmentEnvelope struct {
	context, integrations defaults
	sentAt, timestamp     time.Time
	anonymousID           string // of events that have none
	aboutAnonymousID      Warnings
	warnings              Warnings
	aboutTimestamp        Warnings // of events that get the timestamp
}

// reset empties the envelope and keeps memory for the next one.
func (env *segmentEnvelope) reset() {
	env.context.reset()
	env.integrations.reset()
	*env = segmentEnvelope{context: env.context, integrations: env.integrations}
}

// defaults is an object whose members the events of a batch get if they lack them.
type defaults struct {
	object json.RawMessage // nil if there is none
	names  wire.Defaults   // of the object
}

func (d *defaults) set(object json.RawMessage) {
	d.object = object
	d.names.Set(object)
}

// size returns how much memory the names may need at most.
func (d *defaults) size(limits wire.Limits) int {
	if d.object == nil {
		return 0
	}
	return wire.DefaultsSize(d.object, limits)
}

// count adds the lengths of both to merged and copied if an event whose own object is over
// gets a copy of the defaults.
func (d *defaults) count(over json.RawMessage, merged, copied *int) {
	if wire.Kind(over) == '{' && !wire.EmptyObject(over) && !wire.EmptyObject(d.object) {
		*merged += len(over)
		*copied += len(d.object)
	}
}

func (d *defaults) reset() {
	d.object = nil
	d.names.Reset()
}

// under returns the object over with the members that only the defaults have, and the value
// of its member with a quoted name, or nil. Events that have no member of their own share
// the defaults.
func (d *defaults) under(in *Input, over json.RawMessage, quoted string) (merged, value json.RawMessage) {
	switch {
	case d.object == nil || over != nil && wire.EmptyObject(d.object):
		if over != nil && quoted != "" {
			value = wire.Find(over, quoted)
		}
		return over, value
	case over == nil || wire.EmptyObject(over):
		if quoted != "" {
			value = d.names.Find(quoted)
		}
		return d.object, value
	}
	if !in.growRaw(len(d.object) + len(over)) {
		return nil, nil
	}
	start := len(in.raw)
	raw, at, end := d.names.AppendUnder(in.raw, over, quoted)
	in.raw = raw
	if end > 0 {
		value = raw[at:end:end]
	}
	return raw[start:len(raw):len(raw)], value
}

// decodeSegmentSingle reads a body that is one event. Its type is that of the route.
func decodeSegmentSingle(in *Input, t Type) error {
	if object, ok := in.single(); ok {
		in.addSegment(object, t)
	}
	return nil
}

// addSegment adds the only event of a request.
func (in *Input) addSegment(object Object, t Type) {
	d := newSegmentDecoder(in)
	defer d.recycle()
	setRequestDefaults(in, &d.envelope)
	d.slots = append(d.slots, segmentSlots{})
	if in.growText(d.slots[0].sort(object.members)) {
		d.add(0, object, t)
	}
}

// decodeSegmentBatch reads a body that lists events, with defaults for them.
func decodeSegmentBatch(in *Input) error {
	items, listed := in.doc.Items()
	if !listed {
		return &Error{Code: CodeBatchNotArray, Field: "batch"}
	}
	if items.Len() == 0 {
		return &Error{Code: CodeEmptyBatch, Field: "batch"}
	}
	if list := forwardedList(in); list != nil {
		return decodeForwarded(in, list)
	}
	d := newSegmentDecoder(in)
	defer d.recycle()
	if err := d.setEnvelope(items.Len()); err != nil {
		return err
	}
	if err := d.sort(items); err != nil {
		return err
	}
	for i := range items.Len() {
		it := items.At(i)
		if p := problemOf(it.Fault); p != nil {
			in.Refuse(i, "", p)
			continue
		}
		d.add(i, Object{it.Object, it.Repaired}, "")
	}
	return nil
}

// sort sorts the members of all events into slots, so that the memory for all their strings
// can be reserved and allocated together, and that for what is merged, too.
func (d *segmentDecoder) sort(items wire.Items) error {
	in, env := d.in, &d.envelope
	limits := in.doc.Limits()
	needed := items.Len()*slotsSize + env.context.size(limits) + env.integrations.size(limits)
	events := items.Usable()
	if !in.growEvents(events) || !in.growRejects(items.Len()-events) || !in.reserve(needed) {
		return in.refused
	}
	d.reserved = int64(needed)
	d.slots = slices.Grow(d.slots, items.Len())[:items.Len()]
	text, merged, copied := 0, 0, 0
	for i := range d.slots {
		s, object := &d.slots[i], items.At(i).Object
		*s = segmentSlots{}
		text += s.sort(object)
		if env.context.object != nil {
			env.context.count(s.value(object, slotContext), &merged, &copied)
		}
		if env.integrations.object != nil {
			env.integrations.count(s.value(object, slotIntegrations), &merged, &copied)
		}
	}
	if in.growText(text) && copied > 0 {
		in.growRaw(merged + copied)
	}
	return in.refused
}

// slotsSize is the size of the slots of an event in memory, in bytes.
const slotsSize = int(unsafe.Sizeof(segmentSlots{}))

func defaultsTooLarge(limit int64) error {
	return &Error{Code: CodePayloadTooLarge, Field: "context", Message: fmt.Sprintf(
		"context and integrations of the batch, repeated for every event, are larger than %d bytes", limit)}
}

// setEnvelope reads what a batch of that many events defines for all of them.
func (d *segmentDecoder) setEnvelope(events int) error {
	in, env := d.in, &d.envelope
	root := in.doc.Root()
	var warnIntegrations Warnings
	context, warnContext, p := objectOf(root.Get(`"context"`), CodeContextNotObject, "context")
	var integrations json.RawMessage
	if p == nil {
		integrations, warnIntegrations, p = objectOf(root.Get(`"integrations"`), CodeIntegrationsNotObject, "integrations")
	}
	if p != nil {
		return &Error{Code: p.Code, Message: p.Message, Field: p.Field}
	}
	// Each event is stored with them, whether it points to them or gets a copy.
	if all := int64(len(context)+len(integrations)) * int64(events); all > in.maxBytes {
		return defaultsTooLarge(in.maxBytes)
	}
	env.context.set(context)
	env.integrations.set(integrations)
	env.sentAt, _ = in.time(root.Get(`"sentAt"`))
	env.timestamp, env.aboutTimestamp = in.time(root.Get(`"timestamp"`))
	if env.timestamp.IsZero() {
		at, warnings := in.time(root.Get(`"originalTimestamp"`))
		env.timestamp, env.aboutTimestamp = at, env.aboutTimestamp|warnings
	}
	setRequestDefaults(in, env)
	env.warnings = warnContext | warnIntegrations
	if in.doc.Repaired() {
		env.warnings |= WarnTextRepaired
	}
	return nil
}

// maxKeyBytes is how long a key in an answer may be: as long as one in Basic credentials.
const maxKeyBytes = 255

// projectSettings answers browser and mobile libraries that ask when they start where to
// send events. They trust the host in it more than their own configuration. The answer is
// the same for any key.
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

	slotKey   // a write key, which is dropped, also one that was not used
	slotExtra // any other
)

// segmentSlots is which members of an event are in which slot: by index from 1, 0 for none.
// It has no pointers, so the garbage collector does not scan it.
type segmentSlots struct {
	at    [segmentSlotCount]int32
	extra bool   // there are members that go to Extra
	aside uint32 // slots, as bits, whose values go to Extra after all
	loose uint64 // which of the first 64 members may go there, as bits
}

// value returns the value in a slot, or nil.
func (s *segmentSlots) value(o wire.Object, slot segmentSlot) json.RawMessage {
	if i := s.at[slot]; i != 0 {
		return o.Value(int(i - 1))
	}
	return nil
}

// setAside keeps a member whose value could not be read as what it is called.
func (s *segmentSlots) setAside(slot segmentSlot) {
	s.extra = true
	s.aside |= 1 << slot
	s.loosen(int(s.at[slot] - 1))
}

// loosen notes that the i-th member may go to Extra.
func (s *segmentSlots) loosen(i int) { s.loose |= 1 << i }

// isLoose reports whether the i-th member may go to Extra. Most members do not, and so are not
// looked at again.
func (s *segmentSlots) isLoose(i int) bool { return i >= 64 || s.loose>>i&1 != 0 }

// isAside reports whether the member in a slot was set aside.
func (s *segmentSlots) isAside(slot segmentSlot) bool { return s.aside>>slot&1 != 0 }

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
	case segmentKeyMember:
		return slotKey
	}
	return slotExtra
}

// sort sorts the members of an event into their slots and returns how many bytes the event's
// strings need at most.
func (s *segmentSlots) sort(o wire.Object) (size int) {
	for i := range o.Len() {
		switch slot := segmentSlotOf(o.Name(i)); slot {
		case slotKey:
		case slotExtra:
			s.extra = true
			s.loosen(i)
		default:
			s.at[slot] = int32(i + 1)
			if slotEvent <= slot && slot <= slotGroupID {
				size += len(o.Value(i))
			}
			if slot == slotEvent || slot == slotName {
				s.loosen(i) // an event of another type has it
			}
		}
	}
	if s.at[slotMessageID] == 0 {
		size += idLength
	}
	return size
}

// segmentEvent is an event on its way from a payload.
type segmentEvent struct {
	*Event
	in       *Input
	envelope *segmentEnvelope
	object   Object
	slots    *segmentSlots
}

// add adds the event at a place of the request, or refuses it. The type is that of the
// route, or "" if the event must have one.
func (d *segmentDecoder) add(place int, object Object, t Type) {
	s := &d.slots[place]
	e := segmentEvent{d.in.Add(place), d.in, &d.envelope, object, s}
	e.Warnings = d.envelope.warnings
	if object.Repaired() {
		e.Warnings |= WarnTextRepaired
	}
	if p := e.setFields(t); p != nil {
		d.in.Withdraw(p)
		return
	}
	e.setTimes()
	if s.extra || s.hasOtherName(e.Type) {
		e.setExtra()
	}
}

// setFields sets the fields for which an event can be refused.
func (e *segmentEvent) setFields(route Type) *Problem {
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

func (e *segmentEvent) value(slot segmentSlot) json.RawMessage {
	return e.slots.value(e.object.members, slot)
}

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
		e.AnonymousID = e.envelope.anonymousID
		e.Warnings |= e.envelope.aboutAnonymousID
	}
	return e.setID(&e.GroupID, slotGroupID, "groupId")
}

func (e *segmentEvent) setID(dst *string, slot segmentSlot, field string) *Problem {
	if e.slots.at[slot] == 0 {
		return nil
	}
	return e.in.SetID(e.Event, dst, e.value(slot), field)
}

// setType sets the type of the route, or else that of the event.
func (e *segmentEvent) setType(route Type) *Problem {
	raw := e.value(slotType)
	said, exact := segmentTypeOf(raw)
	if e.Type = route; route == "" {
		e.Type = said
	}
	switch {
	case e.Type == "":
		return typeProblem(raw)
	case raw != nil && (said != e.Type || !exact):
		e.Warnings |= WarnTypeMismatch
	}
	return nil
}

// segmentTypeOf returns the type that a value names, "" if it names none, and whether in lower
// case. Capital letters cannot mean anything else.
func segmentTypeOf(raw []byte) (t Type, exact bool) {
	switch string(raw) {
	case `"track"`:
		return TypeTrack, true
	case `"page"`:
		return TypePage, true
	case `"identify"`:
		return TypeIdentify, true
	}
	text := wire.Text(raw)
	if lower := strings.ToLower(text); len(lower) == len(text) && canonical.IsType(lower) {
		return Type(lower), lower == text
	}
	return "", false
}

func typeProblem(raw []byte) *Problem {
	if kind := wire.Kind(raw); kind == 0 || kind == 'n' {
		return problem(CodeTypeRequired, "type")
	}
	return problem(CodeTypeUnknown, "type")
}

// nameSlot returns the slot of the name of an event of the type, slotExtra for the types
// that have none.
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
	wanted := ""
	if e.Type == TypeIdentify && e.Traits == nil {
		wanted = `"traits"` // some libraries put those of an identify call only there
	}
	var traits json.RawMessage
	e.Context, traits = e.envelope.context.under(e.in, e.Context, wanted)
	e.Integrations, _ = e.envelope.integrations.under(e.in, e.Integrations, "")
	if wire.Kind(traits) == '{' {
		e.Traits = traits
	}
	return nil
}

func (e *segmentEvent) setObject(dst *json.RawMessage, slot segmentSlot, code Code, field string) *Problem {
	if e.slots.at[slot] == 0 {
		return nil
	}
	return e.in.SetObject(e.Event, dst, e.value(slot), code, field)
}

// setTimes sets the times. Some libraries call the client's own time originalTimestamp, and
// send a timestamp in addition only if the caller gave one, which is then the time of the
// event. The first that is a time counts: the event's timestamp, its originalTimestamp, the
// time of the batch. A time that cannot be read, or does not count, is set aside.
func (e *segmentEvent) setTimes() {
	e.setTime(&e.Timestamp, slotTimestamp)
	if e.Timestamp.IsZero() {
		e.setTime(&e.Timestamp, slotOriginalTimestamp)
	} else if e.slots.at[slotOriginalTimestamp] != 0 {
		e.slots.setAside(slotOriginalTimestamp)
	}
	if e.Timestamp.IsZero() {
		e.Timestamp = e.envelope.timestamp
		e.Warnings |= e.envelope.aboutTimestamp
	}
	before := e.Warnings
	e.setTime(&e.SentAt, slotSentAt)
	e.Warnings = before // they are about Timestamp
	if e.SentAt.IsZero() {
		e.SentAt = e.envelope.sentAt
	}
}

// setTime sets a time, the zero Time for a value that is absent or cannot be read.
func (e *segmentEvent) setTime(dst *time.Time, slot segmentSlot) {
	if e.slots.at[slot] != 0 && !e.in.SetTime(e.Event, dst, e.value(slot)) {
		e.slots.setAside(slot)
	}
}

// hasOtherName reports whether the event has a name where another type has it, which is an
// unknown member of this type.
func (s *segmentSlots) hasOtherName(t Type) bool {
	slot := nameSlot(t)
	return slot != slotEvent && s.at[slotEvent] != 0 || slot != slotName && s.at[slotName] != 0
}

// setExtra keeps the members that no field holds. Times that could not be read go below
// "_client".
func (e *segmentEvent) setExtra() {
	name := nameSlot(e.Type)
	e.in.SetExtra(e.Event, e.object, func(i int) (extra, client bool) {
		if !e.slots.isLoose(i) {
			return false, false
		}
		slot := segmentSlotOf(e.object.Name(i))
		return slot == slotExtra || slot != name && (slot == slotEvent || slot == slotName), e.slots.isAside(slot)
	})
}

// dataParam is the parameter of a pixel that has the whole event.
const dataParam = "data"

// segmentPixel makes the payload of a pixel of its query: the JSON in "data", in base64 or
// plain, or an object of the other parameters, whose levels are separated by dots.
func segmentPixel(t Type) func(*http.Request) ([]byte, error) {
	use := func(path []string) pixel.Use { return useOfParam(path, t) }
	return func(r *http.Request) ([]byte, error) {
		query := r.URL.RawQuery
		if len(query) > maxQuery {
			return nil, tooLarge(maxQuery)
		}
		if data := form.First(query, dataParam); data != "" {
			return pixelData(data)
		}
		return dottedPayload(query, use)
	}
}

// useOfParam tells what becomes of a parameter of a pixel for events of a type. The key is no
// data, and a parameter that cannot be what the event needs under its name would have all of
// the event refused.
func useOfParam(path []string, t Type) pixel.Use {
	if len(path) == 1 && (path[0] == dataParam || slices.Contains(segmentKeyParams, path[0])) {
		return pixel.Nothing
	}
	switch slot := slotOfName(path[0]); slot {
	case slotProperties, slotTraits, slotContext, slotIntegrations:
		if len(path) == 1 {
			return pixel.Nothing
		}
	case slotType, slotMessageID, slotUserID, slotAnonymousID, slotPreviousID, slotGroupID, nameSlot(t):
		if len(path) > 1 && slot != slotExtra {
			return pixel.Nothing
		}
	}
	return pixel.First
}

// pixelKey returns the write key in the event of "data". An "appId" is not one: no vendor's pixel
// has its key there.
func pixelKey(_ *http.Request, root Object) string {
	return wire.Text(root.members.Get(segmentKeyMember))
}

// slotOfName is segmentSlotOf for a name without quotes.
func slotOfName(name string) segmentSlot {
	var quoted [32]byte // is enough for the names that have a slot
	if len(name)+2 > len(quoted) {
		return slotExtra
	}
	return segmentSlotOf(append(append(append(quoted[:0], '"'), name...), '"'))
}

func pixelData(escaped string) ([]byte, error) {
	event, err := pixel.Data(escaped)
	if err != nil {
		return nil, &Error{Code: CodeInvalidEncoding, Message: "data is not base64", Field: dataParam, Err: err}
	}
	return event, nil
}

func dottedPayload(query string, use func(path []string) pixel.Use) ([]byte, error) {
	object, err := pixel.Dotted(query, use)
	if err != nil {
		return nil, queryError(err)
	}
	return object, nil
}

// decodeSegmentPixel reads the event of a pixel.
func decodeSegmentPixel(in *Input, t Type) error {
	if object, ok := in.singleOfQuery(); ok {
		in.addSegment(object, t)
	}
	return nil
}

// queryError maps an error of the query of a pixel to its public error.
func queryError(err error) *Error {
	if errors.Is(err, pixel.ErrTooDeep) {
		return &Error{Code: CodeTooDeep}
	}
	return &Error{Code: CodeTooManyMembers}
}
