package inlet

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/inlet-go/inlet/internal/wire"
)

// SegmentStream returns the dialect of SegmentStream's HTTP tracking API, whose
// call is a hit: one event, in the member "event". It shares the path "/track"
// with [Segment], whose "event" is a name, and must stand before it in a list of
// dialects.
func SegmentStream() Dialect { return segmentStream{} }

type segmentStream struct{}

// Name is "segmentstream".
func (segmentStream) Name() string { return "segmentstream" }

// KeyPlaces are none but the headers: the documents know only Basic credentials.
func (segmentStream) KeyPlaces() KeyPlaces { return KeyPlaces{} }

// Routes are the documented one, and that of the vendor's own browser sender,
// which has no header to put a key into and says its project's id in the body.
func (segmentStream) Routes() []Route {
	return []Route{
		{Method: http.MethodPost, Path: "/track", Shape: isHit, Size: SizeHit, Form: FormEmpty, Decode: decodeHit},
		{Method: http.MethodPost, Path: "/collect", Key: projectKey, Size: SizeHit, Form: FormEmpty, Decode: decodeHit},
	}
}

// isHit tells a hit from a track call of the Segment dialect.
func isHit(root Object) bool { return wire.Kind(root.Get("event")) == '{' }

func projectKey(_ *http.Request, root Object) string { return wire.Text(root.Get("projectId")) }

// decodeHit reads a body that is one hit.
func decodeHit(in *Input) error {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return nil
	}
	var m hitMembers
	in.text.Grow(m.find(item.Object))
	h := hit{in.Add(0), in, &m}
	if item.Repaired {
		h.Warnings |= WarnTextRepaired
	}
	if p := h.fill(); p != nil {
		in.refuseLast(p)
		return nil
	}
	h.setTime()
	if m.extra {
		h.Extra = h.appendExtra()
	}
	return nil
}

// hitSlot is a member of a hit.
type hitSlot int

const (
	hitID hitSlot = iota
	hitSentAt
	hitEvent
	hitContext
	hitIntegrations
	hitUserID      // where the browser sender has it
	hitAnonymousID // as above
	hitSlotCount

	hitKey      // a write key, which is dropped
	hitType     // says "event" in every hit of the browser sender
	hitReserved // a member that the normalised form has a field for, but not this dialect
	hitExtra    // any other
)

func hitSlotOf(quoted []byte) hitSlot {
	switch string(quoted) {
	case `"hitId"`:
		return hitID
	case `"sentAt"`:
		return hitSentAt
	case `"event"`:
		return hitEvent
	case `"context"`:
		return hitContext
	case `"integrations"`:
		return hitIntegrations
	case `"userId"`:
		return hitUserID
	case `"anonymousId"`:
		return hitAnonymousID
	case `"projectId"`, `"writeKey"`, `"writekey"`:
		return hitKey
	case `"type"`:
		return hitType
	case `"messageId"`, `"previousId"`, `"groupId"`, `"timestamp"`, `"originalTimestamp"`, `"properties"`, `"traits"`,
		`"receivedAt"`, `"sourceId"`, `"dialect"`, `"warnings"`, `"_seq"`, `"_c"`, `"_client"`, `"_refused"`:
		return hitReserved
	}
	return hitExtra
}

// hitMembers are the values of a hit that the normalised form has fields for.
type hitMembers struct {
	root     wire.Object
	at       [hitSlotCount][]byte
	event    [2][]byte // as eventMembers
	user     [2][]byte // as userMembers
	extra    bool      // there are members that go to Extra
	reserved bool      // and among them ones that only we may set
	aside    uint32    // slots, as bits, whose values go to Extra after all
}

var (
	hitEventMembers = []string{`"name"`, `"user"`}
	hitUserMembers  = []string{`"userId"`, `"anonymousId"`}
)

// find notes the members of a hit and returns how much room its strings need at
// most.
func (m *hitMembers) find(root wire.Object) (room int) {
	m.root = root
	for i := range root.Len() {
		switch slot := hitSlotOf(root.Name(i)); slot {
		case hitKey:
		case hitType, hitExtra:
			m.extra = true
		case hitReserved:
			m.extra, m.reserved = true, true
		default:
			m.at[slot] = root.Value(i)
		}
	}
	if wire.Kind(m.at[hitEvent]) == '{' {
		wire.FindEach(m.at[hitEvent], hitEventMembers, m.event[:])
	}
	if wire.Kind(m.event[1]) == '{' {
		wire.FindEach(m.event[1], hitUserMembers, m.user[:])
	}
	return idLength + len(m.at[hitID]) + len(m.event[0]) + len(m.user[0]) + len(m.user[1]) +
		len(m.at[hitUserID]) + len(m.at[hitAnonymousID])
}

// setAside keeps a member that did not become a field.
func (m *hitMembers) setAside(slot hitSlot) {
	m.extra = true
	m.aside |= 1 << slot
}

// isAside reports whether a member goes below "_client".
func (m *hitMembers) isAside(slot hitSlot) bool {
	return slot == hitType || slot == hitReserved || slot < hitSlotCount && m.aside>>slot&1 != 0
}

// hit is an event on its way from a payload.
type hit struct {
	*Event
	in *Input
	m  *hitMembers
}

// fill sets what can be wrong with a hit.
func (h *hit) fill() *Problem {
	h.Type = TypeTrack
	if p := h.setID(&h.MessageID, h.m.at[hitID], "hitId"); p != nil {
		return p
	}
	if wire.Kind(h.m.at[hitEvent]) != '{' {
		return &Problem{Code: CodePropertiesNotObject, Message: "event must be an object", Field: "event"}
	}
	h.Properties = h.m.at[hitEvent]
	if p := h.setUser(); p != nil {
		return p
	}
	if p := h.setName(); p != nil {
		return p
	}
	if p := h.setObject(&h.Context, hitContext, CodeContextNotObject, "context"); p != nil {
		return p
	}
	return h.setObject(&h.Integrations, hitIntegrations, CodeIntegrationsNotObject, "integrations")
}

func (h *hit) setID(dst *string, raw json.RawMessage, field string) *Problem {
	text, warnings, p := h.in.ID(raw, field)
	*dst = text
	h.Warnings |= warnings
	return p
}

// setUser takes the ids of the user in the event, where the documents have them,
// or else in the root.
func (h *hit) setUser() *Problem {
	if p := h.setUserID(&h.UserID, h.m.user[0], hitUserID, "event.user.userId", "userId"); p != nil {
		return p
	}
	if p := h.setUserID(&h.AnonymousID, h.m.user[1], hitAnonymousID, "event.user.anonymousId", "anonymousId"); p != nil {
		return p
	}
	if h.UserID == "" && h.AnonymousID == "" {
		return &Problem{Code: CodeNoUserAnonID, Message: "userId or anonymousId is required in event.user", Field: "event.user.userId"}
	}
	return nil
}

// setUserID sets an id. One in the root that says something else than the one
// that counts is set aside.
func (h *hit) setUserID(dst *string, inEvent []byte, slot hitSlot, field, rootField string) *Problem {
	p := h.setID(dst, inEvent, field)
	inRoot := h.m.at[slot]
	switch {
	case p != nil:
		return p
	case *dst == "":
		return h.setID(dst, inRoot, rootField)
	case inRoot != nil && wire.Kind(inRoot) != 'n' && !bytes.Equal(inRoot, inEvent):
		h.m.setAside(slot)
	}
	return nil
}

func (h *hit) setName() *Problem {
	raw := h.m.event[0]
	switch wire.Kind(raw) {
	case '"':
		h.Name = h.in.Text(raw)
	case 0, 'n':
	default:
		return problem(CodeEventNotString, "event.name")
	}
	if h.Name == "" {
		return problem(CodeEventNotDefined, "event.name")
	}
	return nil
}

func (h *hit) setObject(dst *json.RawMessage, slot hitSlot, code Code, field string) *Problem {
	raw, warnings, p := h.in.Object(h.m.at[slot], code, field)
	*dst = raw
	h.Warnings |= warnings
	return p
}

// setTime sets when the event happened, which this dialect calls sentAt: it says
// nothing of the client's clock, so that the event has no SentAt and its time is
// not corrected. One that cannot be read is set aside.
func (h *hit) setTime() {
	var warnings Warnings
	h.Timestamp, warnings = h.in.Time(h.m.at[hitSentAt])
	h.Warnings |= warnings
	if warnings.Has(WarnTimestampInvalid) {
		h.m.setAside(hitSentAt)
	}
}

// appendExtra puts together the members that no field holds. Those whose names
// the normalised form has another use for go below "_client".
func (h *hit) appendExtra() json.RawMessage {
	in, m := h.in, h.m
	if m.reserved {
		h.Warnings |= WarnReservedMember
	}
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	aside := false
	for i := range m.root.Len() {
		slot := hitSlotOf(m.root.Name(i))
		aside = aside || m.isAside(slot)
		if slot == hitExtra {
			in.raw = wire.AppendMember(in.raw, start+1, m.root.Name(i), m.root.Value(i))
		}
	}
	if aside {
		h.appendAside(start + 1)
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}

// appendAside appends the member "_client" to the object whose members begin at
// first.
func (h *hit) appendAside(first int) {
	in, root := h.in, h.m.root
	in.raw = wire.AppendMember(in.raw, first, []byte(`"`+clientMember+`"`), []byte{'{'})
	first = len(in.raw)
	for i := range root.Len() {
		if h.m.isAside(hitSlotOf(root.Name(i))) {
			in.raw = wire.AppendMember(in.raw, first, root.Name(i), root.Value(i))
		}
	}
	in.raw = append(in.raw, '}')
}
