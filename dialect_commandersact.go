package inlet

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/commandersact"
	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/pixel"
	"github.com/inlet-go/inlet/internal/wire"
)

// CommandersAct returns the dialect of version 2.0 of Commanders Act's HTTP tracking API and
// of its tracking pixel. Events of version 1.0 are refused one by one, unless a layer before
// the handler has migrated them.
//
// As documented, an answer is 200 even if events were refused: the body names them. Only a
// body that is too large or not JSON is 400. A request that is not authenticated, or over its
// rate, or comes while events cannot be stored, is answered as in all dialects.
func CommandersAct() Dialect { return commandersAct{} }

type commandersAct struct{}

// Name returns "commandersact".
func (commandersAct) Name() string { return "commandersact" }

// KeyPlaces returns the query, in addition to the Bearer token of older documents.
func (commandersAct) KeyPlaces() (query, members []string) { return []string{queryToken}, nil }

// Parameters of the query that are not data of an event.
const (
	queryToken = "token"
	querySite  = "tc_s"
)

// Routes returns the documented ones: an event, a batch, and the pixel.
func (commandersAct) Routes() []Route {
	event := Route{Path: "/events", BearerIsKey: true, UserOptional: true}
	post, pixel, batch := event, event, event
	post.Method, post.Form, post.Decode = http.MethodPost, FormLenient, decodeActsEvent
	pixel.Method, pixel.Form, pixel.Decode = http.MethodGet, FormPixel, decodeActsPixel
	pixel.Body = actsPixel
	batch.Method, batch.Form, batch.Decode = http.MethodPost, FormLenient, decodeActsBatch
	batch.Path, batch.Batch = "/events/batch", true
	return []Route{post, pixel, batch}
}

// decodeActsEvent reads a body that is one event.
func decodeActsEvent(in *Input) error {
	object, ok := in.single()
	if !ok {
		return nil
	}
	return in.addOnlyActs(object, false)
}

func (in *Input) addOnlyActs(object Object, pixel bool) error {
	site, err := in.site()
	if err == nil {
		in.addActs(0, object, site, actsForm{pixel, in.payload.memory.plainRoot})
	}
	return err
}

// decodeActsBatch reads a body that lists events.
func decodeActsBatch(in *Input) error {
	items, listed := in.doc.Items()
	if !listed {
		return &Error{Code: CodeBatchNotArray, Field: "batch"}
	}
	if items.Len() == 0 {
		return &Error{Code: CodeEmptyBatch, Field: "batch"}
	}
	site, err := in.site()
	if err != nil {
		return err
	}
	if n := items.Usable(); !in.growEvents(n) || !in.growText(typicalText*n) {
		return nil
	}
	for i := range items.Len() {
		it := items.At(i)
		if p := problemOf(it.Fault); p != nil {
			in.Refuse(i, "", p)
			continue
		}
		in.addActs(i, Object{it.Object, it.Repaired}, site, actsForm{plain: in.payload.memory.plainItems})
	}
	return nil
}

// site returns the Extra of all events of the request, which holds the id of the site that
// the query names, or nil.
func (in *Input) site() (json.RawMessage, error) {
	id := form.Text(form.First(in.Request.URL.RawQuery, querySite))
	if id == "" {
		return nil, nil
	}
	if in.limits.tooLong(id) { // it is stored with every event
		return nil, &Error{Code: CodeInvalidRequest, Message: "the id of the site is too long", Field: querySite}
	}
	if !in.growRaw(len(`{"`+querySite+`":""}`) + maxEscaped*len(id)) {
		return nil, nil
	}
	start := len(in.raw)
	in.raw = append(wire.AppendString(append(in.raw, `{"`+querySite+`":`...), id), '}')
	return in.raw[start:len(in.raw):len(in.raw)], nil
}

// commandersActTime reads a time as clients of Commanders Act write it: a number or a string
// of digits, which are milliseconds or, if too small for that, seconds; or ISO 8601. It is
// not ok for a value that is not a time: without a warning for null, "" and an absent value,
// and with one for all others.
func commandersActTime(raw []byte) (t time.Time, w Warnings, ok bool) {
	t, code := commandersact.ReadTime(raw)
	switch code {
	case commandersact.CodeTimestampMissing:
		return t, 0, false
	case commandersact.CodeTimestampInvalid:
		return t, WarnTimestampInvalid, false
	case commandersact.CodeTimestampSeconds, commandersact.CodeTimestampZone:
		return t, WarnTimestampGuessed, true
	}
	return t, 0, true
}

// actsSlot is a member of an event of Commanders Act.
type actsSlot int

const (
	actsName actsSlot = iota
	actsAlias
	actsUser
	actsContext
	actsIntegrations
	actsID         // in the root, where the documents' batch prints the time
	actsTime       // as above
	actsProperties // of version 1.0, or a property of this name
	actsVersion    // as above
	actsSlotCount

	actsProperty // any other
)

func actsSlotOf(quoted []byte) actsSlot {
	switch string(quoted) {
	case `"event_name"`:
		return actsName
	case `"event"`:
		return actsAlias
	case `"user"`:
		return actsUser
	case `"context"`:
		return actsContext
	case `"integrations"`:
		return actsIntegrations
	case `"event_id"`:
		return actsID
	case `"event_timestamp"`:
		return actsTime
	case `"properties"`:
		return actsProperties
	case `"version"`:
		return actsVersion
	}
	return actsProperty
}

// Members of an event's context and user that fields are set from. The vendor's own sender
// calls the id eventId and the time created.
var (
	actsContextMembers = []string{`"event_id"`, `"eventId"`, `"event_timestamp"`, `"created"`, `"version"`}
	actsUserMembers    = []string{`"id"`, `"consistent_anonymous_id"`}
)

// actsMembers are the values of an event that fields are set from.
type actsMembers struct {
	root    wire.Object
	at      [actsSlotCount][]byte
	context [5][]byte // as actsContextMembers
	user    [2][]byte // as actsUserMembers
	named   actsSlot  // which member is the event's name
	form    actsForm
}

// An actsForm is what is known of an event from where it comes.
type actsForm struct {
	pixel bool // version 1.0 has none: its "properties" are a property of that name
	plain bool // a migration wrote it: see commandersact.Migrator.PlainContexts
}

// locate finds the members that fields are set from, and returns how many bytes their strings
// need at most. Of a plain context it does not read more than it needs.
func (m *actsMembers) locate(root Object) (size int) {
	m.root = root.members
	for i := range root.Len() {
		if slot := actsSlotOf(root.Name(i)); slot < actsSlotCount {
			m.at[slot] = root.Value(i)
		}
	}
	switch {
	case m.form.plain:
		m.locateInPlain()
	case wire.Kind(m.at[actsContext]) == '{':
		wire.FindEach(m.at[actsContext], actsContextMembers, m.context[:])
	}
	if wire.Kind(m.at[actsUser]) == '{' {
		wire.FindEach(m.at[actsUser], actsUserMembers, m.user[:])
	}
	m.named = actsName
	if name := m.at[actsName]; wire.Kind(name) == 0 || wire.Kind(name) == 'n' || string(name) == `""` {
		if wire.Kind(m.at[actsAlias]) == '"' {
			m.named = actsAlias
		}
	}
	return len(m.at[m.named]) + len(m.at[actsID]) + len(m.context[0]) + len(m.context[1]) +
		len(m.user[0]) + len(m.user[1])
}

// locateInPlain finds the members of a plain context, which begins with them.
func (m *actsMembers) locateInPlain() {
	m.context[4] = versionTwo
	for w := wire.Walk(m.at[actsContext]); m.context[2] == nil && w.Next(); {
		switch string(w.Name) {
		case `"event_id"`:
			m.context[0] = w.Value
		case `"event_timestamp"`:
			m.context[2] = w.Value
		}
	}
}

var versionTwo = json.RawMessage(`2`)

// isV1 reports whether the event is in the format of version 1.0.
func (m *actsMembers) isV1() bool {
	return commandersact.Classify(m.at[actsContext], m.context[4], m.at[actsProperties], m.at[actsVersion]) == commandersact.V1
}

// outsideContext returns what a published example of 2.0 has in the root, not in the
// context. In an event whose context has version 2, as that of a migrated event, such a
// member is a property and nothing else.
func (m *actsMembers) outsideContext(slot actsSlot) []byte {
	if string(m.context[4]) == "2" {
		return nil
	}
	return m.at[slot]
}

// isProperty reports whether a member in a slot is a property of the event.
func (m *actsMembers) isProperty(slot actsSlot) bool {
	switch slot {
	case actsName, actsUser, actsContext, actsIntegrations:
		return false
	case actsAlias:
		return m.named != actsAlias
	}
	return true
}

// actsEvent is an event on its way from a payload.
type actsEvent struct {
	*Event
	in *Input
	m  *actsMembers
}

// addActs adds the event at a place of the request, or refuses it.
func (in *Input) addActs(place int, object Object, extra json.RawMessage, form actsForm) {
	m := actsMembers{form: form}
	if !in.growText(m.locate(object) + idLength) {
		return
	}
	e := actsEvent{in.Add(place), in, &m}
	if object.Repaired() {
		e.Warnings |= WarnTextRepaired
	}
	if p := e.setFields(); p != nil {
		in.Withdraw(p)
		return
	}
	e.setTimestamp()
	e.Properties, e.Extra = e.properties(), extra
}

// setFields sets the fields for which an event can be refused.
func (e *actsEvent) setFields() *Problem {
	if p := e.setMessageID(); p != nil {
		return p
	}
	if !e.m.form.pixel && e.m.isV1() {
		return e.in.unmigrated()
	}
	if p := e.setName(); p != nil {
		return p
	}
	if p := e.setObjects(); p != nil {
		return p
	}
	if p := e.in.SetID(e.Event, &e.UserID, e.m.user[0], "user.id"); p != nil {
		return p
	}
	return e.in.SetID(e.Event, &e.AnonymousID, e.m.user[1], "user.consistent_anonymous_id")
}

// unmigrated returns the problem of the event that was added last, which has the format of an older
// version: why a layer could not migrate it, if one tried.
func (in *Input) unmigrated() *Problem {
	place := in.places[len(in.places)-1]
	i, found := slices.BinarySearchFunc(in.payload.failures, place, func(r Reject, place int) int {
		return cmp.Compare(r.Index, place)
	})
	if found {
		return &in.payload.failures[i].Problem
	}
	return problem(CodePayloadV1, "properties")
}

// setMessageID sets the id of the context, by its name and by that which the vendor's own
// sender uses, or else that of the root.
func (e *actsEvent) setMessageID() *Problem {
	for _, id := range [...]struct {
		raw   json.RawMessage
		field string
	}{
		{e.m.context[0], "context.event_id"},
		{e.m.context[1], "context.eventId"},
		{e.m.outsideContext(actsID), "event_id"},
	} {
		if p := e.in.SetID(e.Event, &e.MessageID, id.raw, id.field); p != nil || e.MessageID != "" {
			return p
		}
	}
	return nil
}

// setName sets the name and the type, which follows from it.
func (e *actsEvent) setName() *Problem {
	raw := e.m.at[e.m.named]
	switch kind := wire.Kind(raw); {
	case kind == '"' && string(raw) != `""`:
		e.Name = e.in.Text(raw)
	case kind == '"', kind == 0, kind == 'n':
		return &Problem{Code: CodeEventNotDefined, Message: "event_name is required", Field: "event_name"}
	default:
		return problem(CodeEventNotString, "event_name")
	}
	e.Type = TypeTrack
	if e.Name == "page_view" {
		e.Type = TypePage
	}
	return nil
}

func (e *actsEvent) setObjects() *Problem {
	if p := e.in.SetObject(e.Event, &e.Context, e.m.at[actsContext], CodeContextNotObject, "context"); p != nil {
		return p
	}
	if p := e.in.SetObject(e.Event, &e.Traits, e.m.at[actsUser], CodeTraitsNotObject, "user"); p != nil {
		p.Message = "user must be an object"
		return p
	}
	return e.in.SetObject(e.Event, &e.Integrations, e.m.at[actsIntegrations], CodeIntegrationsNotObject, "integrations")
}

// setTimestamp sets when the event happened: the time of the context, or else of the root,
// or else when the vendor's own sender made the event. No document says when the request
// was sent, so the time is not corrected. One that cannot be read gives way to the next.
func (e *actsEvent) setTimestamp() {
	for _, raw := range [...][]byte{e.m.context[2], e.m.outsideContext(actsTime), e.m.context[3]} {
		t, warnings, ok := commandersActTime(raw)
		e.Warnings |= warnings
		if ok {
			e.Timestamp = t
			return
		}
	}
}

// properties returns the members that no field holds, nil if there are none.
func (e *actsEvent) properties() json.RawMessage {
	in, root := e.in, e.m.root
	if !in.growExtra(root) {
		return nil
	}
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	for i := range root.Len() {
		if e.m.isProperty(actsSlotOf(root.Name(i))) && !in.key.isIn(root.Name(i), root.Value(i)) {
			in.raw = wire.AppendMember(in.raw, start+1, root.Name(i), root.Value(i))
		}
	}
	if len(in.raw) == start+1 {
		in.raw = in.raw[:start]
		return nil
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}

// actsPixel makes the payload of a pixel of its query.
func actsPixel(r *http.Request) ([]byte, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, tooLarge(maxQuery)
	}
	object, err := pixel.Brackets(r.URL.RawQuery, isNoActsData)
	if err != nil {
		return nil, queryError(err)
	}
	return object, nil
}

// isNoActsData reports whether a parameter of a pixel, by the names of its levels, is left
// out: it is about the request, or cannot be what the event needs under its name, and would
// have all of the event refused.
func isNoActsData(path []string) bool {
	switch path[0] {
	case querySite, queryToken:
		return len(path) == 1
	case "event_name", "event_id":
		return len(path) > 1
	case "user", "context", "integrations":
		return len(path) == 1 || isElement(path[1]) || len(path) > 2 && isActsID(path[0], path[1])
	}
	return false
}

// isElement reports whether the name of a level is that of an element of a list.
func isElement(name string) bool {
	return strings.Trim(name, "0123456789") == ""
}

// isActsID reports whether a member of a member of an event is an id.
func isActsID(outer, name string) bool {
	switch outer {
	case "user":
		return name == "id" || name == "consistent_anonymous_id"
	case "context":
		return name == "event_id" || name == "eventId"
	}
	return false
}

// decodeActsPixel reads the event that actsPixel made.
func decodeActsPixel(in *Input) error {
	object, ok := in.singleOfQuery()
	if !ok {
		return nil
	}
	return in.addOnlyActs(object, true)
}
