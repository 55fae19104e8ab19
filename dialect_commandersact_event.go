package inlet

import (
	"encoding/json"

	"github.com/inlet-go/inlet/internal/wire"
)

// actsSlot is a member of an event of Commanders Act.
type actsSlot int

const (
	actsName actsSlot = iota
	actsAlias
	actsUser
	actsContext
	actsIntegrations
	actsID         // beside the context, as the documents' batch prints the time
	actsTime       // as above
	actsProperties // of version 1.0, or a property of this name
	actsVersion    // as above
	actsSlotCount

	actsKey      // a write key, which is dropped
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
	if segmentSlotOf(quoted) == slotKey {
		return actsKey
	}
	return actsProperty
}

// Members of an event's context and user that the normalised form has fields for.
// The vendor's own sender calls the id eventId, and says created for the time.
var (
	actsContextMembers = []string{`"event_id"`, `"eventId"`, `"event_timestamp"`, `"created"`, `"version"`}
	actsUserMembers    = []string{`"id"`, `"consistent_anonymous_id"`}
)

// actsMembers are the values of an event that the normalised form has fields for.
type actsMembers struct {
	root    wire.Object
	at      [actsSlotCount][]byte
	context [5][]byte // as actsContextMembers
	user    [2][]byte // as actsUserMembers
	named   actsSlot  // which member is the event's name
}

// find notes the members of an event and returns how much room its strings need
// at most.
func (m *actsMembers) find(root wire.Object) (room int) {
	m.root = root
	for i := range root.Len() {
		if slot := actsSlotOf(root.Name(i)); slot < actsSlotCount {
			m.at[slot] = root.Value(i)
		}
	}
	if wire.Kind(m.at[actsContext]) == '{' {
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
	return idLength + len(m.at[m.named]) + len(m.at[actsID]) + len(m.context[0]) + len(m.context[1]) +
		len(m.user[0]) + len(m.user[1])
}

// isV1 reports whether the event is in the format of version 1.0.
func (m *actsMembers) isV1() bool {
	return commandersActClassOf(m.at[actsContext], m.at[actsProperties], m.at[actsVersion]) == commandersActV1
}

// besideContext returns what a published example of 2.0 has in the root, not in
// the context. In an event whose context says that it is version 2, as one that was
// migrated does, such a member is a property and nothing else.
func (m *actsMembers) besideContext(slot actsSlot) []byte {
	if string(m.context[4]) == "2" {
		return nil
	}
	return m.at[slot]
}

// isProperty reports whether a member in a slot is a property of the event.
func (m *actsMembers) isProperty(slot actsSlot) bool {
	switch slot {
	case actsName, actsUser, actsContext, actsIntegrations, actsKey:
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
func (in *Input) addActs(place int, item *wire.Item, extra json.RawMessage) {
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(place, "", p)
		return
	}
	var m actsMembers
	in.text.Grow(m.find(item.Object))
	e := actsEvent{in.Add(place), in, &m}
	if item.Repaired {
		e.Warnings |= WarnTextRepaired
	}
	if p := e.fill(); p != nil {
		in.refuseLast(p)
		return
	}
	e.setTime()
	e.Properties, e.Extra = e.properties(), extra
}

// fill sets what can be wrong with an event.
func (e *actsEvent) fill() *Problem {
	if p := e.setMessageID(); p != nil {
		return p
	}
	if e.m.isV1() {
		return problem(CodePayloadV1, "properties")
	}
	if p := e.setName(); p != nil {
		return p
	}
	if p := e.setObjects(); p != nil {
		return p
	}
	if p := e.setID(&e.UserID, e.m.user[0], "user.id"); p != nil {
		return p
	}
	return e.setID(&e.AnonymousID, e.m.user[1], "user.consistent_anonymous_id")
}

// setMessageID takes the id of the context, by its name and that which the
// vendor's own sender uses, or else of the root.
func (e *actsEvent) setMessageID() *Problem {
	if p := e.setID(&e.MessageID, e.m.context[0], "context.event_id"); p != nil || e.MessageID != "" {
		return p
	}
	if p := e.setID(&e.MessageID, e.m.context[1], "context.eventId"); p != nil || e.MessageID != "" {
		return p
	}
	return e.setID(&e.MessageID, e.m.besideContext(actsID), "event_id")
}

func (e *actsEvent) setID(dst *string, raw json.RawMessage, field string) *Problem {
	text, warnings, p := e.in.ID(raw, field)
	*dst = text
	e.Warnings |= warnings
	return p
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
	if p := e.setObject(&e.Context, actsContext, CodeContextNotObject, "context"); p != nil {
		return p
	}
	if p := e.setObject(&e.Traits, actsUser, CodeTraitsNotObject, "user"); p != nil {
		p.Message = "user must be an object"
		return p
	}
	return e.setObject(&e.Integrations, actsIntegrations, CodeIntegrationsNotObject, "integrations")
}

func (e *actsEvent) setObject(dst *json.RawMessage, slot actsSlot, code Code, field string) *Problem {
	raw, warnings, p := e.in.Object(e.m.at[slot], code, field)
	*dst = raw
	e.Warnings |= warnings
	return p
}

// setTime sets when the event happened: what the context says, or else the root,
// or else when the vendor's own sender made the event. No document says when the
// request was sent, so that the time is not corrected.
func (e *actsEvent) setTime() {
	for _, raw := range [...][]byte{e.m.context[2], e.m.besideContext(actsTime), e.m.context[3]} {
		t, warnings, ok := commandersActTime(raw)
		if ok || warnings != 0 {
			e.Timestamp = t
			e.Warnings |= warnings
			return
		}
	}
}

// properties puts together the members that no field holds, nil if there are
// none.
func (e *actsEvent) properties() json.RawMessage {
	in, root := e.in, e.m.root
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	for i := range root.Len() {
		if e.m.isProperty(actsSlotOf(root.Name(i))) {
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
